// Statuses, types and JSON of the API's errors.
#include "serve/api_error.h"

namespace sllm {

std::string ApiError::type() const {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

nlohmann::ordered_json to_json(const ApiError& error) {
  nlohmann::ordered_json body{{"message", error.message}, {"type", error.type()}};
  body["param"] = nullptr;
  body["code"] = nullptr;
  if (!error.param.empty()) body["param"] = error.param;
  if (!error.code.empty()) body["code"] = error.code;
  return {{"error", std::move(body)}};
}

ApiError to_api_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kUsage:
    case ErrorCode::kBadInput:
      return {.status = 400, .message = error.to_string(), .code = "invalid_request"};
    case ErrorCode::kLocked:
      return {.status = 429, .message = error.to_string(), .code = "queue_full", .retry_after = 1};
    case ErrorCode::kResource:
      return {
          .status = 503, .message = error.to_string(), .code = "out_of_memory", .retry_after = 5};
    default:
      return {.status = 500, .message = error.to_string(), .code = "internal_error"};
  }
}

}  // namespace sllm
