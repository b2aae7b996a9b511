#include "data/openai_server.h"

#include <algorithm>

#include "net/curl.h"
#include "net/post.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> read(const HttpResponse& response, const std::string& where) {
  Json reply = Json::parse(response.body, nullptr, false);
  if (response.status == 200 && !reply.is_discarded()) return reply;
  std::string said;
  if (const Json* error = OpenAiServer::field(reply, "error"))
    if (const Json* message = OpenAiServer::field(*error, "message");
        message && message->is_string())
      said = ": " + message->get<std::string>().substr(0, 200);
  const long status = response.status;
  const bool document = status == 400 || status == 413 || status == 422;
  Error error =
      make_error(document ? ErrorCode::kBadInput : ErrorCode::kNetwork, "{} answered {}{}", where,
                 status, status == 200 ? ", but no JSON" : said);
  if (status == 401 || status == 403)
    error.hint = "Give the server's key in the environment variable SLLM_API_KEY";
  if (status == 429) error.hint = "The server wants fewer requests: wait, or ask less in parallel";
  return error;
}

bool was_stopped(const Error& error) {
  return error.code == ErrorCode::kInterrupted || error.code == ErrorCode::kTerminated;
}

}  // namespace

OpenAiServer::OpenAiServer(OpenAiOptions options) : options_(std::move(options)) {
  std::string& url = options_.url;
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
}

const Json* OpenAiServer::field(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Error OpenAiServer::odd(const char* path, const char* what) const {
  return make_error(ErrorCode::kNetwork, "{}{}: the answer has {}", options_.url, path, what);
}

Result<Json> OpenAiServer::first_model() const {
  HttpOptions quick;
  quick.token = options_.key;
  quick.attempts = quick.connect_attempts = 1;
  const std::string where = options_.url + "/v1/models";
  SLLM_TRY(const HttpResponse response, http_request(HttpMethod::kGet, where, quick));
  SLLM_TRY(const Json reply, read(response, where));
  const Json* data = field(reply, "data");
  if (!data || !data->is_array() || data->empty() || !data->front().is_object())
    return odd("/v1/models", "no model");
  return data->front();
}

Result<Json> OpenAiServer::post(const char* path, const Json& body) const {
  HttpOptions http;
  http.token = options_.key;
  http.timeout = options_.patience;
  const std::string where = options_.url + path;
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::chrono::milliseconds delay = options_.first_delay;
  for (int attempt = 1;; ++attempt) {
    const auto response = http_post_json(where, text, http);
    if (!response.ok() && was_stopped(response.error())) return response.error();
    const bool again = !response.ok() || is_transient_status(response->status);
    if (!again || attempt >= options_.attempts) {
      if (!response.ok()) return response.error();
      return read(*response, where);
    }
    std::chrono::milliseconds asked{0};
    if (response.ok())
      if (const auto it = response->headers.find("retry-after"); it != response->headers.end())
        asked = retry_after(it->second);
    wait_unless_stopped(std::max(delay, asked));
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "{}: stopped", where);
    delay = std::min<std::chrono::milliseconds>(delay * 2, std::chrono::seconds(30));
  }
}

}  // namespace sllm
