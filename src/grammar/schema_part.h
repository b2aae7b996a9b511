// Reading JSON schemas: their keywords, and where they are.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/json_text.h"

namespace sllm {

// One of the schemas that a value must fit at the same time. All functions throw ResultError
// (kBadInput) with the place as a JSON pointer.
struct SchemaPart {
  using Json = nlohmann::ordered_json;
  const Json* schema;
  std::string where;           // "#/properties/name"
  bool resolved = false;       // its $ref and allOf are parts of their own
  bool any_of_chosen = false;  // likewise one of its anyOf
  bool one_of_chosen = false;

  // Null: absent.
  const Json* find(const char* keyword) const;
  const Json* find_any_of() const { return any_of_chosen ? nullptr : find("anyOf"); }
  const Json* find_one_of() const { return one_of_chosen ? nullptr : find("oneOf"); }
  // A schema that is the keyword's value, or a part of it.
  SchemaPart below(std::string_view keyword, const Json& schema) const;
  SchemaPart below(std::string_view keyword, std::string_view key, const Json& schema) const;
  // Whether anything is asked for besides $ref, allOf and the choices made.
  bool restricts() const;
  // A number of things, up to GrammarBuilder::kMaxRepeat.
  std::optional<uint32_t> count(const char* keyword) const;
  [[noreturn]] void fail(std::string_view keyword, std::string_view what) const;
};

// Fails on keywords that are not known, and lists that are none.
void check_keywords(const SchemaPart& part);

// The place of `key` below `where`, escaped (RFC 6901).
std::string pointer_to(std::string_view where, std::string_view key);

// What "$ref": `pointer` means in the document `root`.
SchemaPart resolve_reference(const SchemaPart::Json& root, const SchemaPart& from);

enum SchemaType : unsigned {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kNumberType = 8 | kIntegerType,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
  kAnyType = 127
};
// Those that "type" names; nullopt: it is absent.
std::optional<unsigned> allowed_types(const SchemaPart& part);
// Those that the part's other keywords are about; 0: none.
unsigned implied_types(const SchemaPart& part);
bool is_of_type(const SchemaPart::Json& value, unsigned types);

// Bounds of integers or of all numbers, those of all parts together.
struct SchemaBounds {
  std::optional<JsonText::Bound> min, max;
  void add(const SchemaPart& part, bool whole_numbers);
};

}  // namespace sllm
