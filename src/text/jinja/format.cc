// The two ways Python strings are filled in: "%s" % x and "{}".format(x). What is rare in templates
// (field attributes, nested widths) is refused.
#include <fmt/format.h>
#include <fmt/printf.h>

#include <algorithm>

#include "text/jinja/builtins.h"

namespace sllm::jinja {
namespace {

constexpr size_t kMaxWidth = 1000;

// %5.2f and the like; `spec` is all between % and the letter.
Text one_percent(std::string_view spec, char letter, const Value& value) {
  size_t digits = spec.find_first_of("0123456789.");
  const std::string number(spec.substr(std::min(digits, spec.size())));
  if (number.size() > 7 || std::count(number.begin(), number.end(), '.') > 1)
    throw TemplateError("a format's width is too large");
  if (letter == 's' || letter == 'r' || letter == 'a') {
    Text text = letter == 's' ? value.str() : value.repr();
    const size_t dot = number.find('.');
    if (dot != std::string::npos)
      text = text.slice(
          0, byte_of_char(text.view(), static_cast<size_t>(std::atoi(number.c_str() + dot + 1))));
    const auto width = std::min(kMaxWidth, static_cast<size_t>(std::atoi(number.c_str())));
    const size_t length = count_chars(text.view());
    const Text pad(std::string(width > length ? width - length : 0, ' '), kTemplate);
    Text out = spec.starts_with('-') ? text : pad;
    out.append(spec.starts_with('-') ? pad : text);
    return out;
  }
  const auto real = value.as_number();
  if (!real)
    throw TemplateError(
        fmt::format("%{} format: a real number is required, not {}", letter, value.type_name()));
  if (std::atoi(number.c_str()) > static_cast<int>(kMaxWidth))
    throw TemplateError("a format's width is too large");
  if (std::string_view("eEfFgG").find(letter) != std::string_view::npos)
    return Text(fmt::sprintf(fmt::format("%{}{}", spec, letter), *real), kTemplate);
  if (std::string_view("diuxXo").find(letter) == std::string_view::npos)
    throw TemplateError(fmt::format("unsupported format character '{}'", letter));
  const int64_t integer =
      value.as_integer().value_or(static_cast<int64_t>(std::clamp(*real, -9.2e18, 9.2e18)));
  if (letter == 'd' || letter == 'i' || letter == 'u')
    return Text(fmt::sprintf(fmt::format("%{}d", spec), integer), kTemplate);
  if (integer < 0) throw TemplateError("negative numbers in hexadecimal are not supported");
  return Text(fmt::sprintf(fmt::format("%{}{}", spec, letter), integer), kTemplate);
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
