// Reading what strangers send: JSON with bounded depth and no duplicate keys, and its fields with
// types and ranges checked in one place. The first fault sticks and names its parameter.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "serve/api_error.h"

namespace sllm {

using Json = nlohmann::ordered_json;

inline constexpr int kMaxJsonDepth = 64;
// Of one object; finding a field takes time in proportion to their number.
inline constexpr size_t kMaxJsonKeys = 1024;

// The body must be one JSON object.
ApiResult<Json> parse_json_object(std::string_view body);

class Fields {
 public:
  // `prefix` names the object in errors: "messages[2]". Keeps a reference to `object`.
  explicit Fields(const Json& object, std::string prefix = "");

  // The value, or null when absent or null. Every accessor marks its name as known.
  const Json* find(const char* name);
  double number(const char* name, double fallback, double min, double max);
  int64_t integer(const char* name, int64_t fallback, int64_t min, int64_t max);
  bool boolean(const char* name, bool fallback);
  std::string text(const char* name, std::string fallback = "");
  // Fields that change nothing here, whatever their value.
  void ignore(std::initializer_list<const char*> names);
  // Fields of which only these values can be honoured (null always can).
  void only(const char* name, std::initializer_list<Json> values);

  void fail(std::string_view name, std::string message);
  void fail(ApiError error);
  std::string path(std::string_view name) const;
  // The first fault, or the first field that nobody asked for.
  std::optional<ApiError> finish();

 private:
  const Json& object_;
  std::string prefix_;
  std::set<std::string, std::less<>> known_;
  std::optional<ApiError> error_;
};

// A body as what read(fields, request) makes of it.
template <class Request, class Read>
ApiResult<Request> parse_request(std::string_view body, Read read) {
  SLLM_TRY(const Json object, parse_json_object(body));
  Fields fields(object);
  Request request;
  read(fields, request);
  if (auto error = fields.finish()) return *error;
  return request;
}

}  // namespace sllm
