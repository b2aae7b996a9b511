// int("...") and float("...") as Python reads them.
#include <unicode/uchar.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja/builtins.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

// Without the spaces around, in ASCII digits, in lower case and without "_" between digits; ""
// where an underscore stands elsewhere or a character cannot belong to a number.
std::string plain_number(const Text& text) {
  const Text inner = strip(text, true, true, "", false);
  std::string out;
  bool digit_before = false, underscore = false;
  for (size_t i = 0; i < inner.size();) {
    const unicode::Char c = unicode::decode(inner.bytes().data() + i);
    const auto code = static_cast<UChar32>(c.code);
    i += c.length;
    if (code == '_') {
      if (!digit_before || underscore) return "";
      underscore = true;
      continue;
    }
    char byte = static_cast<char>(code | (code >= 'A' && code <= 'Z' ? 0x20 : 0));
    if (code >= 0x80) {
      if (u_charType(code) != U_DECIMAL_DIGIT_NUMBER) return "";
      byte = static_cast<char>('0' + u_charDigitValue(code));
    }
    const bool digit = std::isalnum(static_cast<uint8_t>(byte)) != 0;
    if (underscore && !digit) return "";
    underscore = false;
    digit_before = digit;
    out += byte;
  }
  return underscore ? "" : out;
}

}  // namespace

std::optional<int64_t> parse_integer(const Text& text, int64_t base) {
  if (base != 0 && (base < 2 || base > 36))
    throw TemplateError("int() base must be >= 2 and <= 36, or 0");
  std::string number = plain_number(text);
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.erase(0, 1);
  if (number.size() > 2 && number[0] == '0') {
    const int64_t named = number[1] == 'x' ? 16 : number[1] == 'o' ? 8 : number[1] == 'b' ? 2 : 0;
    if (named && (base == named || base == 0)) {
      base = named;
      number.erase(0, 2);
    }
  }
  if (base == 0) {
    if (number.size() > 1 && number[0] == '0' && number.find_first_not_of('0') != std::string::npos)
      return std::nullopt;
    base = 10;
  }
  // The sign goes through, so that the smallest integer is read too.
  const std::string signed_number = (negative ? "-" : "") + number;
  if (number.empty() || number[0] == '-') return std::nullopt;
  int64_t value = 0;
  const char* end = signed_number.data() + signed_number.size();
  const auto [ptr, error] =
      std::from_chars(signed_number.data(), end, value, static_cast<int>(base));
  if (ptr != end) return std::nullopt;
  if (error != std::errc()) throw TemplateError("integer is too large");
  return value;
}

std::optional<double> parse_real(const Text& text) {
  std::string number = plain_number(text);
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.erase(0, 1);
  double value = 0;
  if (number == "inf" || number == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (number == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (number.empty() || number.find_first_not_of("0123456789.e+-") != std::string::npos ||
        number[0] == '-')
      return std::nullopt;
    const char* end = number.data() + number.size();
    const auto [ptr, error] = std::from_chars(number.data(), end, value);
    if (ptr != end) return std::nullopt;
    if (error == std::errc::result_out_of_range)  // huge or tiny: Python gives inf or 0
      value = number.find("e-") == std::string::npos ? std::numeric_limits<double>::infinity() : 0;
    else if (error != std::errc())
      return std::nullopt;
  }
  return negative ? -value : value;
}

}  // namespace sllm::jinja
