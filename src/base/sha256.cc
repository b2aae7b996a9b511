#include "base/sha256.h"

#include <openssl/evp.h>

#include <fstream>
#include <vector>

#include "base/file.h"

namespace sllm {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(impl_->context, digest, &size);
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_hex(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex();
}

// In blocks: what is read of a mapping counts as the process's memory, by the end all of the file.
Result<std::string> sha256_file(const std::filesystem::path& path) {
  SLLM_TRY(const auto mapped, MappedFile::open(path));  // for its errors and the size
  std::ifstream in(path, std::ios::binary);
  std::vector<char> block(size_t{1} << 20);
  Sha256 hash;
  uint64_t size = 0;
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0) {
    const auto n = static_cast<size_t>(in.gcount());
    hash.update(std::as_bytes(std::span(block.data(), n)));
    size += n;
  }
  if (size != mapped.size())
    return make_error(ErrorCode::kResource, "{}: {} of {} bytes could be read", path.string(), size,
                      mapped.size());
  return hash.hex();
}

}  // namespace sllm
