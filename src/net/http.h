// HTTP over libcurl as the program needs it: small requests answered in memory, and downloads that
// resume. Only http and https; at most five redirects, never from https to http; a token goes to
// the host it is for and to no host that a redirect names.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/events.h"
#include "base/file.h"
#include "base/result.h"

namespace sllm {

struct HttpOptions {
  std::string token;  // sent as "Authorization: Bearer" to the first host only
  std::chrono::milliseconds connect_timeout{8000};
  std::chrono::milliseconds timeout{60'000};  // of a whole small request; downloads have none
  // A transfer slower than this for this long is stalled and tried again.
  int64_t low_speed_bytes = 1024;
  std::chrono::seconds low_speed_time{20};
  int attempts = 5;                            // in a row without progress
  int connect_attempts = 2;                    // when no connection comes about at all
  std::chrono::milliseconds first_delay{500};  // doubled at each attempt, at most 30 s
};

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; the last response's
  std::string body;
  std::string url;  // after redirects
};

enum class HttpMethod { kGet, kHead };

// Follows redirects unless `follow` is false. A status of 4xx or 5xx is not an error here. Errors:
// kNetwork with the host and what failed.
Result<HttpResponse> http_request(HttpMethod method, const std::string& url,
                                  const HttpOptions& options = {}, bool follow = true,
                                  size_t max_body = size_t{64} << 20);

// What to try again: 408, 425, 429, 500, 502, 503, 504.
bool is_transient_status(long status);

// The sentence for a status of 4xx or 5xx, with the hub's own reason when the headers give one
// (X-Error-Code: GatedRepo, RepoNotFound, RevisionNotFound, EntryNotFound). kNetwork.
Error refusal(const std::string& what, long status,
              const std::map<std::string, std::string>& headers);

// How long a Retry-After (seconds or an HTTP date; RFC 9110 10.2.3) asks to wait: 0 when it says
// nothing that can be read, at most a minute.
std::chrono::milliseconds retry_after(const std::string& value);

struct DownloadOptions : HttpOptions {
  uint64_t expected_bytes = 0;  // 0: unknown
  // The content cannot change under this URL (its hash is checked afterwards), so a partial file is
  // continued without asking the server whether it is still the same.
  bool immutable = false;
  bool may_be_html = false;  // else an answer of text/html is not the file
  std::string label;         // for progress
};

// Downloads into `file`, continuing what lies there (Range, If-Range with the validator that is
// kept beside it in `file`.etag). A server that ignores ranges, or a changed file, starts anew. On
// success `file` is complete and its .etag is gone. Errors: kNetwork (status or failure, attempts
// made), kResource (disk full, with the bytes needed), 130/143 when stopped; the part stays.
Status download(const std::string& url, const fs::path& file, const DownloadOptions& options,
                const ProgressSink& progress = {});

}  // namespace sllm
