// The shared handle and small requests.
#include "net/http.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <mutex>
#include <thread>

#include "net/curl.h"

namespace sllm {
namespace {

std::string host_of(const std::string& url) {
  const size_t start = url.find("://") == std::string::npos ? 0 : url.find("://") + 3;
  return url.substr(start, url.find('/', start) - start);
}

size_t append_body(char* data, size_t size, size_t count, void* target) {
  auto* body = static_cast<std::pair<std::string, size_t>*>(target);
  if (body->first.size() + size * count > body->second) return 0;
  body->first.append(data, size * count);
  return size * count;
}

}  // namespace

CurlHandle::CurlHandle(const std::string& url, const HttpOptions& options, bool follow)
    : handle_(nullptr, curl_easy_cleanup), lines_(nullptr, curl_slist_free_all), url_(url) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  handle_.reset(curl_easy_init());
  if (!handle_) throw std::bad_alloc();
  CURL* h = handle_.get();
  curl_easy_setopt(h, CURLOPT_URL, url.c_str());
  curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error_);
  curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(h, CURLOPT_USERAGENT, "sllm/0.1");
  curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR,
                   url.starts_with("https:") ? "https" : "http,https");
  curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, follow ? 1L : 0L);
  curl_easy_setopt(h, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(h, CURLOPT_UNRESTRICTED_AUTH, 0L);
  curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.low_speed_bytes));
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.low_speed_time.count()));
  curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(h, CURLOPT_HEADERDATA, this);
  if (!options.token.empty()) {
    // libcurl itself drops this credential when a redirect changes host, port or protocol.
    curl_easy_setopt(h, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(h, CURLOPT_XOAUTH2_BEARER, options.token.c_str());
  }
}

void CurlHandle::add_header(const std::string& line) {
  curl_slist* longer = curl_slist_append(lines_.get(), line.c_str());
  if (!longer) throw std::bad_alloc();
  lines_.release();
  lines_.reset(longer);
}

size_t CurlHandle::on_header(char* data, size_t size, size_t count, void* self) {
  auto& headers = static_cast<CurlHandle*>(self)->headers_;
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) headers.clear();  // a new response, after a redirect
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string_view value = line.substr(colon + 1);
  const size_t first = value.find_first_not_of(" \t");
  const size_t last = value.find_last_not_of(" \t\r\n");
  headers[std::move(name)] =
      first == std::string_view::npos ? "" : std::string(value.substr(first, last - first + 1));
  return size * count;
}

CURLcode CurlHandle::perform() {
  headers_.clear();
  if (lines_) curl_easy_setopt(get(), CURLOPT_HTTPHEADER, lines_.get());
  return curl_easy_perform(get());
}

long CurlHandle::status() const {
  long status = 0;
  curl_easy_getinfo(get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

std::string CurlHandle::final_url() const {
  const char* url = nullptr;
  curl_easy_getinfo(get(), CURLINFO_EFFECTIVE_URL, &url);
  return url ? url : url_;
}

std::string CurlHandle::header(const std::string& name) const {
  const auto it = headers_.find(name);
  return it == headers_.end() ? "" : it->second;
}

std::string CurlHandle::failure(CURLcode code) const {
  return fmt::format("{}: {}", host_of(url_), error_[0] ? error_ : curl_easy_strerror(code));
}

bool never_connected(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
         code == CURLE_COULDNT_CONNECT;
}

bool never_will(CURLcode code) {
  return code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
         code == CURLE_TOO_MANY_REDIRECTS;
}

bool is_transient_status(long status) {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
         status == 503 || status == 504;
}

Error refusal(const std::string& what, long status,
              const std::map<std::string, std::string>& headers) {
  const auto it = headers.find("x-error-code");
  const std::string reason = it == headers.end() ? "" : it->second;
  Error error = make_error(ErrorCode::kNetwork, "{}: HTTP {}", what, status);
  if (reason == "GatedRepo") {
    error.message += ", its owner gives access on request";
    error.hint = "Accept the model's terms on its page, then set HF_TOKEN to a token of yours";
  } else if (reason == "RevisionNotFound") {
    error.message += ", there is no such revision";
    error.hint = "Name a branch, a tag or a commit of the repository, or leave it out";
  } else if (reason == "EntryNotFound") {
    error.message += ", there is no such file at this revision";
    error.hint = "Check the file's name; upper and lower case differ";
  } else if (reason == "RepoNotFound" || status == 404) {
    error.hint = "Check the name; a private model needs HF_TOKEN";
  } else if (status == 401 || status == 403) {
    error.hint = "It needs a permission: set HF_TOKEN, or accept the model's terms on its page";
  } else if (status == 429) {
    error.message += ", too many requests";
    error.hint = "Wait a while; with HF_TOKEN set the hub allows more";
  } else if (status >= 500) {
    error.hint = "The server is in trouble; try again later";
  }
  return error;
}

std::chrono::milliseconds retry_after(const std::string& value) {
  constexpr int64_t kLongest = 60;
  if (value.empty()) return {};
  int64_t seconds = 0;
  if (std::ranges::all_of(value, [](unsigned char c) { return std::isdigit(c); })) {
    seconds = value.size() > 9 ? kLongest : std::stoll(value);
  } else {
    const time_t date = curl_getdate(value.c_str(), nullptr);
    if (date > 0) seconds = static_cast<int64_t>(date) - static_cast<int64_t>(time(nullptr));
  }
  return std::chrono::seconds(std::clamp<int64_t>(seconds, 0, kLongest));
}

void wait_unless_stopped(std::chrono::milliseconds delay) {
  while (delay.count() > 0 && !stop_requested()) {
    const auto step = std::min(delay, std::chrono::milliseconds(100));
    std::this_thread::sleep_for(step);
    delay -= step;
  }
}

Result<HttpResponse> http_request(HttpMethod method, const std::string& url,
                                  const HttpOptions& options, bool follow, size_t max_body) {
  auto delay = options.first_delay;
  for (int attempt = 1;; ++attempt) {
    CurlHandle curl(url, options, follow);
    std::pair<std::string, size_t> body{{}, max_body};
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append_body);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl.get(), CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
    if (method == HttpMethod::kHead) {
      curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
      // Compressed lengths would not be the file's.
      curl_easy_setopt(curl.get(), CURLOPT_ACCEPT_ENCODING, "identity");
    }
    const CURLcode code = curl.perform();
    if (code == CURLE_OK && !is_transient_status(curl.status()))
      return HttpResponse{curl.status(), curl.headers(), std::move(body.first), curl.final_url()};
    if (code == CURLE_WRITE_ERROR)
      return make_error(ErrorCode::kNetwork, "{}: the answer is longer than {} bytes", url,
                        max_body);
    if (attempt >= (never_connected(code) ? options.connect_attempts : options.attempts)) {
      if (code == CURLE_OK)
        return HttpResponse{curl.status(), curl.headers(), std::move(body.first), curl.final_url()};
      return make_error(ErrorCode::kNetwork, "{}", curl.failure(code));
    }
    const auto asked =
        code == CURLE_OK ? retry_after(curl.header("retry-after")) : std::chrono::milliseconds(0);
    wait_unless_stopped(std::max<std::chrono::milliseconds>(delay, asked));
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "{}: stopped", url);
    delay = std::min<std::chrono::milliseconds>(delay * 2, std::chrono::seconds(30));
  }
}

}  // namespace sllm
