// Only what is read is checked: fields that change no ids may be anything.
#include "text/json_part.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sllm::tokenizer_json {
namespace {

// Where simdjson, which does not tell, stopped: a second reading that keeps nothing.
std::string place_of_error(const std::string& json) {
  const auto drop = [](int, nlohmann::json::parse_event_t, nlohmann::json&) { return false; };
  try {
    const nlohmann::json nothing = nlohmann::json::parse(json, drop);
  } catch (const nlohmann::json::parse_error& e) {
    return fmt::format(" (near byte {})", e.byte);
  } catch (const nlohmann::json::exception&) {  // a number out of range has no place
  }
  return "";
}

}  // namespace

Result<JsonPart> JsonPart::parse(simdjson::dom::parser& parser, const std::string& json) {
  element root;
  if (const auto error = parser.parse(json).get(root))
    return bad_input("not a JSON object{}: {}", place_of_error(json),
                     simdjson::error_message(error));
  if (!root.is_object()) return bad_input("not a JSON object");
  return of(root, "");
}

// Readers disagree about which of two fields of one name counts.
Result<JsonPart> JsonPart::of(const element& value, std::string where) {
  object fields;
  if (value.get(fields) != simdjson::SUCCESS) return bad_input("{} is not an object", where);
  JsonPart part(fields, std::move(where));
  std::vector<std::string_view> keys;
  for (const auto [key, field] : fields) keys.push_back(key);
  std::ranges::sort(keys);
  if (const auto twice = std::ranges::adjacent_find(keys); twice != keys.end())
    return bad_input("{} appears twice", part.at(twice->substr(0, 80)));
  return part;
}

std::string JsonPart::at(std::string_view key) const {
  return where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key);
}

bool JsonPart::has(std::string_view key) const {
  element value;
  return fields_[key].get(value) == simdjson::SUCCESS && !value.is_null();
}

template <class T>
Result<T> JsonPart::get(std::string_view key, const char* expected) const {
  T value{};
  if (!has(key)) return bad_input("{} is missing; expected {}", at(key), expected);
  if (fields_[key].get(value) != simdjson::SUCCESS)
    return bad_input("{} is not {}", at(key), expected);
  return value;
}

Result<std::string> JsonPart::text(std::string_view key) const {
  SLLM_TRY(const std::string_view value, get<std::string_view>(key, "a text"));
  return std::string(value);
}

Result<std::string> JsonPart::text(std::string_view key, std::string_view otherwise) const {
  if (!has(key)) return std::string(otherwise);
  return text(key);
}

Result<bool> JsonPart::flag(std::string_view key, bool otherwise) const {
  if (!has(key)) return otherwise;
  return get<bool>(key, "true or false");
}

Result<size_t> JsonPart::count(std::string_view key) const {
  SLLM_TRY(const uint64_t value, get<uint64_t>(key, "a number from 0"));
  return static_cast<size_t>(value);
}

Result<size_t> JsonPart::count(std::string_view key, size_t otherwise) const {
  if (!has(key)) return otherwise;
  return count(key);
}

Result<double> JsonPart::number(std::string_view key, double otherwise) const {
  if (!has(key)) return otherwise;
  return get<double>(key, "a number");
}

Result<element> JsonPart::value(std::string_view key) const { return get<element>(key, "a value"); }

Result<std::vector<element>> JsonPart::list(std::string_view key) const {
  SLLM_TRY(const array values, get<array>(key, "a list"));
  std::vector<element> items;
  for (const element value : values) items.push_back(value);
  return items;
}

Result<object> JsonPart::map(std::string_view key) const { return get<object>(key, "an object"); }

Result<JsonPart> JsonPart::part(std::string_view key) const {
  SLLM_TRY(const element field, get<element>(key, "an object"));
  return of(field, at(key));
}

Result<std::vector<JsonPart>> JsonPart::parts(std::string_view key) const {
  SLLM_TRY(const auto items, list(key));
  std::vector<JsonPart> found;
  for (const element& item : items) {
    SLLM_TRY(JsonPart one, of(item, fmt::format("{}[{}]", at(key), found.size())));
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace sllm::tokenizer_json
