// Reading and appending the reference's log-probabilities.
#include "train/reference.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/sha256.h"

namespace sllm {
namespace {

constexpr size_t kKeyDigits = 32, kCheckDigits = 16;

}  // namespace

std::string ReferenceLog::key(const Sample& sample) {
  Sha256 sha;
  sha.update(std::as_bytes(std::span(sample.ids)));
  sha.update(std::as_bytes(std::span(sample.targets)));
  return sha.hex().substr(0, kKeyDigits);
}

std::string ReferenceLog::line(const std::string& key, double value) const {
  const std::string text = fmt::format("{} {}", key, value);  // shortest that reads back the same
  return fmt::format("{} {}\n", text, sha256_hex(reference_ + '\n' + text).substr(0, kCheckDigits));
}

Result<ReferenceLog> ReferenceLog::open(const fs::path& path, const std::string& reference) {
  ReferenceLog log(path, reference);
  std::string kept;
  std::error_code error;
  if (fs::exists(path, error)) {
    SLLM_TRY(const std::string text, read_file(path, uint64_t{4} << 30));
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = text.find('\n', begin);
      if (end == std::string::npos) break;
      const std::string whole = text.substr(begin, end + 1 - begin);
      begin = end + 1;
      const size_t space = whole.find(' ');
      if (space != kKeyDigits) continue;
      const std::string name = whole.substr(0, space);
      const double value = std::strtod(whole.c_str() + space, nullptr);
      if (log.line(name, value) != whole) continue;
      log.values_[name] = value;
      kept += whole;
    }
  }
  SLLM_OK(write_file_atomically(path, kept));
  log.fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (log.fd_ < 0)
    return make_error(ErrorCode::kUsage, "{}: cannot be opened: {}", path.string(),
                      std::strerror(errno));
  return log;
}

ReferenceLog::~ReferenceLog() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<double> ReferenceLog::find(const std::string& key) const {
  const auto at = values_.find(key);
  return at == values_.end() ? std::nullopt : std::optional(at->second);
}

Status ReferenceLog::append(const std::string& key, double log_probability) {
  const std::string text = line(key, log_probability);
  if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return make_error(ErrorCode::kResource, "{}: a line could not be written: {}", path_.string(),
                      std::strerror(errno));
  values_[key] = log_probability;
  return ok();
}

}  // namespace sllm
