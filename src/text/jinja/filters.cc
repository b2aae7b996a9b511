// Filters (jinja2/filters.py): those of text and numbers here, those of sequences below them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/sequence_filters.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

Value default_value(Interpreter&, const Value& v, Arguments& a) {
  check_arguments(a, "default", 2, {"default_value", "boolean"});
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
  check_arguments(a, "trim", 1, {"chars"});
  const Value chars = argument(a, 0, "chars", Value());
  return strip(v.str(), true, true, chars.is_none() ? "" : as_string(chars, "chars").view(),
               !chars.is_none());
}

Value replace_filter(Interpreter& i, const Value& v, Arguments& a) {
  check_arguments(a, "replace", 3, {"old", "new", "count"});
  const Text text = v.str(), by = argument(a, 1, "new", Value()).str();
  const Value count = argument(a, 2, "count", Value());
  i.charge_text(text.size() * (1 + by.size()));
  return replace(text, argument(a, 0, "old", Value()).str(), by,
                 count.is_none() ? -1 : as_index(count, "count"));
}

// All lines but the first (and blank ones) get `width` spaces or the given text in front.
Value indent(Interpreter& interpreter, const Value& v, Arguments& a) {
  check_arguments(a, "indent", 3, {"width", "first", "blank"});
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
  if (v.is_float())
    return std::fabs(*v.as_number()) < 9.2e18 ? Value(static_cast<int64_t>(*v.as_number()))
                                              : otherwise;
  if (v.is_undefined()) throw TemplateError(v.undefined_reason());
  if (!v.as_text()) return otherwise;
  const int64_t base = as_index(argument(a, 1, "base", Value(10)), "base");
  std::string text = strip(*v.as_text(), true, true, "", false).bytes();
  std::erase(text, '_');
  if (text.starts_with('+')) text.erase(0, 1);
  int64_t number = 0;
  const auto end = text.data() + text.size();
  if (base >= 2 && base <= 36 && !text.empty() &&
      std::from_chars(text.data(), end, number, static_cast<int>(base)).ptr == end)
    return number;
  double real = 0;
  if (!text.empty() && std::from_chars(text.data(), end, real).ptr == end &&
      std::fabs(real) < 9.2e18)
    return static_cast<int64_t>(real);
  return otherwise;
}

Value float_filter(Interpreter&, const Value& v, Arguments& a) {
  if (const auto d = v.as_number()) return *d;
  if (v.is_undefined()) throw TemplateError(v.undefined_reason());
  if (const Text* t = v.as_text()) {
    std::string text = strip(*t, true, true, "", false).bytes();
    if (text.starts_with('+')) text.erase(0, 1);
    double real = 0;
    const auto end = text.data() + text.size();
    if (!text.empty() && std::from_chars(text.data(), end, real).ptr == end) return real;
  }
  return argument(a, 0, "default", Value(0.0));
}

Value round_filter(Interpreter&, const Value& v, Arguments& a) {
  const auto number = v.as_number();
  if (!number) throw TemplateError(fmt::format("type {} cannot be rounded", v.type_name()));
  const int64_t digits =
      std::clamp<int64_t>(as_index(argument(a, 0, "precision", Value(0)), "precision"), -300, 300);
  const std::string method = argument(a, 1, "method", Value::text("common")).str().bytes();
  if (method == "common") {
    // Half to even on the decimal digits, as Python does: through the correctly rounded printout.
    if (digits >= 0) return std::stod(fmt::format("{:.{}f}", *number, static_cast<int>(digits)));
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(*number / unit) * unit;
  }
  const double unit = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil") return std::ceil(*number * unit) / unit;
  if (method == "floor") return std::floor(*number * unit) / unit;
  throw TemplateError("method must be common, ceil or floor");
}

Value abs_filter(Interpreter&, const Value& v, Arguments&) {
  if (const auto i = v.as_integer(); i && *i != INT64_MIN) return *i < 0 ? -*i : *i;
  if (v.is_float()) return std::fabs(*v.as_number());
  throw TemplateError(fmt::format("bad operand type for abs(): '{}'", v.type_name()));
}

Value escape(Interpreter& i, const Value& v, Arguments&) {
  Text text = v.str();
  static constexpr std::pair<std::string_view, std::string_view> kEscapes[] = {
      {"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
  for (const auto& [from, to] : kEscapes)
    text = replace(text, Text(from, kTemplate), Text(to, kTemplate), -1);
  i.charge_text(text.size());
  return text;
}

Value format_filter(Interpreter&, const Value& v, Arguments& a) {
  if (!a.named.empty()) {
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

Value url_encode(Interpreter& i, const Value& v, Arguments&) {
  const Text text = v.str();
  Text out;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<uint8_t>(text.bytes()[at]);
    const bool plain = std::isalnum(byte) || std::string_view("_.-~/").find(text.bytes()[at]) < 5;
    out.append(plain ? std::string(1, text.bytes()[at]) : fmt::format("%{:02X}", byte),
               text.origin_at(at));
  }
  i.charge_text(out.size());
  return out;
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
  out.append(end);
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
constexpr std::pair<std::string_view, Filter> kFilters[] = {
    {"default", default_value},
    {"d", default_value},
    {"length", length},
    {"count", length},
    {"trim", trim},
    {"replace", replace_filter},
    {"indent", indent},
    {"title", title},
    {"upper", [](I, const Value& v, Arguments&) -> Value { return to_upper(v.str()); }},
    {"lower", [](I, const Value& v, Arguments&) -> Value { return to_lower(v.str()); }},
    {"capitalize", [](I, const Value& v, Arguments&) -> Value { return to_title(v.str(), true); }},
    {"string", [](I, const Value& v, Arguments&) -> Value { return v.str(); }},
    {"safe", [](I, const Value& v, Arguments&) -> Value { return v.str(); }},
    {"int", int_filter},
    {"float", float_filter},
    {"round", round_filter},
    {"abs", abs_filter},
    {"escape", escape},
    {"e", escape},
    {"forceescape", escape},
    {"format", format_filter},
    {"wordcount", word_count},
    {"urlencode", url_encode},
    {"truncate", truncate},
    {"center", center},
    {"attr", attr},
    {"tojson", [](I i, const Value& v, Arguments& a) -> Value { return to_json(i, v, a); }},
};

}  // namespace

Filter find_filter(std::string_view name) {
  for (const auto& [key, filter] : kFilters)
    if (key == name) return filter;
  return find_sequence_filter(name);
}

}  // namespace sllm::jinja
