// The few pieces of Python's text model that lm-evaluation-harness' scores depend on: lengths in
// characters, what strip() calls white space, literals, and repr-free helpers for UTF-8.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sllm::eval {

// Code points of valid UTF-8; each invalid byte becomes U+FFFD.
std::u32string to_code_points(std::string_view text);
std::string to_utf8(std::u32string_view points);

// len(str): characters, not bytes.
int64_t character_count(std::string_view text);
// str.isspace() of one character.
bool is_python_space(char32_t c);
std::string_view rstrip(std::string_view text);
std::string_view lstrip(std::string_view text);
std::string_view strip(std::string_view text);
bool starts_with_space(std::string_view text);
bool ends_with_space(std::string_view text);
// str.isdigit() for what templates yield: non-empty and ASCII digits only.
bool is_digits(std::string_view text);
// Full Unicode lower and upper case without locale.
std::string lower(std::string_view text);
std::string upper(std::string_view text);
// str.capitalize(): first character upper (title) case, the rest lower.
std::string capitalize(std::string_view text);
std::string replace_all(std::string text, std::string_view from, std::string_view to);

// ast.literal_eval of strings, numbers, True/False/None, lists, tuples (as arrays) and dicts.
// Errors: kBadInput with the offset of what is not understood; nesting over 64 is refused.
Result<nlohmann::ordered_json> parse_python_literal(std::string_view text);
// str(value) as Python prints what the JSON value is there: True, None, 0.5, ['a', 'b'].
std::string python_str(const nlohmann::ordered_json& value);

}  // namespace sllm::eval
