// Python's idea of characters, white space and case, on UTF-8.
#include "eval/python_text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <cmath>

namespace sllm::eval {

std::u32string to_code_points(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT_OR_FFFD(text.data(), i, size, c);
    points.push_back(static_cast<char32_t>(c));
  }
  return points;
}

std::string to_utf8(std::u32string_view points) {
  std::string text;
  for (const char32_t point : points) {
    char buffer[U8_MAX_LENGTH];
    int32_t n = 0;
    UBool bad = false;
    U8_APPEND(buffer, n, U8_MAX_LENGTH, static_cast<UChar32>(point), bad);
    text.append(bad ? std::string_view("\xEF\xBF\xBD") : std::string_view(buffer, n));
  }
  return text;
}

int64_t character_count(std::string_view text) {
  int64_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::string_view rstrip(std::string_view text) {
  while (!text.empty()) {
    auto i = static_cast<int32_t>(text.size());
    UChar32 c;
    U8_PREV_OR_FFFD(text.data(), 0, i, c);
    if (!is_python_space(static_cast<char32_t>(c))) break;
    text = text.substr(0, i);
  }
  return text;
}

std::string_view lstrip(std::string_view text) {
  while (!text.empty()) {
    int32_t i = 0;
    UChar32 c;
    U8_NEXT_OR_FFFD(text.data(), i, static_cast<int32_t>(text.size()), c);
    if (!is_python_space(static_cast<char32_t>(c))) break;
    text.remove_prefix(i);
  }
  return text;
}

std::string_view strip(std::string_view text) { return lstrip(rstrip(text)); }
bool starts_with_space(std::string_view text) { return lstrip(text).size() != text.size(); }
bool ends_with_space(std::string_view text) { return rstrip(text).size() != text.size(); }

bool is_digits(std::string_view text) {
  for (const char c : text)
    if (c < '0' || c > '9') return false;
  return !text.empty();
}

namespace {
icu::UnicodeString to_icu(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())});
}
std::string from_icu(const icu::UnicodeString& s) {
  std::string out;
  return s.toUTF8String(out);
}
}  // namespace

std::string lower(std::string_view text) {
  return from_icu(to_icu(text).toLower(icu::Locale::getRoot()));
}
std::string upper(std::string_view text) {
  return from_icu(to_icu(text).toUpper(icu::Locale::getRoot()));
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  int32_t i = 0;
  UChar32 first;
  U8_NEXT_OR_FFFD(text.data(), i, static_cast<int32_t>(text.size()), first);
  const char32_t title = static_cast<char32_t>(u_totitle(first));
  return to_utf8(std::u32string_view(&title, 1)) + lower(text.substr(i));
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace sllm::eval
