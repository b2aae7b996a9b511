// "%s: %-5d" % (name, 5), as Python fills it in.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/unicode.h"

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

Text one_char(const Spec& spec, const Value& value) {
  std::string text;
  if (const auto code = value.as_integer()) {
    if (*code < 0 || *code > 0x10FFFF) throw TemplateError("%c arg not in range(0x110000)");
    unicode::append_utf8(text, static_cast<char32_t>(*code));
    return percent_text(spec, Text(unicode::sanitize_utf8(text), kTemplate));
  }
  if (!value.as_text() || count_chars(value.as_text()->view()) != 1)
    throw TemplateError("%c requires int or char");
  return percent_text(spec, *value.as_text());
}

// %5.2f and the like. What fills in Markup is escaped.
Text one_percent(const Spec& spec, char letter, const Value& value, bool markup) {
  const auto escaped = [markup](Text text) { return markup ? escape_html(text) : text; };
  if (letter == 's') return percent_text(spec, escaped(value.str()));
  if (letter == 'r') return percent_text(spec, escaped(value.repr()));
  if (letter == 'a') return percent_text(spec, escaped(ascii(value.repr())));
  if (letter == 'c') return one_char(spec, value);
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
    const size_t letter = std::min(f.find_first_not_of("-+ #0123456789.*", i), f.size());
    if (letter == f.size()) throw TemplateError("incomplete format");
    std::string between;  // with the stars filled in
    for (const char c : f.substr(i, letter - i))
      between += c == '*' ? std::to_string(as_index(next(), "* wants int")) : std::string(1, c);
    if (f[letter] == '%') {
      out.append("%", format.origin_at(letter));
    } else {
      const Spec spec = parse_spec(between);
      out.append(one_percent(spec, f[letter], named ? *named : next(), format.markup()));
    }
    i = letter + 1;
  }
  if (!by_name && !arguments.as_dict() && used < (tuple ? tuple->items.size() : 1))
    throw TemplateError("not all arguments converted during string formatting");
  return out.set_markup(format.markup());
}

}  // namespace sllm::jinja
