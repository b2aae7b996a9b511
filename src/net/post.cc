#include "net/post.h"

#include "net/curl.h"

namespace sllm {
namespace {

struct Body {
  std::string text;
  size_t limit;
};

size_t append(char* data, size_t size, size_t count, void* target) {
  auto* body = static_cast<Body*>(target);
  if (body->text.size() + size * count > body->limit) return 0;
  body->text.append(data, size * count);
  return size * count;
}

// A stop request ends the wait, which may be long.
int look_for_stop(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return stop_requested() ? 1 : 0;
}

}  // namespace

Result<HttpResponse> http_post_json(const std::string& url, const std::string& json,
                                    const HttpOptions& options, size_t max_body) {
  CurlHandle curl(url, options, /*follow=*/false);
  Body body{{}, max_body};
  CURL* h = curl.get();
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, 0L);  // a model may think before its first byte
  curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  curl_easy_setopt(h, CURLOPT_POSTFIELDS, json.c_str());
  curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json.size()));
  curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(h, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, look_for_stop);
  curl.add_header("Content-Type: application/json");
  curl.add_header("Expect:");  // no round trip before a large body
  const CURLcode code = curl.perform();
  if (code == CURLE_ABORTED_BY_CALLBACK)
    return make_error(static_cast<ErrorCode>(128 + stop_requested()), "interrupted");
  if (code == CURLE_WRITE_ERROR)
    return make_error(ErrorCode::kNetwork, "{}: the answer is longer than {} bytes", url, max_body);
  if (code != CURLE_OK) return make_error(ErrorCode::kNetwork, "{}", curl.failure(code));
  return HttpResponse{curl.status(), curl.headers(), std::move(body.text), curl.final_url()};
}

}  // namespace sllm
