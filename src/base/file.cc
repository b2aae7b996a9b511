#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace sllm {
namespace {

Error os_error(const fs::path& path, std::string_view doing, int error) {
  const bool space = error == ENOSPC || error == EDQUOT || error == ENOMEM || error == EFBIG;
  Error e = make_error(space ? ErrorCode::kResource : ErrorCode::kUsage, "{}: {} failed: {}",
                       path.string(), doing, std::strerror(error));
  if (space) e.hint = "Free some space or choose another folder, then run the same command again";
  return e;
}

// Writes all of `bytes` at `offset`; returns 0 or errno. Short writes and EINTR are retried.
int write_all(int fd, const std::byte* data, size_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t n = ::pwrite(fd, data, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return ENOSPC;
    data += n, size -= static_cast<size_t>(n), offset += static_cast<uint64_t>(n);
  }
  return 0;
}

fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  return path.parent_path() /
         fmt::format(".{}.part-{}-{}", path.filename().string(), ::getpid(), counter++);
}

}  // namespace

struct MappedFile::Mapping {
  fs::path path;
  std::byte* data = nullptr;
  size_t size = 0;
  ~Mapping() {
    if (data) ::munmap(data, size);
  }
};

Result<MappedFile> MappedFile::open(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return bad_input("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return bad_input("{}: is not a regular file", path.string());
  }
  auto mapping = std::make_shared<Mapping>();
  mapping->path = path;
  mapping->size = static_cast<size_t>(info.st_size);
  if (mapping->size > 0) {
    void* data = ::mmap(nullptr, mapping->size, PROT_READ, MAP_SHARED, fd, 0);
    const int error = errno;
    if (data == MAP_FAILED) {
      ::close(fd);
      return os_error(path, "mapping the file", error);
    }
    mapping->data = static_cast<std::byte*>(data);
  }
  ::close(fd);
  MappedFile file;
  file.mapping_ = std::move(mapping);
  return file;
}

std::span<const std::byte> MappedFile::bytes() const {
  if (!mapping_) return {};
  return {mapping_->data, mapping_->size};
}
const fs::path& MappedFile::path() const { return mapping_->path; }

Result<std::string> read_file(const fs::path& path, uint64_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return bad_input("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return bad_input("{}: is not a regular file", path.string());
  }
  if (static_cast<uint64_t>(info.st_size) > limit) {
    ::close(fd);
    return bad_input("{}: has {} bytes, at most {} are allowed here", path.string(), info.st_size,
                     limit);
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      ::close(fd);
      return os_error(path, "reading", error);
    }
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  ::close(fd);
  text.resize(done);
  return text;
}

Status fsync_path(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return os_error(path, "opening for fsync", errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error && error != EINVAL) return os_error(path, "fsync", error);
  return ok();
}

struct AtomicFile::Impl {
  fs::path final_path, temporary;
  int fd = -1;
  uint64_t size = 0;
  bool committed = false;
  ~Impl() {
    if (fd >= 0) ::close(fd);
    if (!committed && !temporary.empty()) ::unlink(temporary.c_str());
  }
};

AtomicFile::AtomicFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&&) noexcept = default;
AtomicFile::~AtomicFile() = default;

Result<AtomicFile> AtomicFile::create(const fs::path& path, uint64_t expected_bytes) {
  const fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
  struct statvfs disk {};
  if (expected_bytes > 0 && ::statvfs(folder.c_str(), &disk) == 0) {
    const uint64_t free_bytes = uint64_t{disk.f_bavail} * disk.f_frsize;
    if (free_bytes < expected_bytes)
      return with_hint(make_error(ErrorCode::kResource, "{}: needs {} bytes, the disk has {} free",
                                  path.string(), expected_bytes, free_bytes),
                       "Free some space or choose another folder");
  }
  auto impl = std::make_unique<Impl>();
  impl->final_path = path;
  const fs::path temporary = temporary_name(path);
  impl->fd = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (impl->fd < 0) return os_error(path, "creating the file", errno);
  impl->temporary = temporary;
  return AtomicFile(std::move(impl));
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  if (const int error = write_all(impl_->fd, bytes.data(), bytes.size(), impl_->size))
    return os_error(impl_->final_path, "writing", error);
  impl_->size += bytes.size();
  return ok();
}

Status AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  if (const int error = write_all(impl_->fd, bytes.data(), bytes.size(), offset))
    return os_error(impl_->final_path, "writing", error);
  impl_->size = std::max(impl_->size, offset + bytes.size());
  return ok();
}

uint64_t AtomicFile::size() const { return impl_->size; }

Status AtomicFile::commit() {
  if (::fsync(impl_->fd) != 0) return os_error(impl_->final_path, "fsync", errno);
  const int fd = std::exchange(impl_->fd, -1);
  if (::close(fd) != 0) return os_error(impl_->final_path, "closing", errno);
  if (::rename(impl_->temporary.c_str(), impl_->final_path.c_str()) != 0)
    return os_error(impl_->final_path, "renaming into place", errno);
  impl_->committed = true;
  const fs::path folder = impl_->final_path.parent_path();
  return fsync_path(folder.empty() ? fs::path(".") : folder);
}

Status write_file_atomically(const fs::path& path, std::string_view text) {
  SLLM_TRY(auto file, AtomicFile::create(path, text.size()));
  SLLM_OK(file.write(text));
  return file.commit();
}

namespace {

// Without a slash at its end; behind a link to a folder, the folder itself, so that the link stays.
fs::path folder_itself(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (fs::path real = fs::canonical(path, error); !error) return real;
  }
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

bool lies_in(const fs::path& inner, const fs::path& folder) {
  const auto [end, rest] = std::ranges::mismatch(folder, inner);
  return end == folder.end();
}

Status refuse_file(const fs::path& target) {
  std::error_code error;
  const fs::file_status found = fs::symlink_status(target, error);
  if (!fs::exists(found) || fs::is_directory(target, error)) return ok();
  return with_hint(usage_error("{}: is a file; a folder is to be written here", target.string()),
                   "Choose another name for the folder");
}

}  // namespace

namespace {
bool fits(std::string_view pattern, const std::string& name) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) return pattern == name;
  const std::string_view start = pattern.substr(0, star), end = pattern.substr(star + 1);
  return name.size() >= start.size() + end.size() && name.starts_with(start) && name.ends_with(end);
}
}  // namespace

Status check_replaceable(const fs::path& target, const FolderNames& names,
                         const std::vector<fs::path>& inputs) {
  const fs::path folder = folder_itself(target);
  SLLM_OK(refuse_file(folder));
  std::error_code error;
  if (!fs::exists(folder, error)) return ok();
  for (const fs::path& input : inputs)
    if (lies_in(fs::weakly_canonical(input, error), folder))
      return with_hint(usage_error("{}: would be replaced, but {} is read from it", target.string(),
                                   input.string()),
                       "Choose another folder for the output");
  std::vector<std::string> missing(names.marks.begin(), names.marks.end());
  bool empty = true;
  std::string foreign;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string() + (it->is_directory(error) ? "/" : "");
    empty = false;
    const bool ours =
        std::ranges::count(names.marks, name) +
        std::ranges::count_if(names.others, [&](std::string_view o) { return fits(o, name); });
    if (!ours && foreign.empty()) foreign = name;
    std::erase(missing, name);
  }
  if (error) return usage_error("{}: cannot be listed: {}", target.string(), error.message());
  if (empty || (foreign.empty() && missing.empty())) return ok();
  return with_hint(
      usage_error("{}: exists and was not written by this command ({})", target.string(),
                  foreign.empty() ? fmt::format("it has no {}", missing.front())
                                  : fmt::format("it holds {}", foreign)),
      "Choose a new or an empty folder");
}

Result<AtomicDir> AtomicDir::create(const fs::path& final_path, const FolderNames& names) {
  return open(final_path, names);
}

Result<AtomicDir> AtomicDir::replace(const fs::path& final_path) {
  return open(final_path, std::nullopt);
}

Result<AtomicDir> AtomicDir::open(const fs::path& final_path, std::optional<FolderNames> names) {
  AtomicDir dir;
  dir.final_ = folder_itself(final_path);
  dir.names_ = std::move(names);
  SLLM_OK(dir.names_ ? check_replaceable(dir.final_, *dir.names_) : refuse_file(dir.final_));
  fs::path temporary = temporary_name(dir.final_);
  std::error_code error;
  if (dir.final_.has_parent_path()) fs::create_directories(dir.final_.parent_path(), error);
  if (::mkdir(temporary.c_str(), 0777) != 0)
    return os_error(final_path, "creating the folder", errno);
  dir.temporary_ = std::move(temporary);
  return dir;
}

AtomicDir::AtomicDir(AtomicDir&& other) noexcept
    : final_(std::move(other.final_)),
      temporary_(std::exchange(other.temporary_, {})),
      names_(std::move(other.names_)) {}
AtomicDir& AtomicDir::operator=(AtomicDir&& other) noexcept {
  std::swap(final_, other.final_);
  std::swap(temporary_, other.temporary_);
  std::swap(names_, other.names_);
  return *this;
}
AtomicDir::~AtomicDir() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

Status AtomicDir::commit() {
  // Once more: the work may have taken hours.
  SLLM_OK(names_ ? check_replaceable(final_, *names_) : refuse_file(final_));
  for (const auto& entry : fs::recursive_directory_iterator(temporary_))
    SLLM_OK(fsync_path(entry.path()));
  SLLM_OK(fsync_path(temporary_));
  fs::path old;
  if (fs::exists(final_)) {
    old = temporary_name(final_);
    if (::rename(final_.c_str(), old.c_str()) != 0)
      return os_error(final_, "setting the old folder aside", errno);
  }
  if (::rename(temporary_.c_str(), final_.c_str()) != 0) {
    const int error = errno;
    if (!old.empty()) ::rename(old.c_str(), final_.c_str());
    return os_error(final_, "renaming into place", error);
  }
  temporary_.clear();
  std::error_code ignored;
  if (!old.empty()) fs::remove_all(old, ignored);
  const fs::path folder = final_.parent_path();
  return fsync_path(folder.empty() ? fs::path(".") : folder);
}

Result<FileLock> FileLock::acquire(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return os_error(path, "opening the lock", errno);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return with_hint(
        make_error(ErrorCode::kLocked, "{}: another process is using this", path.string()),
        "Wait until it ends, or stop it");
  }
  return FileLock(fd);
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace sllm
