// What a teacher has answered so far: one line of JSON per finished prompt, appended, so that a
// second process goes on where the first one ended.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "data/teacher.h"

namespace sllm {

// An answer, or why the teacher gave none.
struct JournalAnswer {
  TeacherAnswer answer;
  std::string refused;
};

class DistillJournal {
 public:
  // `identity`: an object that must be the same when it is opened again. Errors: kLocked; kUsage
  // naming what differs; kResource.
  static Result<DistillJournal> open(const fs::path& path, const nlohmann::ordered_json& identity);
  DistillJournal(DistillJournal&& other) noexcept
      : path_(std::move(other.path_)),
        lock_(std::move(other.lock_)),
        fd_(std::exchange(other.fd_, -1)),
        rows_(std::move(other.rows_)) {}
  DistillJournal& operator=(DistillJournal&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    std::swap(fd_, other.fd_);
    std::swap(rows_, other.rows_);
    return *this;
  }
  ~DistillJournal();

  // By the number of the prompt.
  const std::map<size_t, std::vector<JournalAnswer>>& rows() const { return rows_; }
  // On disk when it returns.
  Status append(size_t row, std::vector<JournalAnswer> answers);
  void remove();

 private:
  DistillJournal(fs::path path, FileLock lock, int fd)
      : path_(std::move(path)), lock_(std::move(lock)), fd_(fd) {}
  Status write(const std::string& line);
  Status read(const nlohmann::ordered_json& identity);

  fs::path path_;
  FileLock lock_;
  int fd_;
  std::map<size_t, std::vector<JournalAnswer>> rows_;
};

}  // namespace sllm
