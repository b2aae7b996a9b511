// Filters (jinja2/filters.py): those of text and numbers here, those of sequences below them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/sequence_filters.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

Value default_value(Interpreter&, const Value& v, Arguments& a) {
  const bool boolean = argument(a, 1, "boolean", Value(false)).truthy();
  if (v.is_undefined() || (boolean && !v.truthy()))
    return argument(a, 0, "default_value", Value(Text()));
  return v;
}

Value length(Interpreter&, const Value& v, Arguments&) {
  const auto n = length_of(v);
  if (!n) throw TemplateError(fmt::format("object of type '{}' has no len()", v.type_name()));
  return *n;
}

Value trim(Interpreter&, const Value& v, Arguments& a) {
  const Value chars = argument(a, 0, "chars", Value());
  return strip(v.str(), true, true, chars.is_none() ? "" : as_string(chars, "chars").view(),
               !chars.is_none());
}

Value replace_filter(Interpreter& i, const Value& v, Arguments& a) {
  const Text text = v.str(), by = argument(a, 1, "new", Value()).str();
  const Value count = argument(a, 2, "count", Value());
  return charged_replace(i, text, argument(a, 0, "old", Value()).str(), by,
                         count.is_none() ? -1 : as_index(count, "count"));
}

// All lines but the first (and blank ones) get `width` spaces or the given text in front.
Value indent(Interpreter& interpreter, const Value& v, Arguments& a) {
  const Value width = argument(a, 0, "width", Value(4));
  const bool first = argument(a, 1, "first", Value(false)).truthy();
  const bool blank = argument(a, 2, "blank", Value(false)).truthy();
  Text by;
  if (width.as_text())
    by = *width.as_text();
  else
    by = Text(std::string(
                  static_cast<size_t>(std::clamp<int64_t>(as_index(width, "width"), 0, 1000)), ' '),
              kTemplate);
  Text source = as_string(v, "the value to indent");
  source.append("\n", kTemplate);
  Text out;
  bool at_first = true;
  for (const Text& line : split_lines(source)) {
    if (!at_first) out.append("\n", kTemplate);
    if (at_first ? first : blank || !line.empty()) out.append(by);
    out.append(line);
    at_first = false;
  }
  interpreter.charge_text(out.size());
  return out;
}

// Capitals after white space and opening brackets, lower case elsewhere.
Value title(Interpreter&, const Value& v, Arguments&) {
  const Text text = v.str();
  Text out;
  bool starts = true;
  for (size_t i = 0; i < text.size();) {
    const unicode::Char c = unicode::decode(text.bytes().data() + i);
    const Text one = text.slice(i, i + c.length);
    out.append(starts ? to_upper(one) : to_lower(one));
    starts = is_python_space(c.code) || std::string_view("-({[<").find(one.view()) < 5;
    i += c.length;
  }
  return out;
}

Value int_filter(Interpreter&, const Value& v, Arguments& a) {
  const Value otherwise = argument(a, 0, "default", Value(0));
  if (const auto i = v.as_integer()) return *i;
  if (v.is_undefined()) throw TemplateError(v.undefined_reason());
  std::optional<double> real;
  if (v.is_float()) {
    real = *v.as_number();
  } else if (const Text* text = v.as_text()) {
    if (const auto i = parse_integer(*text, as_index(argument(a, 1, "base", Value(10)), "base")))
      return *i;
    real = parse_real(*text);
    if (real && !std::isfinite(*real)) real.reset();  // int(float("inf")) is caught there
  }
  if (!real || std::isnan(*real)) return otherwise;
  if (std::isinf(*real)) throw TemplateError("cannot convert float infinity to integer");
  if (std::fabs(*real) > 9.2e18) throw TemplateError("integer is too large");
  return static_cast<int64_t>(*real);
}

Value float_filter(Interpreter&, const Value& v, Arguments& a) {
  if (const auto d = v.as_number()) return *d;
  if (v.is_undefined()) throw TemplateError(v.undefined_reason());
  const auto real = v.as_text() ? parse_real(*v.as_text()) : std::nullopt;
  return real ? Value(*real) : argument(a, 0, "default", Value(0.0));
}

// round(int, -2): to the nearest hundred, half to even.
Value round_integer(int64_t number, int64_t digits) {
  if (digits >= 0) return number;
  if (digits < -18) return int64_t{0};
  int64_t unit = 1;
  for (; digits < 0; ++digits) unit *= 10;
  int64_t quotient = number / unit, rest = number % unit;
  if (rest < 0) rest += unit, --quotient;
  if (rest > unit / 2 || (rest == unit / 2 && quotient % 2 != 0)) ++quotient;
  int64_t result = 0;
  if (__builtin_mul_overflow(quotient, unit, &result)) throw TemplateError("integer is too large");
  return result;
}

Value round_filter(Interpreter&, const Value& v, Arguments& a) {
  const std::string method = argument(a, 1, "method", Value::text("common")).str().bytes();
  if (method != "common" && method != "ceil" && method != "floor")
    throw TemplateError("method must be common, ceil or floor");
  const auto number = v.as_number();
  if (!number) throw TemplateError(fmt::format("type {} cannot be rounded", v.type_name()));
  const int64_t digits =
      std::clamp<int64_t>(as_index(argument(a, 0, "precision", Value(0)), "precision"), -300, 300);
  if (method == "common") {
    if (v.as_integer()) return round_integer(*v.as_integer(), digits);
    // Half to even on the decimal digits, as Python does: through the correctly rounded printout.
    if (digits >= 0) return std::stod(fmt::format("{:.{}f}", *number, static_cast<int>(digits)));
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(*number / unit) * unit;
  }
  const double unit = std::pow(10.0, static_cast<double>(digits));
  return (method == "ceil" ? std::ceil(*number * unit) : std::floor(*number * unit)) / unit;
}

Value abs_filter(Interpreter&, const Value& v, Arguments&) {
  if (const auto i = v.as_integer(); i && *i != INT64_MIN) return *i < 0 ? -*i : *i;
  if (v.is_float()) return std::fabs(*v.as_number());
  throw TemplateError(fmt::format("bad operand type for abs(): '{}'", v.type_name()));
}

Value escape(Interpreter& i, const Value& v, Arguments&) {
  Text text = escape_html(v.str());
  i.charge_text(text.size());
  return text;
}

Value force_escape(Interpreter& i, const Value& v, Arguments&) {
  Text text = escape_html(v.str().set_markup(false));
  i.charge_text(text.size());
  return text;
}

Value format_filter(Interpreter& i, const Value& v, Arguments& a) {
  i.charge(v.weight());
  if (!a.named.empty()) {
    if (!a.positional.empty())
      throw TemplateError("can't handle positional and keyword arguments at the same time");
    i.charge(a.named.size() * (a.named.size() + v.weight()) / 16);
    auto dict = std::make_shared<Dict>();
    for (auto& [key, value] : a.named) dict->set(Value::text(key), value);
    return format_percent(v.str(), Value(std::move(dict)));
  }
  return format_percent(v.str(), Sequence::make(a.positional, Sequence::Type::kTuple));
}

Value word_count(Interpreter&, const Value& v, Arguments&) {
  const Text text = v.str();
  size_t words = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    const unicode::Char c = unicode::decode(text.bytes().data() + i);
    const bool word = unicode::is_word(c.code);
    words += word && !inside;
    inside = word;
    i += c.length;
  }
  return words;
}

// Percent codes; in a query string the slash too, and "+" for spaces.
void append_url(Text& out, const Text& text, bool query) {
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text.bytes()[at];
    const auto byte = static_cast<uint8_t>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) || std::string_view("_.-~").find(c) < 4 ||
                                       (c == '/' && !query));
    if (c == ' ' && query)
      out.append("+", text.origin_at(at));
    else
      out.append(plain ? std::string(1, c) : fmt::format("%{:02X}", byte), text.origin_at(at));
  }
}

Value url_encode(Interpreter& i, const Value& v, Arguments&) {
  Text out;
  if (v.as_text() || !is_iterable(v)) {
    append_url(out, v.str(), false);
  } else {
    std::vector<Value> pairs;
    if (const Dict* d = v.as_dict())
      for (const auto& [key, value] : d->items) pairs.push_back(Sequence::make({key, value}));
    else
      pairs = iterate(v);
    for (size_t k = 0; k < pairs.size(); ++k) {
      const std::vector<Value> pair = iterate(pairs[k]);
      if (pair.size() != 2) throw TemplateError("urlencode: expected pairs");
      if (k) out.append("&", kTemplate);
      append_url(out, pair[0].str(), true);
      out.append("=", kTemplate);
      append_url(out, pair[1].str(), true);
      i.charge_text(out.size());
    }
  }
  i.charge_text(out.size());
  return out;
}

Value file_size_format(Interpreter&, const Value& v, Arguments& a) {
  const bool binary = argument(a, 0, "binary", Value(false)).truthy();
  const auto bytes = v.as_text() ? parse_real(*v.as_text()) : v.as_number();
  if (!bytes) throw TemplateError("filesizeformat: expected a number");
  const double base = binary ? 1024 : 1000;
  if (*bytes == 1) return Value::text("1 Byte");
  if (*bytes < base) return Value::text(fmt::format("{} Bytes", std::trunc(*bytes)));
  double unit = base;
  const std::string_view prefixes = "kMGTPEZY";
  for (size_t k = 0;; ++k) {
    unit *= base;
    if (*bytes < unit || k + 1 == prefixes.size())
      return Value::text(fmt::format("{:.1f} {}{}", base * *bytes / unit,
                                     binary && k == 0 ? 'K' : prefixes[k], binary ? "iB" : "B"));
  }
}

Value truncate(Interpreter&, const Value& v, Arguments& a) {
  const Text text = v.str();
  const int64_t most = as_index(argument(a, 0, "length", Value(255)), "length");
  const bool kill = argument(a, 1, "killwords", Value(false)).truthy();
  const Text end = argument(a, 2, "end", Value::text("...")).str();
  const int64_t leeway = as_index(argument(a, 3, "leeway", Value(5)), "leeway");
  if (static_cast<int64_t>(count_chars(text.view())) <= most + leeway) return text;
  const int64_t keep = most - static_cast<int64_t>(count_chars(end.view()));
  if (keep < 0) throw TemplateError("truncate: the length is shorter than its end");
  Text out = text.slice(0, byte_of_char(text.view(), static_cast<size_t>(keep)));
  if (const size_t space = out.view().rfind(' '); !kill && space != std::string_view::npos)
    out = out.slice(0, space);
  out.append(text.markup() ? escape_html(end) : end);
  return out;
}

Value center(Interpreter& i, const Value& v, Arguments& a) {
  return i.call(i.get_attribute(Value(v.str()), "center"),
                {{argument(a, 0, "width", Value(80))}, {}});
}

Value attr(Interpreter& i, const Value& v, Arguments& a) {
  const Text name = as_string(argument(a, 0, "name", Value()), "name");
  if (v.as_dict() && !find_method(v, name.view()))
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name.view()));
  return i.get_attribute(v, name.view());
}

using I = Interpreter&;
constexpr Builtin<Filter> kFilters[] = {
    {"default", default_value, "default_value? boolean?"},
    {"d", default_value, "default_value? boolean?"},
    {"length", length},
    {"count", length},
    {"trim", trim, "chars?"},
    {"replace", replace_filter, "old new count?"},
    {"indent", indent, "width? first? blank?"},
    {"title", title},
    {"upper", [](I, const Value& v, Arguments&) -> Value { return to_upper(v.str()); }},
    {"lower", [](I, const Value& v, Arguments&) -> Value { return to_lower(v.str()); }},
    {"capitalize", [](I, const Value& v, Arguments&) -> Value { return to_title(v.str(), true); }},
    {"string", [](I, const Value& v, Arguments&) -> Value { return v.str(); }},
    {"safe", [](I, const Value& v, Arguments&) -> Value { return v.str().set_markup(); }},
    {"int", int_filter, "default? base?"},
    {"float", float_filter, "default?"},
    {"round", round_filter, "precision? method?"},
    {"abs", abs_filter},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"format", format_filter, nullptr},
    {"filesizeformat", file_size_format, "binary?"},
    {"wordcount", word_count},
    {"urlencode", url_encode},
    {"truncate", truncate, "length? killwords? end? leeway?"},
    {"center", center, "width?"},
    {"attr", attr, "name"},
    {"tojson", [](I i, const Value& v, Arguments& a) -> Value { return to_json(i, v, a); },
     "ensure_ascii? indent? separators? sort_keys?"},
};

}  // namespace

const Builtin<Filter>* find_filter(std::string_view name) {
  const auto* found = std::ranges::find(kFilters, name, &Builtin<Filter>::name);
  return found == std::end(kFilters) ? find_sequence_filter(name) : found;
}

}  // namespace sllm::jinja
