// "{} {name:>8}".format(...), with Python's format specification ([[fill]align][sign][#][0][width]
// [grouping][.precision][type]) for text, integers and floats.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

constexpr int kMaxWidth = 1000;

struct Spec {
  std::string fill = " ";
  char align = 0, sign = '-', grouping = 0, type = 0;
  bool alternate = false;
  bool zeros = false;  // "0" with no alignment named: zeros go behind the sign
  int width = 0, precision = -1;
};

Spec parse_spec(std::string_view text) {
  Spec spec;
  const auto is_align = [](char c) { return std::string_view("<>=^").find(c) < 4; };
  bool given = false;
  const size_t first = text.empty() ? 0 : unicode::decode(text.data()).length;
  if (first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    given = true;
    spec.align = text[first];
    text.remove_prefix(first + 1);
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
  const auto take = [&text](std::string_view options) {
    const bool there = !text.empty() && options.find(text[0]) != std::string_view::npos;
    const char c = there ? text[0] : '\0';
    if (there) text.remove_prefix(1);
    return c;
  };
  const auto number = [&] {
    int value = 0;
    while (const char digit = take("0123456789"))
      if ((value = 10 * value + (digit - '0')) > kMaxWidth)
        throw TemplateError("a format's width is too large");
    return value;
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (take("0") && !given) {
    spec.fill.assign(1, '0');
    spec.zeros = spec.align == 0;
  }
  spec.width = number();
  spec.grouping = take(",_");
  if (take(".")) {
    if (text.empty() || text[0] < '0' || text[0] > '9')
      throw TemplateError("Format specifier missing precision");
    spec.precision = number();
  }
  if (text.size() > 1) throw TemplateError("Invalid format specifier");
  spec.type = text.empty() ? '\0' : text[0];
  return spec;
}

Text padded(const Spec& spec, const Text& text, char align) {
  const size_t length = count_chars(text.view()), width = static_cast<size_t>(spec.width);
  const size_t missing = width > length ? width - length : 0;
  const size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  Text out;
  for (size_t i = 0; i < left; ++i) out.append(spec.fill, kTemplate);
  out.append(text);
  for (size_t i = left; i < missing; ++i) out.append(spec.fill, kTemplate);
  return out;
}

// The digits in groups of `size` from the right, with zeros before them up to `width` characters.
std::string grouped(std::string digits, char separator, size_t size, size_t width) {
  const auto length = [&](size_t n) { return separator && n ? n + (n - 1) / size : n; };
  // A separator does not begin a number: one zero more stands before it.
  if (width > 0)
    while (length(digits.size()) < width) digits.insert(0, 1, '0');
  if (separator)
    for (size_t at = digits.size(); at > size;) digits.insert(at -= size, 1, separator);
  return digits;
}

// `digits` is split into whole ones and the rest (fraction, exponent, percent sign).
Text number_text(const Spec& spec, bool negative, const std::string& base, std::string digits,
                 size_t group) {
  const std::string prefix = (negative           ? "-"
                              : spec.sign == '-' ? ""
                                                 : std::string(1, spec.sign)) +
                             base;
  const size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  const size_t end = group == 3 ? std::min(digits.find_first_of(".eE%in"), whole) : whole;
  const std::string rest = digits.substr(end);
  const bool zeros = spec.zeros || (spec.align == '=' && spec.fill == "0");
  const size_t used = prefix.size() + rest.size(), width = static_cast<size_t>(spec.width);
  digits = grouped(digits.substr(0, end), spec.grouping, group,
                   zeros && width > used ? width - used : 0);
  Spec padding = spec;
  if (spec.align == '=') {
    padding.width -= static_cast<int>(std::min(prefix.size(), width));
    Text out(prefix, kTemplate);
    out.append(padded(padding, Text(digits + rest, kTemplate), '>'));
    return out;
  }
  return padded(padding, Text(prefix + digits + rest, kTemplate), spec.align ? spec.align : '>');
}

Text real_text(const Spec& spec, double value) {
  const double magnitude = std::fabs(value);
  const bool negative = std::signbit(value) && !std::isnan(value);
  const std::string hash = spec.alternate ? "#" : "";
  const auto with = [&](char type, int precision, double number) {
    return fmt::format(fmt::runtime(fmt::format("{{:{}.{}{}}}", hash, precision, type)), number);
  };
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  std::string digits;
  switch (spec.type) {
    case '\0':
      if (spec.precision < 0) {
        digits = float_repr(magnitude);
      } else {  // as g, but with a digit behind the point at least
        digits = with('g', std::max(precision, 1), magnitude);
        if (digits.find_first_of(".einf") == std::string::npos) {
          // Where the point would take the last digit's place, Python turns to an exponent.
          digits = static_cast<int>(digits.size()) >= std::max(precision, 1)
                       ? with('e', std::max(precision, 1) - 1, magnitude)
                       : digits + ".0";
        }
      }
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      digits = with(spec.type, precision, magnitude);
      break;
    case 'n':
      digits = with('g', precision, magnitude);
      break;
    case '%':
      digits = with('f', precision, magnitude * 100) + "%";
      break;
    default:
      throw TemplateError(
          fmt::format("Unknown format code '{}' for object of type 'float'", spec.type));
  }
  return number_text(spec, negative, "", std::move(digits), 3);
}

Text integer_text(const Spec& spec, int64_t value) {
  if (spec.type && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)
    return real_text(spec, static_cast<double>(value));
  if (spec.precision >= 0) throw TemplateError("Precision not allowed in integer format specifier");
  if (spec.type == 'c') {
    if (value < 0 || value > 0x10FFFF) throw TemplateError("%c arg not in range(0x110000)");
    std::string text;
    unicode::append_utf8(text, static_cast<char32_t>(value));
    return padded(spec, Text(unicode::sanitize_utf8(text), kTemplate),
                  spec.align ? spec.align : '>');
  }
  const char type = spec.type == '\0' || spec.type == 'n' ? 'd' : spec.type;
  if (std::string_view("bdoxX").find(type) == std::string_view::npos)
    throw TemplateError(
        fmt::format("Unknown format code '{}' for object of type 'int'", spec.type));
  if (spec.grouping == ',' && type != 'd')
    throw TemplateError(fmt::format("Cannot specify ',' with '{}'.", type));
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : value;
  std::string digits = fmt::format(fmt::runtime(std::string{'{', ':', type, '}'}), magnitude);
  const std::string base = spec.alternate && type != 'd' ? std::string{'0', type} : std::string();
  return number_text(spec, value < 0, base, std::move(digits), type == 'd' ? 3 : 4);
}

Text format_value(const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return value.str();
  const Spec spec = parse_spec(spec_text);
  if (const Text* text = value.as_text()) {
    if ((spec.type && spec.type != 's') || spec.sign != '-' || spec.alternate || spec.grouping ||
        spec.align == '=')
      throw TemplateError(fmt::format("the format '{}' is not one of text", spec_text));
    Text out = *text;
    if (spec.precision >= 0)
      out = out.slice(0, byte_of_char(out.view(), static_cast<size_t>(spec.precision)));
    return padded(spec, out, spec.align ? spec.align : '<');
  }
  if (const auto integer = value.as_integer()) return integer_text(spec, *integer);
  if (const auto real = value.as_number()) return real_text(spec, *real);
  throw TemplateError(
      fmt::format("unsupported format string passed to {}.__format__", value.type_name()));
}

class Formatter {
 public:
  Formatter(Interpreter& interpreter, const Arguments& arguments, bool markup)
      : interpreter_(interpreter), arguments_(arguments), markup_(markup) {}

  // `depth`: a field's specification may hold fields, those of it none.
  Text fill(const Text& format, int depth) {
    if (depth > 1) throw TemplateError("Max string recursion exceeded");
    const std::string_view f = format.view();
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
      const size_t close = f[brace] == '{' ? end_of_field(f, brace) : std::string_view::npos;
      if (close == std::string_view::npos)
        throw TemplateError(fmt::format("Single '{}' encountered in format string", f[brace]));
      out.append(field(format.slice(brace + 1, close), depth));
      interpreter_.charge_text(out.size() / 8);
      i = close + 1;
    }
    return out;
  }

 private:
  static size_t end_of_field(std::string_view f, size_t open) {
    int nested = 0;
    for (size_t i = open; i < f.size(); ++i)
      if (f[i] == '{')
        ++nested;
      else if (f[i] == '}' && --nested == 0)
        return i;
    return std::string_view::npos;
  }

  Text field(const Text& text, int depth) {
    const std::string_view f = text.view();
    // "]" ends what "[" opened; until then ":" and "!" are part of the key.
    size_t name_end = 0;
    for (bool in_key = false; name_end < f.size(); ++name_end) {
      if (f[name_end] == '[') in_key = true;
      if (f[name_end] == ']') in_key = false;
      if (!in_key && (f[name_end] == ':' || f[name_end] == '!')) break;
    }
    Value value = lookup(f.substr(0, name_end));
    size_t at = name_end;
    if (at < f.size() && f[at] == '!') {
      if (at + 1 >= f.size()) throw TemplateError("end of string while looking for conversion");
      const char how = f[at + 1];
      if (how != 's' && how != 'r' && how != 'a')
        throw TemplateError(fmt::format("Unknown conversion specifier {}", how));
      value = Value(how == 's' ? value.str() : how == 'r' ? value.repr() : ascii(value.repr()));
      at += 2;
      if (at < f.size() && f[at] != ':')
        throw TemplateError("expected ':' after conversion specifier");
    }
    Text spec;
    if (at < f.size()) spec = fill(text.slice(at + 1, f.size()), depth + 1);
    Text out = format_value(value, spec.view());
    return markup_ ? escape_html(out) : out;
  }

  // "0", "name", "" (the next), with ".attribute" and "[key]" behind it.
  Value lookup(std::string_view name) {
    interpreter_.charge(1 + arguments_.named.size() / 16);
    const size_t first = std::min(name.find_first_of(".["), name.size());
    const std::string head(name.substr(0, first));
    const bool digits =
        head.size() < 9 && head.find_first_not_of("0123456789") == std::string::npos;
    Value missing = Value::undefined(fmt::format("format: there is no argument '{}'", head));
    if (head.empty() && automatic_ < 0)
      throw TemplateError("cannot switch from manual field numbering to automatic");
    if (!head.empty() && digits && automatic_ > 0)
      throw TemplateError("cannot switch from automatic field numbering");
    Value value;
    if (head.empty())
      value = argument(arguments_, static_cast<size_t>(automatic_++), "", missing);
    else if (digits)
      automatic_ = -1, value = argument(arguments_, std::stoul(head), "", missing);
    else
      value = argument(arguments_, SIZE_MAX, head, missing);
    if (value.is_undefined() && value.undefined_reason() == missing.undefined_reason())
      throw TemplateError(missing.undefined_reason());
    for (name.remove_prefix(first); !name.empty();) {
      const bool key = name[0] == '[';
      const size_t end = key ? name.find(']') : std::min(name.find_first_of(".[", 1), name.size());
      const std::string_view part = end == std::string_view::npos ? "" : name.substr(1, end - 1);
      if (part.empty()) throw TemplateError("Empty attribute in format string");
      if (part.starts_with("__"))
        throw TemplateError(fmt::format("access to attribute '{}' is not allowed", part));
      const bool number =
          part.size() < 9 && part.find_first_not_of("0123456789") == std::string_view::npos;
      if (key)
        value = interpreter_.get_item(
            value, number ? Value(std::stoi(std::string(part))) : Value::text(part));
      else
        value = interpreter_.get_attribute(value, part);
      name.remove_prefix(end + (key ? 1 : 0));
      if (key && !name.empty() && name[0] != '.' && name[0] != '[')
        throw TemplateError("Only '.' or '[' may follow ']' in format field specifier");
    }
    return value;
  }

  Interpreter& interpreter_;
  const Arguments& arguments_;
  bool markup_;
  int automatic_ = 0;  // the next field without a number; -1 when they have them
};

}  // namespace

Text ascii(const Text& text) {
  Text out;
  for (size_t i = 0; i < text.size();) {
    const unicode::Char c = unicode::decode(text.bytes().data() + i);
    const auto code = static_cast<uint32_t>(c.code);
    if (code < 0x80)
      out.append(text, i, i + c.length);
    else
      out.append(code <= 0xFF     ? fmt::format("\\x{:02x}", code)
                 : code <= 0xFFFF ? fmt::format("\\u{:04x}", code)
                                  : fmt::format("\\U{:08x}", code),
                 text.origin_at(i));
    i += c.length;
  }
  return out;
}

Text format_braces(Interpreter& interpreter, const Text& format, const Arguments& arguments) {
  return Formatter(interpreter, arguments, format.markup()).fill(format, 0);
}

}  // namespace sllm::jinja
