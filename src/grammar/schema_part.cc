#include "grammar/schema_part.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "grammar/builder.h"

namespace sllm {
namespace {

using Json = SchemaPart::Json;
using Names = std::set<std::string_view>;

// What describes and does not restrict, or is looked at where it is referred to.
const Names kAnnotations = {"title",           "description",      "default",       "examples",
                            "example",         "$schema",          "$id",           "id",
                            "$comment",        "$anchor",          "$defs",         "definitions",
                            "deprecated",      "readOnly",         "writeOnly",     "$vocabulary",
                            "contentEncoding", "contentMediaType", "contentSchema", "externalDocs"};
const Names kReferences = {"$ref", "allOf"};
const Names kChoices = {"anyOf", "oneOf"};
const Names kValues = {"type", "enum", "const"};
const std::map<std::string_view, unsigned> kTyped = {{"properties", kObjectType},
                                                     {"required", kObjectType},
                                                     {"additionalProperties", kObjectType},
                                                     {"items", kArrayType},
                                                     {"prefixItems", kArrayType},
                                                     {"additionalItems", kArrayType},
                                                     {"minItems", kArrayType},
                                                     {"maxItems", kArrayType},
                                                     {"uniqueItems", kArrayType},
                                                     {"minLength", kStringType},
                                                     {"maxLength", kStringType},
                                                     {"pattern", kStringType},
                                                     {"format", 0},  // also "int32": tells no type
                                                     {"minimum", kNumberType},
                                                     {"maximum", kNumberType},
                                                     {"exclusiveMinimum", kNumberType},
                                                     {"exclusiveMaximum", kNumberType}};

bool is_annotation(std::string_view keyword) {
  return kAnnotations.contains(keyword) || keyword.starts_with("x-");
}

// As in a URI's fragment.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const std::string digits(text.substr(i + 1, 2));
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos || digits.size() != 2)
      return std::nullopt;
    out += static_cast<char>(std::stoi(digits, nullptr, 16));
    i += 2;
  }
  return out;
}

const Json* step(const Json& at, std::string key) {
  if (at.is_object()) {
    const auto found = at.find(key);
    return found == at.end() ? nullptr : &*found;
  }
  const bool is_index = at.is_array() && !key.empty() && key.size() < 10 &&
                        key.find_first_not_of("0123456789") == key.npos;
  if (!is_index || std::stoul(key) >= at.size()) return nullptr;
  return &at[std::stoul(key)];
}

}  // namespace

const Json* SchemaPart::find(const char* keyword) const {
  const auto found = schema->find(keyword);
  return found == schema->end() ? nullptr : &*found;
}

SchemaPart SchemaPart::below(std::string_view keyword, const Json& schema) const {
  return {&schema, pointer_to(where, keyword)};
}

SchemaPart SchemaPart::below(std::string_view keyword, std::string_view key,
                             const Json& schema) const {
  return {&schema, pointer_to(pointer_to(where, keyword), key)};
}

bool SchemaPart::restricts() const {
  return std::ranges::any_of(schema->items(), [&](const auto& item) {
    const std::string& key = item.key();
    if (is_annotation(key) || kReferences.contains(key)) return false;
    if (key == "anyOf") return !any_of_chosen;
    if (key == "oneOf") return !one_of_chosen;
    return true;
  });
}

std::optional<uint32_t> SchemaPart::count(const char* keyword) const {
  const Json* value = find(keyword);
  if (!value) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : -1;
  if (number < 0 || number != std::floor(number)) fail(keyword, "must be a number of things");
  if (number > GrammarBuilder::kMaxRepeat)
    fail(keyword, fmt::format("is beyond {}", GrammarBuilder::kMaxRepeat));
  return static_cast<uint32_t>(number);
}

void SchemaPart::fail(std::string_view keyword, std::string_view what) const {
  const std::string place = keyword.empty() ? where : pointer_to(where, keyword);
  throw ResultError(bad_input("the schema, at \"{}\": {}{}{}", place,
                              keyword.empty() ? "" : fmt::format("\"{}\"", keyword),
                              keyword.empty() ? "" : " ", what));
}

void check_keywords(const SchemaPart& part) {
  if (!part.schema->is_object()) part.fail("", "a schema must be an object, true or false");
  for (const auto& [key, value] : part.schema->items()) {
    if (is_annotation(key) || kReferences.contains(key) || kValues.contains(key)) continue;
    if (kTyped.contains(key) || kChoices.contains(key)) continue;
    // As if they were absent.
    if ((key == "nullable" || key == "unevaluatedProperties") && value.is_boolean() &&
        value == (key == "unevaluatedProperties"))
      continue;
    if ((key == "minProperties" || key == "minContains") && value == 0) continue;
    if (key == "patternProperties" && value.is_object() && value.empty()) continue;
    part.fail(key, "is a keyword that is not supported");
  }
  for (const char* key : {"allOf", "anyOf", "oneOf"})
    if (const Json* list = part.find(key); list && (!list->is_array() || list->empty()))
      part.fail(key, "must be a list of schemas, not an empty one");
  if (const Json* unique = part.find("uniqueItems"); unique && *unique != false)
    part.fail("uniqueItems", "is not supported: items cannot be compared while they are written");
}

std::string pointer_to(std::string_view where, std::string_view key) {
  std::string out(where);
  out += '/';
  for (const char c : key.substr(0, 100))
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  return out;
}

SchemaPart resolve_reference(const Json& root, const SchemaPart& from) {
  const Json& reference = from.schema->at("$ref");
  if (!reference.is_string()) from.fail("$ref", "must be a string");
  const auto pointer = percent_decoded(reference.get_ref<const std::string&>());
  if (!pointer || !(*pointer == "#" || pointer->starts_with("#/")))
    from.fail("$ref", fmt::format("must point into the schema itself (\"#/$defs/...\"), not to {}",
                                  reference.dump().substr(0, 200)));
  const Json* at = &root;
  for (size_t slash = 1; slash < pointer->size() && at;) {
    const size_t next = std::min(pointer->find('/', slash + 1), pointer->size());
    std::string key = pointer->substr(slash + 1, next - slash - 1);
    for (size_t i = 0; (i = key.find('~', i)) != key.npos; ++i)
      key.replace(i, 2, i + 1 < key.size() && key[i + 1] == '1' ? "/" : "~");
    at = step(*at, std::move(key));
    slash = next;
  }
  if (!at) from.fail("$ref", fmt::format("points to {}, which is not there", reference.dump()));
  return {at, *pointer};
}

std::optional<unsigned> allowed_types(const SchemaPart& part) {
  static const std::map<std::string, unsigned> kTypes = {
      {"null", kNullType},     {"boolean", kBooleanType}, {"integer", kIntegerType},
      {"number", kNumberType}, {"string", kStringType},   {"array", kArrayType},
      {"object", kObjectType}};
  const Json* type = part.find("type");
  if (!type) return std::nullopt;
  unsigned types = 0;
  const auto add = [&](const Json& name) {
    const auto known = name.is_string() ? kTypes.find(name.get<std::string>()) : kTypes.end();
    if (known == kTypes.end())
      part.fail("type",
                "must be null, boolean, integer, number, string, array, object or a list of these");
    types |= known->second;
  };
  if (type->is_array())
    std::ranges::for_each(*type, add);
  else
    add(*type);
  return types;
}

unsigned implied_types(const SchemaPart& part) {
  unsigned types = 0;
  for (const auto& [key, value] : part.schema->items())
    if (const auto known = kTyped.find(key); known != kTyped.end()) types |= known->second;
  if (const Json* format = part.find("format"))
    for (const char* of_strings : {"date", "time", "date-time", "uuid"})
      if (*format == of_strings) types |= kStringType;
  return types;
}

bool is_of_type(const Json& value, unsigned types) {
  const auto has = [&](unsigned type) { return (types & type) == type; };
  if (value.is_null()) return has(kNullType);
  if (value.is_boolean()) return has(kBooleanType);
  if (value.is_string()) return has(kStringType);
  if (value.is_array()) return has(kArrayType);
  if (value.is_object()) return has(kObjectType);
  const double number = value.get<double>();
  return has(kNumberType) || (has(kIntegerType) && number == std::floor(number));
}

void SchemaBounds::add(const SchemaPart& part, bool whole_numbers) {
  for (const auto& [key, is_min, exclusive] : {std::tuple{"minimum", true, false},
                                               {"exclusiveMinimum", true, true},
                                               {"maximum", false, false},
                                               {"exclusiveMaximum", false, true}}) {
    const Json* value = part.find(key);
    if (!value) continue;
    if (!value->is_number()) part.fail(key, "must be a number");
    JsonText::Bound bound{0, exclusive};
    const double number = value->get<double>();
    const bool fits = value->is_number_unsigned()  ? value->get<uint64_t>() <= INT64_MAX
                      : value->is_number_integer() ? true
                                                   : std::abs(number) < 0x1p63;
    if (!fits) part.fail(key, "is beyond what 64 bits hold");
    if (value->is_number_integer()) {
      bound.value = value->get<int64_t>();
    } else if (number == std::floor(number)) {
      bound.value = static_cast<int64_t>(number);
    } else {
      if (!whole_numbers)
        part.fail(key, "must be whole for numbers that are not: others are not supported");
      bound = {static_cast<int64_t>(is_min ? std::ceil(number) : std::floor(number)), false};
    }
    constexpr int64_t kExact = int64_t{1} << 53;
    if (!whole_numbers && (bound.value > kExact || bound.value < -kExact))
      part.fail(key, "is beyond 2^53, where numbers are not exact");
    if (whole_numbers && bound.exclusive) {
      bound.exclusive = false;
      if (__builtin_add_overflow(bound.value, is_min ? 1 : -1, &bound.value))
        part.fail(key, "is beyond what 64 bits hold");
    }
    std::optional<JsonText::Bound>& known = is_min ? min : max;
    const auto is_stricter = [&] {
      if (bound.value != known->value) return (bound.value > known->value) == is_min;
      return bound.exclusive;
    };
    if (!known || is_stricter()) known = bound;
  }
}

}  // namespace sllm
