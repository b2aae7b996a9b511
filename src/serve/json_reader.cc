// Bounded JSON parsing and checked field access.
#include "serve/json_reader.h"

#include <cmath>
#include <vector>

namespace sllm {
namespace {

// Brackets are counted before the parser sees them, so that 16 MiB of "[" cost one pass.
bool too_deep(std::string_view body) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

struct TooManyKeys {};

ApiError bad_json(std::string message) {
  return {.status = 400, .message = std::move(message), .code = "invalid_json"};
}

}  // namespace

ApiResult<Json> parse_json_object(std::string_view body) {
  if (too_deep(body))
    return bad_json(fmt::format("the body is nested deeper than {} levels", kMaxJsonDepth));
  std::vector<std::set<std::string>> keys;
  std::string duplicate;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second && duplicate.empty()) duplicate = key.substr(0, 100);
      if (keys.back().size() > kMaxJsonKeys) throw TooManyKeys{};
    }
    return true;
  };
  try {
    Json parsed = Json::parse(body.begin(), body.end(), watch);
    if (!duplicate.empty())
      return bad_field(duplicate, fmt::format("the field \"{}\" occurs twice", duplicate));
    if (!parsed.is_object()) return bad_json("the body must be a JSON object");
    return parsed;
  } catch (const TooManyKeys&) {
    return bad_json(fmt::format("an object has more than {} fields", kMaxJsonKeys));
  } catch (const Json::exception& e) {  // malformed, not UTF-8, a number beyond double
    std::string what = e.what();  // "[json.exception...] parse error at line 1, column 2: details"
    if (const size_t bracket = what.find("] "); bracket != what.npos) what.erase(0, bracket + 2);
    if (what.size() > 300) what.resize(300);
    return bad_json("the body is not valid JSON: " + what);
  }
}

Fields::Fields(const Json& object, std::string prefix)
    : object_(object), prefix_(std::move(prefix)) {
  if (!object.is_object())
    error_ = bad_field(prefix_, fmt::format("{} must be an object", prefix_));
}

std::string Fields::path(std::string_view name) const {
  name = name.substr(0, 100);  // a stranger's field name may be megabytes
  return prefix_.empty() ? std::string(name) : fmt::format("{}.{}", prefix_, name);
}

void Fields::fail(ApiError error) {
  if (!error_) error_ = std::move(error);
}

void Fields::fail(std::string_view name, std::string message) {
  const std::string where = path(name);
  fail(bad_field(where, fmt::format("{} {}", where, message)));
}

const Json* Fields::find(const char* name) {
  known_.emplace(name);
  if (!object_.is_object()) return nullptr;
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

double Fields::number(const char* name, double fallback, double min, double max) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (!value->is_number()) return fail(name, "must be a number"), fallback;
  const double number = value->get<double>();
  if (!(number >= min && number <= max))
    return fail(name, fmt::format("must lie between {} and {}", min, max)), fallback;
  return number;
}

int64_t Fields::integer(const char* name, int64_t fallback, int64_t min, int64_t max) {
  const Json* value = find(name);
  if (!value) return fallback;
  // 2^53 bounds what a double can say exactly; unsigned values above int64 are out of any range.
  const bool whole =
      value->is_number_integer() ||
      (value->is_number_float() && std::abs(value->get<double>()) < 9007199254740992.0 &&
       std::floor(value->get<double>()) == value->get<double>());
  if (!whole) return fail(name, "must be an integer"), fallback;
  const bool huge =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t integer = huge ? 0 : value->get<int64_t>();
  if (huge || integer < min || integer > max)
    return fail(name, fmt::format("must lie between {} and {}", min, max)), fallback;
  return integer;
}

bool Fields::boolean(const char* name, bool fallback) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (!value->is_boolean()) return fail(name, "must be true or false"), fallback;
  return value->get<bool>();
}

std::string Fields::text(const char* name, std::string fallback) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (!value->is_string()) return fail(name, "must be a string"), fallback;
  return value->get<std::string>();
}

void Fields::ignore(std::initializer_list<const char*> names) {
  for (const char* name : names) known_.emplace(name);
}

void Fields::only(const char* name, std::initializer_list<Json> values) {
  const Json* value = find(name);
  if (!value) return;
  for (const Json& good : values)
    if (*value == good) return;
  ApiError error =
      bad_field(path(name), fmt::format("{} is not supported with this value", path(name)));
  error.code = "unsupported_parameter";
  fail(std::move(error));
}

std::optional<ApiError> Fields::finish() {
  if (error_ || !object_.is_object()) return error_;
  for (const auto& [name, value] : object_.items())
    if (!known_.contains(name)) {
      ApiError error =
          bad_field(path(name), fmt::format("{} is not a parameter this server knows", path(name)));
      error.code = "unknown_parameter";
      return error;
    }
  return std::nullopt;
}

}  // namespace sllm
