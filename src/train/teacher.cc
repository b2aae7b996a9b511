// The teacher's file, and what is kept of a row of logits.
#include "train/teacher.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/sha256.h"

namespace sllm {
namespace {

constexpr std::string_view kMagic = "sllmtch1";
constexpr size_t kKeyDigits = 32, kCheckDigits = 16, kHeaderBytes = 8 + 8 + 64;

template <class T>
std::string_view raw(const T* data, size_t count) {
  return {reinterpret_cast<const char*>(data), count * sizeof(T)};
}

std::string check_of(const std::string& header, std::string_view record) {
  Sha256 sha;
  sha.update(header);
  sha.update(record);
  return sha.hex().substr(0, kCheckDigits);
}

// Bytes of a record of so many rows, without its check.
uint64_t record_bytes(uint64_t rows, int64_t k) {
  return kKeyDigits + 8 + rows * (8 * static_cast<uint64_t>(k) + 4);
}

}  // namespace

Status check_same_tokens(const Tokenizer* student_tokens, const Tokenizer* teacher_tokens,
                         const ModelConfig& student_config, const ModelConfig& teacher_config) {
  const char* hint = "Take a teacher of the student's family, or add --align-tokens";
  const auto sizes = [&](int64_t taught, int64_t learning) {
    return with_hint(bad_input("the teacher has {} tokens, the student {}", taught, learning),
                     hint);
  };
  const bool unknown = !student_tokens || !teacher_tokens;
  if (teacher_config.V < student_config.V || (unknown && teacher_config.V != student_config.V))
    return sizes(teacher_config.V, student_config.V);
  if (unknown) return ok();
  const Tokenizer &student = *student_tokens, &teacher = *teacher_tokens;
  int64_t tokens = std::min(student.vocab_size(), student_config.V);
  // GGUF files name the rows of the embedding that no token has.
  while (tokens > teacher.vocab_size() &&
         student.token_text(static_cast<TokenId>(tokens - 1)) == fmt::format("[PAD{}]", tokens - 1))
    --tokens;
  if (teacher.vocab_size() < tokens) return sizes(teacher.vocab_size(), tokens);
  for (TokenId id = 0; id < tokens; ++id)
    if (student.token_bytes(id) != teacher.token_bytes(id))
      return with_hint(bad_input("token {} is \"{}\" of the teacher's and \"{}\" of the student's",
                                 id, teacher.token_text(id), student.token_text(id)),
                       hint);
  return ok();
}

void keep_likeliest(TeacherRows& rows, std::span<const float> logits, int64_t k,
                    double temperature) {
  const auto V = static_cast<int64_t>(logits.size());
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  if (k < V)
    std::nth_element(ids.begin(), ids.begin() + k, ids.end(), [&](int32_t a, int32_t b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
  std::sort(ids.begin(), ids.begin() + k);
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  // Each side against its own largest, so that a low temperature leaves something of the others.
  double largest = kNever, largest_rest = kNever, kept = 0, others = 0;
  const auto each = [&](auto f) {
    for (int64_t v = 0, next = 0; v < V; ++v) {
      const bool is_kept = next < k && ids[next] == v;
      next += is_kept;
      f(is_kept, double{logits[v]});
    }
  };
  each([&](bool is_kept, double z) {
    double& most = is_kept ? largest : largest_rest;
    most = std::max(most, z);
  });
  each([&](bool is_kept, double z) {
    if (is_kept)
      kept += std::exp((z - largest) / temperature);
    else
      others += std::exp((z - largest_rest) / temperature);
  });
  // Relative to the largest kept logit, which no other exceeds.
  const double log_others =
      k < V ? std::log(others) + (largest_rest - largest) / temperature : kNever;
  const double log_sum = std::log(kept + std::exp(log_others));
  for (int64_t i = 0; i < k; ++i) {
    rows.ids.push_back(ids[i]);
    rows.log_probs.push_back(
        static_cast<float>((logits[ids[i]] - largest) / temperature - log_sum));
  }
  rows.log_rest.push_back(static_cast<float>(log_others - log_sum));
}

Result<TeacherLog> TeacherLog::open(const fs::path& path, const std::string& teacher, int64_t k) {
  TeacherLog log;
  log.path_ = path;
  log.k_ = k;
  log.header_ = fmt::format("{}{}{}", kMagic, raw(&k, 1), sha256_hex(teacher));
  log.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log.fd_ < 0)
    return make_error(ErrorCode::kUsage, "{}: cannot be opened: {}", path.string(),
                      std::strerror(errno));
  const auto length = static_cast<uint64_t>(::lseek(log.fd_, 0, SEEK_END));
  if (length >= kHeaderBytes) {
    SLLM_TRY(const MappedFile file, MappedFile::open(path));
    const std::string_view all = raw(reinterpret_cast<const char*>(file.data()), file.size());
    if (all.substr(0, kHeaderBytes) == log.header_) log.size_ = kHeaderBytes;
    while (log.size_ > 0 && all.size() - log.size_ > record_bytes(0, k)) {
      const std::string_view rest = all.substr(log.size_);
      int64_t rows = 0;
      std::memcpy(&rows, rest.data() + kKeyDigits, sizeof rows);
      if (rows < 0 || static_cast<uint64_t>(rows) > rest.size()) break;
      const uint64_t bytes = record_bytes(static_cast<uint64_t>(rows), k);
      if (bytes + kCheckDigits > rest.size() ||
          rest.substr(bytes, kCheckDigits) != check_of(log.header_, rest.substr(0, bytes)))
        break;
      log.offsets_[std::string(rest.substr(0, kKeyDigits))] = log.size_;
      log.size_ += bytes + kCheckDigits;
    }
  }
  if (::ftruncate(log.fd_, static_cast<off_t>(log.size_)) != 0)
    return make_error(ErrorCode::kResource, "{}: cannot be cut: {}", path.string(),
                      std::strerror(errno));
  if (log.size_ == 0) {
    if (::write(log.fd_, log.header_.data(), log.header_.size()) !=
        static_cast<ssize_t>(log.header_.size()))
      return make_error(ErrorCode::kResource, "{}: could not be written: {}", path.string(),
                        std::strerror(errno));
    log.size_ = kHeaderBytes;
  }
  return log;
}

TeacherLog& TeacherLog::operator=(TeacherLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(header_, other.header_);
  std::swap(k_, other.k_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(offsets_, other.offsets_);
  std::swap(file_, other.file_);
  return *this;
}

TeacherLog::~TeacherLog() {
  if (fd_ >= 0) ::close(fd_);
}

Status TeacherLog::append(const std::string& key, const TeacherRows& rows) {
  const auto count = static_cast<int64_t>(rows.log_rest.size());
  std::string record = key;
  record += raw(&count, 1);
  record += raw(rows.ids.data(), rows.ids.size());
  record += raw(rows.log_probs.data(), rows.log_probs.size());
  record += raw(rows.log_rest.data(), rows.log_rest.size());
  record += check_of(header_, record);
  if (::write(fd_, record.data(), record.size()) != static_cast<ssize_t>(record.size()))
    return make_error(ErrorCode::kResource, "{}: a record could not be written: {}", path_.string(),
                      std::strerror(errno));
  offsets_[key] = size_;
  size_ += record.size();
  return ok();
}

Status TeacherLog::map() {
  ::fdatasync(fd_);  // other ranks read it from other machines
  SLLM_TRY(file_, MappedFile::open(path_));
  return ok();
}

std::vector<TeacherRow> TeacherLog::find(const std::string& key) const {
  const std::byte* record = file_->data() + offsets_.at(key);
  int64_t rows = 0;
  std::memcpy(&rows, record + kKeyDigits, sizeof rows);
  const auto* ids = reinterpret_cast<const int32_t*>(record + kKeyDigits + 8);
  const auto* log_probs = reinterpret_cast<const float*>(ids + rows * k_);
  const float* log_rest = log_probs + rows * k_;
  std::vector<TeacherRow> all;
  for (int64_t i = 0; i < rows; ++i) all.push_back({ids + i * k_, log_probs + i * k_, log_rest[i]});
  return all;
}

}  // namespace sllm
