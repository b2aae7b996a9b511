// Downloads that continue where they stopped.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "net/curl.h"
#include "net/http.h"

namespace sllm {
namespace {

constexpr uint64_t kProgress = 4096;  // bytes after which an attempt was not in vain
constexpr auto kLongestDelay = std::chrono::seconds(30);

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Whether a redirect led to another host, port or protocol.
bool is_elsewhere(const std::string& first, const std::string& last) {
  const auto origin = [](const std::string& url) {
    const size_t start = url.find("://");
    return start == std::string::npos ? url : url.substr(0, url.find('/', start + 3));
  };
  return origin(first) != origin(last);
}

// "bytes 100-199/200" or "bytes */200" (then first is absent).
struct ContentRange {
  std::optional<uint64_t> first, total;
};
ContentRange parse_content_range(std::string_view text) {
  ContentRange range;
  if (!text.starts_with("bytes ")) return range;
  text.remove_prefix(6);
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return range;
  range.total = number(text.substr(slash + 1));
  range.first = number(text.substr(0, std::min(text.find('-'), slash)));
  return range;
}

class Download {
 public:
  Download(const std::string& url, const fs::path& file, const DownloadOptions& options,
           const ProgressSink& progress)
      : url_(url),
        file_(file),
        etag_file_(file.string() + ".etag"),
        options_(options),
        progress_(progress) {}
  ~Download() {
    if (fd_ >= 0) ::close(fd_);
  }

  Status run() {
    fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0)
      return usage_error("{}: cannot be opened ({})", file_.string(), std::strerror(errno));
    auto delay = options_.first_delay;
    for (int attempt = 1;;) {
      const uint64_t before = size();
      SLLM_TRY(const Outcome outcome, attempt_once());
      if (outcome == Outcome::kDone) return finish();
      if (const int signal = stop_requested())
        return with_hint(make_error(static_cast<ErrorCode>(128 + signal), "{}: stopped at {} bytes",
                                    url_, size()),
                         "Run the same command again to go on");
      if (size() >= before + kProgress) attempt = 1, delay = options_.first_delay;
      const int limit = connected_ ? options_.attempts : options_.connect_attempts;
      if (attempt++ >= limit)
        return with_hint(make_error(ErrorCode::kNetwork, "{} ({} attempts)", failure_, limit),
                         !hint_.empty() ? hint_
                         : size() ? "What has arrived is kept; run the same command again to go on"
                                  : "");
      wait_unless_stopped(std::max<std::chrono::milliseconds>(delay, retry_after_));
      delay = std::min<std::chrono::milliseconds>(delay * 2, kLongestDelay);
    }
  }

 private:
  enum class Outcome { kDone, kRetry };

  uint64_t size() const {
    const off_t end = ::lseek(fd_, 0, SEEK_END);
    return end < 0 ? 0 : static_cast<uint64_t>(end);
  }

  void start_anew() {
    if (::ftruncate(fd_, 0) != 0) disk_error_ = errno;
    std::error_code error;
    fs::remove(etag_file_, error);
  }

  // A weak validator must not be used with If-Range (RFC 9110 13.1.5).
  std::string validator() const {
    const std::string etag = curl_->header("etag");
    return etag.empty() || etag.starts_with("W/") ? curl_->header("last-modified") : etag;
  }

  std::string saved_validator() const {
    auto text = read_file(etag_file_, 4096);
    return text.ok() ? *text : std::string();
  }

  Result<Outcome> attempt_once() {
    retry_after_ = {}, checked_ = false, accepted_ = false, hint_.clear();
    const std::string validator = options_.immutable ? std::string() : saved_validator();
    if (size() && validator.empty() && !options_.immutable) start_anew();
    offset_ = size();
    if (options_.expected_bytes && offset_ == options_.expected_bytes) return Outcome::kDone;
    if (options_.expected_bytes && offset_ > options_.expected_bytes) start_anew(), offset_ = 0;
    CurlHandle curl(url_, options_, true);
    curl_ = &curl;
    if (offset_) {
      curl_easy_setopt(curl.get(), CURLOPT_RANGE, fmt::format("{}-", offset_).c_str());
      if (!validator.empty()) curl.add_header("If-Range: " + validator);
    }
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, this);
    curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, this);
    const CURLcode code = curl.perform();
    if (code == CURLE_OK && !checked_) check_headers();  // a response without a body
    connected_ = !never_connected(code);
    Result<Outcome> outcome = judge(code);
    curl_ = nullptr;
    return outcome;
  }

  Result<Outcome> judge(CURLcode code) {
    const long status = curl_->status();
    if (disk_error_)
      return make_error(ErrorCode::kResource, "{}: cannot be written ({}){}", file_.string(),
                        std::strerror(disk_error_), space_note());
    if (status == 416 && offset_) {
      // Either all is there already, or the part is not of this file.
      const auto range = parse_content_range(curl_->header("content-range"));
      if (range.total == offset_) return Outcome::kDone;
      start_anew();
      return retry("{}: the server refuses to continue at byte {}", url_, offset_);
    }
    if (status >= 400) return refused(status);
    if (code == CURLE_OK && accepted_) return complete();
    if (never_will(code)) return make_error(ErrorCode::kNetwork, "{}", curl_->failure(code));
    if (!failure_.empty() && checked_ && !accepted_) return Outcome::kRetry;
    return retry("{}", curl_->failure(code));
  }

  Result<Outcome> complete() {
    if (total_ && size() != total_)
      return retry("{}: {} bytes arrived, {} were announced", url_, size(), total_);
    return Outcome::kDone;
  }

  Result<Outcome> refused(long status) {
    if (is_transient_status(status)) {
      retry_after_ = retry_after(curl_->header("retry-after"));
      return retry("{}: HTTP {}", url_, status);
    }
    // Storage gives signed links that expire: the first host hands out a new one.
    if (is_elsewhere(url_, curl_->final_url()))
      return retry("{}: the storage that it leads to answers HTTP {}", url_, status);
    return refusal(url_, status, curl_->headers());
  }

  template <class... Args>
  Outcome retry(fmt::format_string<Args...> format, Args&&... args) {
    failure_ = fmt::format(format, std::forward<Args>(args)...);
    return Outcome::kRetry;
  }

  std::string space_note() const {
    struct statvfs disk {};
    if (!total_ || ::statvfs(file_.parent_path().c_str(), &disk) != 0) return {};
    return fmt::format("; {} bytes are needed, {} are free", total_ - std::min(total_, size()),
                       uint64_t{disk.f_bavail} * disk.f_frsize);
  }

  // At the first byte of a body: where does it go, and is it what was asked for?
  bool check_headers() {
    checked_ = true;
    failure_.clear();
    const long status = curl_->status();
    if (status != 200 && status != 206) return false;
    // A login page of a network, or of a proxy, comes with status 200.
    if (curl_->header("content-type").starts_with("text/html") && !options_.may_be_html) {
      hint_ = "Does this network ask to log in, or does a proxy stand in between? See HTTPS_PROXY";
      failure_ = fmt::format("{}: a web page came instead of the file", url_);
      return false;
    }
    if (status == 206) {
      const ContentRange range = parse_content_range(curl_->header("content-range"));
      if (range.first != offset_) {
        start_anew();
        failure_ = fmt::format("{}: the server continued at another byte", url_);
        return false;
      }
      const std::string now = validator(), before = options_.immutable ? "" : saved_validator();
      if (!now.empty() && !before.empty() && now != before) {  // a server that ignores If-Range
        start_anew();
        failure_ = fmt::format("{}: has changed since the part that is here came", url_);
        return false;
      }
      total_ = range.total.value_or(0);
    } else {
      if (offset_) start_anew(), offset_ = 0;
      total_ = number(curl_->header("content-length")).value_or(0);
    }
    if (options_.expected_bytes && total_ && total_ != options_.expected_bytes) {
      failure_ = fmt::format("{}: {} bytes, expected {}", url_, total_, options_.expected_bytes);
      return false;
    }
    if (!total_) total_ = options_.expected_bytes;
    if (total_ > offset_ && !space_for(total_ - offset_)) {
      disk_error_ = ENOSPC;
      return false;
    }
    if (options_.immutable) return accepted_ = true;
    const std::string now = validator();
    if (!now.empty() && !write_file_atomically(etag_file_, now).ok()) disk_error_ = ENOSPC;
    return accepted_ = disk_error_ == 0;
  }

  bool space_for(uint64_t bytes) const {
    struct statvfs disk {};
    if (::statvfs(file_.parent_path().c_str(), &disk) != 0) return true;
    return uint64_t{disk.f_bavail} * disk.f_frsize >= bytes;
  }

  static size_t on_data(char* data, size_t, size_t count, void* self) {
    auto* d = static_cast<Download*>(self);
    if (!d->checked_) d->check_headers();
    const long status = d->curl_->status();
    if (status >= 300) return count;  // an error's page is read and forgotten
    if (!d->accepted_) return 0;
    ::lseek(d->fd_, 0, SEEK_END);
    for (size_t done = 0; done < count;) {
      const ssize_t n = ::write(d->fd_, data + done, count - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        d->disk_error_ = n < 0 ? errno : ENOSPC;
        return 0;
      }
      done += static_cast<size_t>(n);
    }
    return count;
  }

  static int on_progress(void* self, curl_off_t, curl_off_t now, curl_off_t, curl_off_t) {
    const auto* d = static_cast<Download*>(self);
    if (d->progress_ && d->accepted_)
      d->progress_(
          {d->options_.label, "bytes", d->offset_ + static_cast<uint64_t>(now), d->total_, {}});
    return stop_requested() ? 1 : 0;
  }

  Status finish() {
    if (::fsync(fd_) != 0)
      return make_error(ErrorCode::kResource, "{}: {}", file_.string(), std::strerror(errno));
    std::error_code error;
    fs::remove(etag_file_, error);
    return ok();
  }

  const std::string& url_;
  const fs::path& file_;
  const fs::path etag_file_;
  const DownloadOptions& options_;
  const ProgressSink& progress_;
  int fd_ = -1;
  CurlHandle* curl_ = nullptr;
  uint64_t offset_ = 0, total_ = 0;
  bool checked_ = false, accepted_ = false, connected_ = false;
  int disk_error_ = 0;
  std::chrono::milliseconds retry_after_{};
  std::string failure_, hint_;
};

}  // namespace

Status download(const std::string& url, const fs::path& file, const DownloadOptions& options,
                const ProgressSink& progress) {
  return Download(url, file, options, progress).run();
}

}  // namespace sllm
