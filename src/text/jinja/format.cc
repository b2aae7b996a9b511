// The two ways Python strings are filled in: "%s" % x and "{}".format(x). What is rare in templates
// (field attributes, nested widths) is refused.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"

namespace sllm::jinja {
namespace {

constexpr int kMaxWidth = 1000;

// What stands between % and the letter.
struct Spec {
  std::string_view flags;
  int width = 0;
  int precision = -1;  // none given

  bool has(char flag) const { return flags.find(flag) != std::string_view::npos; }
};

// `text` holds nothing but "-+ #0123456789.". Where their order is wrong, Python takes the first
// character that cannot follow for the conversion's letter, and refuses it.
Spec parse_spec(std::string_view text) {
  size_t at = std::min(text.find_first_not_of("-+ #0"), text.size());
  Spec spec{.flags = text.substr(0, at)};
  const auto number = [&] {
    int value = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
      if ((value = 10 * value + (text[at] - '0')) > kMaxWidth)
        throw TemplateError("a format's width is too large");
    return value;
  };
  spec.width = number();
  if (at < text.size() && text[at] == '.') {
    ++at;
    spec.precision = number();
  }
  if (at < text.size())
    throw TemplateError(fmt::format("unsupported format character '{}'", text[at]));
  return spec;
}

Text percent_text(const Spec& spec, Text text) {
  if (spec.precision >= 0)
    text = text.slice(0, byte_of_char(text.view(), static_cast<size_t>(spec.precision)));
  const size_t length = count_chars(text.view());
  const auto width = static_cast<size_t>(spec.width);
  const Text pad(std::string(width > length ? width - length : 0, ' '), kTemplate);
  Text out = spec.has('-') ? text : pad;
  out.append(spec.has('-') ? pad : text);
  return out;
}

// Zeros go between the prefix (sign, 0x) and the digits, spaces to either side of both.
std::string percent_number(const Spec& spec, bool negative, std::string_view base,
                           std::string digits) {
  std::string prefix = negative ? "-" : spec.has('+') ? "+" : spec.has(' ') ? " " : "";
  prefix += base;
  const size_t length = prefix.size() + digits.size();
  const auto width = static_cast<size_t>(spec.width);
  const std::string pad(width > length ? width - length : 0,
                        spec.has('0') && !spec.has('-') ? '0' : ' ');
  if (spec.has('-')) return prefix + digits + pad;
  return spec.has('0') ? prefix + pad + digits : pad + prefix + digits;
}

std::string percent_integer(const Spec& spec, char letter, int64_t value) {
  const char type = letter == 'i' || letter == 'u' ? 'd' : letter;
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : value;
  std::string digits = fmt::format(fmt::runtime(std::string{'{', ':', type, '}'}), magnitude);
  if (spec.precision > static_cast<int>(digits.size()))
    digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
  const std::string base = spec.has('#') && type != 'd' ? std::string{'0', type} : std::string();
  return percent_number(spec, value < 0, base, std::move(digits));
}

std::string percent_real(const Spec& spec, char letter, double value) {
  const std::string type = fmt::format("{{:{}.{}{}}}", spec.has('#') ? "#" : "",
                                       spec.precision < 0 ? 6 : spec.precision, letter);
  return percent_number(spec, std::signbit(value) && !std::isnan(value), "",
                        fmt::format(fmt::runtime(type), std::fabs(value)));
}

// %5.2f and the like; `between` is all between % and the letter.
Text one_percent(std::string_view between, char letter, const Value& value) {
  const Spec spec = parse_spec(between);
  if (letter == 's') return percent_text(spec, value.str());
  if (letter == 'r' || letter == 'a') return percent_text(spec, value.repr());
  const bool is_real = std::string_view("eEfFgG").find(letter) != std::string_view::npos;
  const bool is_hex = std::string_view("xXo").find(letter) != std::string_view::npos;
  if (!is_real && !is_hex && std::string_view("diu").find(letter) == std::string_view::npos)
    throw TemplateError(fmt::format("unsupported format character '{}'", letter));
  const auto real = value.as_number();
  const auto integer = value.as_integer();
  if (!real || (is_hex && !integer))
    throw TemplateError(fmt::format("%{} format: {} is required, not {}", letter,
                                    is_hex ? "an integer" : "a real number", value.type_name()));
  if (is_real) return Text(percent_real(spec, letter, *real), kTemplate);
  if (!integer && !std::isfinite(*real))
    throw TemplateError("an infinite number or none at all has no integer");
  return Text(
      percent_integer(spec, letter,
                      integer.value_or(static_cast<int64_t>(std::clamp(*real, -9.2e18, 9.2e18)))),
      kTemplate);
}

}  // namespace

Text format_percent(const Text& format, const Value& arguments) {
  const std::string_view f = format.view();
  const Sequence* tuple = arguments.as_sequence();
  if (tuple && tuple->type != Sequence::Type::kTuple) tuple = nullptr;
  size_t used = 0;
  const auto next = [&]() -> Value {
    if (used >= (tuple ? tuple->items.size() : 1))
      throw TemplateError("not enough arguments for format string");
    return tuple ? tuple->items[used++] : (++used, arguments);
  };
  Text out;
  bool by_name = false;
  for (size_t i = 0; i < f.size();) {
    const size_t percent = std::min(f.find('%', i), f.size());
    out.append(format, i, percent);
    if ((i = percent) >= f.size()) break;
    if (++i >= f.size()) throw TemplateError("incomplete format");
    std::optional<Value> named;
    if (f[i] == '(') {
      const size_t close = f.find(')', i);
      const Dict* dict = arguments.as_dict();
      if (close == std::string_view::npos || !dict)
        throw TemplateError("format requires a mapping");
      const Value* found = dict->find(f.substr(i + 1, close - i - 1));
      if (!found) throw TemplateError("format: no such key");
      named = *found;
      by_name = true;
      i = close + 1;
    }
    const size_t letter = std::min(f.find_first_not_of("-+ #0123456789.", i), f.size());
    if (letter == f.size()) throw TemplateError("incomplete format");
    if (f[letter] == '%')
      out.append("%", format.origin_at(letter));
    else
      out.append(one_percent(f.substr(i, letter - i), f[letter], named ? *named : next()));
    i = letter + 1;
  }
  if (!by_name && !arguments.as_dict() && used < (tuple ? tuple->items.size() : 1))
    throw TemplateError("not all arguments converted during string formatting");
  return out;
}

Text format_braces(const Text& format, const Arguments& arguments) {
  const std::string_view f = format.view();
  size_t automatic = 0;
  Text out;
  for (size_t i = 0; i < f.size();) {
    const size_t brace = std::min(f.find_first_of("{}", i), f.size());
    out.append(format, i, brace);
    if (brace == f.size()) break;
    if (brace + 1 < f.size() && f[brace + 1] == f[brace]) {
      out.append(format, brace, brace + 1);
      i = brace + 2;
      continue;
    }
    const size_t close = f[brace] == '{' ? f.find('}', brace) : std::string_view::npos;
    if (close == std::string_view::npos)
      throw TemplateError(fmt::format("Single '{}' encountered in format string", f[brace]));
    const std::string field(f.substr(brace + 1, close - brace - 1));
    const bool number = !field.empty() && field.size() < 4 &&
                        field.find_first_not_of("0123456789") == std::string::npos;
    if (field.find_first_of(".[!:{") != std::string::npos)
      throw TemplateError(fmt::format("the format field '{{{}}}' is not supported", field));
    const Value value =
        field.empty() || number
            ? argument(arguments,
                       number ? static_cast<size_t>(std::atoi(field.c_str())) : automatic++, "",
                       Value::undefined("format: too few arguments"))
            : argument(arguments, SIZE_MAX, field, Value::undefined("format: no such name"));
    if (value.is_undefined()) throw TemplateError(value.undefined_reason());
    out.append(value.str());
    i = close + 1;
  }
  return out;
}

}  // namespace sllm::jinja
