// One libcurl handle with the settings that every request shares.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "net/http.h"

namespace sllm {

class CurlHandle {
 public:
  CurlHandle(const std::string& url, const HttpOptions& options, bool follow);
  CURL* get() const { return handle_.get(); }
  void add_header(const std::string& line);

  // Performs the transfer; headers of the last response are in headers() afterwards.
  CURLcode perform();
  long status() const;
  std::string final_url() const;
  const std::map<std::string, std::string>& headers() const { return headers_; }
  std::string header(const std::string& name) const;  // "" when absent
  // "host: what failed", for error messages.
  std::string failure(CURLcode code) const;

 private:
  static size_t on_header(char* data, size_t size, size_t count, void* self);

  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle_;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> lines_;
  std::map<std::string, std::string> headers_;
  std::string url_;
  char error_[CURL_ERROR_SIZE] = {};
};

// True when no byte could be exchanged: unknown host, refused, unreachable.
bool never_connected(CURLcode code);
// True when trying again would end the same: not a URL, a scheme that is not followed, too many
// redirects.
bool never_will(CURLcode code);

// Sleeps, but returns early when the process is asked to stop.
void wait_unless_stopped(std::chrono::milliseconds delay);

}  // namespace sllm
