// The API's errors, in OpenAI's shape: {"error": {message, type, param, code}} with a status.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <variant>

#include "base/result.h"

namespace sllm {

// Clients retry 408, 409, 429 and 5xx, so whatever would fail again the same way is 400, 413 or
// 422.
struct ApiError {
  int status = 400;
  std::string message;
  std::string param;  // "" when no single field is at fault
  std::string code;
  int retry_after = 0;  // seconds; 0: no such header
  std::string allow;    // 405: the methods that the path takes
  std::string type() const;
};

nlohmann::ordered_json to_json(const ApiError& error);
// kUsage and kBadInput are the request's fault; kLocked means that the queue is full.
ApiError to_api_error(const Error& error);

inline ApiError bad_field(std::string param, std::string message) {
  return {.status = 400,
          .message = std::move(message),
          .param = std::move(param),
          .code = "invalid_value"};
}

// Like Result (and good for SLLM_TRY), with an ApiError.
template <class T>
class [[nodiscard]] ApiResult {
 public:
  ApiResult(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  ApiResult(ApiError error) : state_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return state_.index() == 0; }
  const ApiError& error() const& { return std::get<1>(state_); }
  ApiError&& error() && { return std::get<1>(std::move(state_)); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  T* operator->() { return &value(); }

 private:
  std::variant<T, ApiError> state_;
};

}  // namespace sllm
