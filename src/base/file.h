// Files as the rest of the program uses them: mapped for reading, replaced atomically when written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sllm {

namespace fs = std::filesystem;

// A file mapped read-only. Copies share the mapping. Regular files only.
class MappedFile {
 public:
  static Result<MappedFile> open(const fs::path& path);
  std::span<const std::byte> bytes() const;
  const std::byte* data() const { return bytes().data(); }
  size_t size() const { return bytes().size(); }
  const fs::path& path() const;

 private:
  struct Mapping;
  std::shared_ptr<const Mapping> mapping_;
};

// Whole file as a string; kBadInput when it is missing, not a regular file or larger than `limit`.
Result<std::string> read_file(const fs::path& path, uint64_t limit = uint64_t{1} << 30);

// A file that appears under its final name complete or not at all: written to a temporary name in
// the same folder, fsynced, renamed, folder fsynced. Destroyed without commit(), it leaves nothing.
// Errors: kResource (no space, with bytes needed where known), kUsage (folder missing or
// read-only).
class AtomicFile {
 public:
  static Result<AtomicFile> create(const fs::path& path, uint64_t expected_bytes = 0);
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) {
    return write(std::as_bytes(std::span(text.data(), text.size())));
  }
  // Writes at an absolute offset (for headers patched afterwards); does not move the append
  // position.
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t size() const;
  Status commit();

 private:
  struct Impl;
  explicit AtomicFile(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

Status write_file_atomically(const fs::path& path, std::string_view text);

// By what a folder that this program wrote is known again: it holds every one of `marks` and
// nothing but `marks` and `others` ('*' stands for any text once, a last '/' for a folder).
struct FolderNames {
  std::vector<std::string_view> marks, others;
};

// Whether a folder may be written at `target`: nothing is there, or an empty folder, or one known
// by `names`; and none of `inputs` is or lies in it. Else kUsage.
Status check_replaceable(const fs::path& target, const FolderNames& names,
                         const std::vector<fs::path>& inputs = {});

// A folder that appears complete or not at all. Fill path() and commit(). An existing folder of
// that name is kept until the new one is in place.
class AtomicDir {
 public:
  // Errors: those of check_replaceable, now and in commit(); kUsage and kResource as AtomicFile.
  static Result<AtomicDir> create(const fs::path& final_path, const FolderNames& names = {});
  // For a folder inside one that the program keeps itself: replaces whatever folder is there.
  static Result<AtomicDir> replace(const fs::path& final_path);
  AtomicDir(AtomicDir&&) noexcept;
  AtomicDir& operator=(AtomicDir&&) noexcept;
  ~AtomicDir();
  const fs::path& path() const { return temporary_; }
  Status commit();

 private:
  AtomicDir() = default;
  static Result<AtomicDir> open(const fs::path& final_path, std::optional<FolderNames> names);
  fs::path final_, temporary_;
  std::optional<FolderNames> names_;  // none: any folder may be replaced
};

// An exclusive flock on `path` (created when missing), released on destruction or process death.
// kLocked when somebody else holds it.
class FileLock {
 public:
  static Result<FileLock> acquire(const fs::path& path);
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

Status fsync_path(const fs::path& path);

}  // namespace sllm
