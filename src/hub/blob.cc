// Blobs: checked, then moved to the name that is their hash.
#include <openssl/evp.h>

#include "base/sha256.h"
#include "hub/origin.h"

namespace sllm {
namespace {

// As git names a blob: SHA-1 of "blob SIZE", a NUL and the content (git-scm.com, Git Objects).
Result<std::string> git_blob_sha1(const fs::path& path) {
  SLLM_TRY(const std::string content, read_file(path));
  const std::string text = fmt::format("blob {}", content.size()) + '\0' + content;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) != 1)
    return make_error(ErrorCode::kInternal, "SHA-1 is not at hand");
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace

Result<std::string> hash_like(const fs::path& file, std::string_view like) {
  return like.size() == 40 ? git_blob_sha1(file) : sha256_file(file);
}

Status adopt_blob(const fs::path& part, const fs::path& blob, const std::string& hash) {
  std::error_code error;
  if (!hash.empty()) {
    SLLM_TRY(const std::string actual, hash_like(part, hash));
    if (actual != hash) {
      fs::remove(part, error);
      return with_hint(bad_input("{}: {} {}, expected {}", part.filename().string(),
                                 hash.size() == 40 ? "git SHA-1" : "SHA-256", actual, hash),
                       "What arrived is not the file that was promised; it was removed");
    }
  }
  fs::rename(part, blob, error);
  if (error) return make_error(ErrorCode::kResource, "{}: {}", blob.string(), error.message());
  return fsync_path(blob.parent_path());
}

}  // namespace sllm
