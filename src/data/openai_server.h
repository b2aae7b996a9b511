// A server that speaks the OpenAI API, as a client sees it: documents there and back, retries, and
// what its errors say. What replies mean is the business of the caller.
#pragma once

#include <chrono>
#include <string>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace sllm {

struct OpenAiOptions {
  std::string url;  // http://host:port, with or without /v1
  std::string key;  // sent as bearer token; or ""
  // Of a POST: after 408, 425, 429, 5xx and broken connections it is sent again, after a delay that
  // doubles, or as long as Retry-After asks. 1: sent once.
  int attempts = 1;
  std::chrono::milliseconds first_delay{500};
  std::chrono::milliseconds patience = std::chrono::minutes(10);  // for one reply of a slow model
};

class OpenAiServer {
 public:
  using Json = nlohmann::ordered_json;
  explicit OpenAiServer(OpenAiOptions options);
  const std::string& url() const { return options_.url; }  // without /v1

  // The first model that it serves: its entry of /v1/models, an object. Errors as post().
  Result<Json> first_model() const;
  // The reply of `path` ("/v1/chat/completions") to a document. Errors: kNetwork when the server is
  // not reached, refuses or answers no JSON; kBadInput when it does not take this document (400,
  // 413, 422); kInterrupted and kTerminated when asked to stop.
  Result<Json> post(const char* path, const Json& body) const;

  // object[key]; null when there is none, or JSON's null.
  static const Json* field(const Json& object, const char* key);
  // "URL/path: the answer has `what`". kNetwork.
  Error odd(const char* path, const char* what) const;

 private:
  OpenAiOptions options_;
};

}  // namespace sllm
