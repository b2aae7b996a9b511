// A model by its URL.
#include <cstring>

#include "base/sha256.h"
#include "hub/cache.h"
#include "hub/origin.h"
#include "net/http.h"

namespace sllm {
namespace {

struct Place {
  RepoCache cache;
  std::string file;
};

Result<Place> place_of(const std::string& url) {
  std::string path = url.substr(0, url.find_first_of("?#"));
  const std::string file = path.substr(path.rfind('/') + 1);
  if (!is_safe_relative_path(file) || !file.ends_with(".gguf"))
    return with_hint(usage_error("{}: does not name a .gguf file", url),
                     "A Hugging Face model is named hf:ORGANISATION/REPOSITORY");
  return Place{RepoCache("url/" + sha256_hex(path).substr(0, 16)), file};
}

// No hash vouches for what comes from just anywhere; at least it must begin as a model does.
Status check_is_gguf(const fs::path& part, const std::string& url) {
  SLLM_TRY(const MappedFile file, MappedFile::open(part));
  if (file.size() >= 4 && std::memcmp(file.data(), "GGUF", 4) == 0) return ok();
  std::error_code error;
  fs::remove(part, error);
  return with_hint(
      bad_input("{}: what arrived is no GGUF file ({} bytes); it was removed", url, file.size()),
      "Does the address lead to a page about the file?");
}

}  // namespace

Result<fs::path> find_url(const std::string& url) {
  SLLM_TRY(const Place place, place_of(url));
  const fs::path path = place.cache.snapshot("main") / place.file;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return path;
  return bad_input("{}: not on this machine", url);
}

Result<fs::path> fetch_url(const std::string& url, const FetchOptions& fetch,
                           const ProgressSink& progress) {
  SLLM_TRY(const Place place, place_of(url));
  SLLM_OK(place.cache.prepare());
  SLLM_TRY(const FileLock lock, place.cache.lock("download"));
  DownloadOptions options;
  options.label = place.file;
  options.first_delay = fetch.first_delay;
  if (fetch.quick) options.connect_attempts = 1, options.attempts = 2;
  const fs::path part = place.cache.blob("download.incomplete");
  SLLM_OK(download(url, part, options, progress));
  SLLM_OK(check_is_gguf(part, url));
  SLLM_TRY(const std::string sha256, sha256_file(part));
  SLLM_OK(adopt_blob(part, place.cache.blob(sha256), fetch.sha256));
  SLLM_OK(place.cache.link("main", place.file, sha256));
  return place.cache.snapshot("main") / place.file;
}

}  // namespace sllm
