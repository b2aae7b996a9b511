// Methods of strings, lists and dicts. Those that would change their object are refused when called
// (jinja2's ImmutableSandboxedEnvironment).
#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <array>

#include "text/jinja/builtins.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

template <class Good>
bool all_chars(const Text& text, Good&& good) {
  if (text.empty()) return false;
  for (size_t i = 0; i < text.size();) {
    const unicode::Char c = unicode::decode(text.bytes().data() + i);
    if (!good(static_cast<UChar32>(c.code))) return false;
    i += c.length;
  }
  return true;
}

Value strip_method(const Text& self, Arguments& a, bool left, bool right) {
  const Value chars = argument(a, 0, "chars", Value());
  return strip(self, left, right, chars.is_none() ? "" : as_string(chars, "chars").view(),
               !chars.is_none());
}

Value as_list(std::vector<Text> parts) {
  std::vector<Value> items;
  for (Text& t : parts) items.emplace_back(std::move(t));
  return Sequence::make(std::move(items));
}

// Runs of white space separate; none at the ends.
std::vector<Text> split_space(const Text& self, int64_t most) {
  std::vector<Text> parts;
  const std::string_view bytes = self.view();
  for (size_t i = 0; i < bytes.size();) {
    unicode::Char c = unicode::decode(bytes.data() + i);
    if (is_python_space(c.code)) {
      i += c.length;
      continue;
    }
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(strip(self.slice(i, bytes.size()), false, true, "", false));
      break;
    }
    const size_t start = i;
    while (i < bytes.size() && !is_python_space((c = unicode::decode(bytes.data() + i)).code))
      i += c.length;
    parts.push_back(self.slice(start, i));
  }
  return parts;
}

std::vector<Text> rsplit_space(const Text& self, int64_t most) {
  std::vector<Text> parts;
  Text rest = strip(self, false, true, "", false);
  while (!rest.empty()) {
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(strip(rest, true, false, "", false));
      break;
    }
    size_t start = rest.size();
    while (start > 0) {
      const unicode::Char c = unicode::decode_before(rest.bytes().data() + start);
      if (is_python_space(c.code)) break;
      start -= c.length;
    }
    parts.push_back(rest.slice(start, rest.size()));
    rest = strip(rest.slice(0, start), false, true, "", false);
  }
  std::ranges::reverse(parts);
  return parts;
}

Value split_method(Interpreter& interpreter, const Text& self, Arguments& a, bool from_right) {
  check_arguments(a, "split", 2, {"sep", "maxsplit"});
  interpreter.charge_text(self.size() * 4);
  const Value separator = argument(a, 0, "sep", Value());
  const int64_t most = as_index(argument(a, 1, "maxsplit", Value(-1)), "maxsplit");
  if (separator.is_none())
    return as_list(from_right ? rsplit_space(self, most) : split_space(self, most));
  const std::string_view by = as_string(separator, "sep").view();
  if (by.empty()) throw TemplateError("empty separator");
  std::vector<Text> parts;
  size_t from = 0, to = self.size();
  const auto room = [&] { return most < 0 || static_cast<int64_t>(parts.size()) < most; };
  if (from_right) {
    while (room() && to >= by.size()) {
      const size_t at = self.view().substr(0, to).rfind(by);
      if (at == std::string_view::npos) break;
      parts.push_back(self.slice(at + by.size(), to));
      to = at;
    }
    parts.push_back(self.slice(0, to));
    std::ranges::reverse(parts);
  } else {
    while (room()) {
      const size_t at = find_in(self.view(), by, from);
      if (at == std::string_view::npos) break;
      parts.push_back(self.slice(from, at));
      from = at + by.size();
    }
    parts.push_back(self.slice(from, to));
  }
  interpreter.charge(parts.size());
  return as_list(std::move(parts));
}

Value partition(const Text& self, const Arguments& a, bool from_right) {
  const Text& by = as_string(argument(a, 0, "sep", Value()), "sep");
  if (by.empty()) throw TemplateError("empty separator");
  const size_t at = from_right ? self.view().rfind(by.view()) : find_in(self.view(), by.view());
  std::vector<Value> parts;
  if (at == std::string_view::npos) {
    parts = {Text(), Text(), Text()};
    parts[from_right ? 2 : 0] = self;
  } else {
    parts = {self.slice(0, at), by, self.slice(at + by.size(), self.size())};
  }
  return Sequence::make(std::move(parts), Sequence::Type::kTuple);
}

bool affix(const Text& self, const Arguments& a, bool at_start) {
  const Value what = argument(a, 0, "prefix", Value());
  std::vector<Value> options = {what};
  if (what.as_sequence() && what.as_sequence()->type == Sequence::Type::kTuple)
    options = what.as_sequence()->items;
  const size_t n = count_chars(self.view());
  const auto place = [&](size_t i, size_t otherwise) {
    const Value v = argument(a, i, "", Value());
    if (v.is_none()) return otherwise;
    int64_t at = as_index(v, "index");
    if (at < 0) at = std::max<int64_t>(0, at + static_cast<int64_t>(n));
    return byte_of_char(self.view(), static_cast<size_t>(at));
  };
  const size_t from = place(1, 0), to = place(2, self.size());
  if (from > to) return false;
  const std::string_view text = self.view().substr(from, to - from);
  return std::ranges::any_of(options, [&](const Value& option) {
    const std::string_view fix = as_string(option, "affix").view();
    return at_start ? text.starts_with(fix) : text.ends_with(fix);
  });
}

Value find_method_of_text(const Text& self, const Arguments& a, bool from_right, bool must) {
  const std::string_view what = as_string(argument(a, 0, "sub", Value()), "sub").view();
  const int64_t start = as_index(argument(a, 1, "start", Value(0)), "start");
  const size_t skip = byte_of_char(
      self.view(),
      static_cast<size_t>(
          start < 0 ? std::max<int64_t>(0, start + static_cast<int64_t>(count_chars(self.view())))
                    : start));
  size_t at = from_right ? self.view().rfind(what) : find_in(self.view(), what, skip);
  if (from_right && at != std::string_view::npos && at < skip) at = std::string_view::npos;
  if (at != std::string_view::npos) return count_chars(self.view().substr(0, at));
  if (must) throw TemplateError("substring not found");
  return -1;
}

Value pad(const Text& self, const Arguments& a, double share_left, char otherwise) {
  const int64_t width = as_index(argument(a, 0, "width", Value()), "width");
  if (width > 100'000) throw TemplateError("the width is too large");
  const Value fill = argument(a, 1, "fillchar", Value::text(std::string(1, otherwise)));
  const auto length = static_cast<int64_t>(count_chars(self.view()));
  const int64_t missing = std::max<int64_t>(0, width - length);
  // str.center puts the odd one left when the width is odd.
  const int64_t left = share_left == 0.5 ? missing / 2 + (missing & width & 1)
                                         : static_cast<int64_t>(share_left) * missing;
  Text out;
  for (int64_t i = 0; i < left; ++i) out.append(as_string(fill, "fillchar"));
  out.append(self);
  for (int64_t i = left; i < missing; ++i) out.append(as_string(fill, "fillchar"));
  return out;
}

Text swap_case(const Text& self) {
  Text out;
  for (size_t i = 0; i < self.size();) {
    const unicode::Char c = unicode::decode(self.bytes().data() + i);
    const Text one = self.slice(i, i + c.length);
    out.append(u_isupper(static_cast<UChar32>(c.code)) ? to_lower(one) : to_upper(one));
    i += c.length;
  }
  return out;
}

Value join_method(Interpreter& interpreter, const Text& self, const Arguments& a) {
  Text out;
  bool first = true;
  for (const Value& item : iterate(argument(a, 0, "iterable", Value()))) {
    if (!first) out.append(self);
    first = false;
    const Text& text = as_string(item, "sequence item");
    interpreter.charge_text(text.size() + self.size());
    out.append(text);
  }
  return out;
}

Value remove_affix(const Text& self, const Arguments& a, bool at_start) {
  const std::string_view fix = as_string(argument(a, 0, "", Value()), "affix").view();
  if (at_start && self.view().starts_with(fix)) return self.slice(fix.size(), self.size());
  if (!at_start && self.view().ends_with(fix)) return self.slice(0, self.size() - fix.size());
  return self;
}

using TextMethod = Value (*)(Interpreter&, const Text&, Arguments&);
constexpr std::pair<std::string_view, TextMethod> kTextMethods[] = {
    {"upper", [](Interpreter&, const Text& s, Arguments&) -> Value { return to_upper(s); }},
    {"lower", [](Interpreter&, const Text& s, Arguments&) -> Value { return to_lower(s); }},
    {"casefold", [](Interpreter&, const Text& s, Arguments&) -> Value { return to_lower(s); }},
    {"title", [](Interpreter&, const Text& s, Arguments&) -> Value { return to_title(s, false); }},
    {"capitalize",
     [](Interpreter&, const Text& s, Arguments&) -> Value { return to_title(s, true); }},
    {"swapcase", [](Interpreter&, const Text& s, Arguments&) -> Value { return swap_case(s); }},
    {"strip",
     [](Interpreter&, const Text& s, Arguments& a) { return strip_method(s, a, true, true); }},
    {"lstrip",
     [](Interpreter&, const Text& s, Arguments& a) { return strip_method(s, a, true, false); }},
    {"rstrip",
     [](Interpreter&, const Text& s, Arguments& a) { return strip_method(s, a, false, true); }},
    {"split",
     [](Interpreter& i, const Text& s, Arguments& a) { return split_method(i, s, a, false); }},
    {"rsplit",
     [](Interpreter& i, const Text& s, Arguments& a) { return split_method(i, s, a, true); }},
    {"splitlines",
     [](Interpreter& i, const Text& s, Arguments& a) -> Value {
       check_arguments(a, "splitlines", 0);
       i.charge_text(s.size());
       return as_list(split_lines(s));
     }},
    {"partition",
     [](Interpreter&, const Text& s, Arguments& a) { return partition(s, a, false); }},
    {"rpartition",
     [](Interpreter&, const Text& s, Arguments& a) { return partition(s, a, true); }},
    {"startswith",
     [](Interpreter&, const Text& s, Arguments& a) -> Value { return affix(s, a, true); }},
    {"endswith",
     [](Interpreter&, const Text& s, Arguments& a) -> Value { return affix(s, a, false); }},
    {"find",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, false, false);
     }},
    {"rfind",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, true, false);
     }},
    {"index",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, false, true);
     }},
    {"rindex",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, true, true);
     }},
    {"count",
     [](Interpreter&, const Text& s, Arguments& a) -> Value {
       const std::string_view what = as_string(argument(a, 0, "", Value()), "sub").view();
       if (what.empty()) return count_chars(s.view()) + 1;
       size_t n = 0;
       for (size_t at = 0; (at = find_in(s.view(), what, at)) != std::string_view::npos;
            at += what.size())
         ++n;
       return n;
     }},
    {"replace",
     [](Interpreter& i, const Text& s, Arguments& a) -> Value {
       check_arguments(a, "replace", 3, {"count"});
       Value by = argument(a, 1, "", Value());
       i.charge_text(s.size() * (1 + as_string(by, "new").size()));
       return replace(s, as_string(argument(a, 0, "", Value()), "old"), as_string(by, "new"),
                      as_index(argument(a, 2, "count", Value(-1)), "count"));
     }},
    {"join",
     [](Interpreter& i, const Text& s, Arguments& a) { return join_method(i, s, a); }},
    {"format",
     [](Interpreter&, const Text& s, Arguments& a) -> Value { return format_braces(s, a); }},
    {"center", [](Interpreter&, const Text& s, Arguments& a) { return pad(s, a, 0.5, ' '); }},
    {"ljust", [](Interpreter&, const Text& s, Arguments& a) { return pad(s, a, 0, ' '); }},
    {"rjust", [](Interpreter&, const Text& s, Arguments& a) { return pad(s, a, 1, ' '); }},
    {"zfill",
     [](Interpreter&, const Text& s, Arguments& a) {
       const bool sign = s.view().starts_with('-') || s.view().starts_with('+');
       if (!sign) return pad(s, a, 1, '0');
       Arguments rest{{Value(as_index(argument(a, 0, "", Value()), "width") - 1)}, {}};
       Text out = s.slice(0, 1);
       out.append(pad(s.slice(1, s.size()), rest, 1, '0').str());
       return Value(std::move(out));
     }},
    {"removeprefix",
     [](Interpreter&, const Text& s, Arguments& a) { return remove_affix(s, a, true); }},
    {"removesuffix",
     [](Interpreter&, const Text& s, Arguments& a) { return remove_affix(s, a, false); }},
    {"isdigit",
     [](Interpreter&, const Text& s, Arguments&) -> Value {
       return all_chars(s, [](UChar32 c) {
         const int type = u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE);
         return type == U_NT_DECIMAL || type == U_NT_DIGIT;
       });
     }},
    {"isdecimal",
     [](Interpreter&, const Text& s, Arguments&) -> Value { return all_chars(s, u_isdigit); }},
    {"isnumeric",
     [](Interpreter&, const Text& s, Arguments&) -> Value {
       return all_chars(s, [](UChar32 c) {
         return u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE;
       });
     }},
    {"isalpha",
     [](Interpreter&, const Text& s, Arguments&) -> Value { return all_chars(s, u_isalpha); }},
    {"isalnum",
     [](Interpreter&, const Text& s, Arguments&) -> Value {
       return all_chars(s, [](UChar32 c) {
         return u_isalpha(c) || u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE;
       });
     }},
    {"isspace",
     [](Interpreter&, const Text& s, Arguments&) -> Value {
       return all_chars(s, [](UChar32 c) { return is_python_space(static_cast<char32_t>(c)); });
     }},
    {"isupper",
     [](Interpreter& i, const Text& s, Arguments&) -> Value {
       return i.apply_test("upper", Value(s), {});
     }},
    {"islower",
     [](Interpreter& i, const Text& s, Arguments&) -> Value {
       return i.apply_test("lower", Value(s), {});
     }},
};

using DictMethod = Value (*)(const Dict&, Arguments&);
std::vector<Value> column(const Dict& d, bool keys, bool values) {
  std::vector<Value> items;
  for (const auto& [key, value] : d.items)
    items.push_back(keys && values ? Sequence::make({key, value}, Sequence::Type::kTuple)
                    : keys         ? key
                                   : value);
  return items;
}
constexpr std::pair<std::string_view, DictMethod> kDictMethods[] = {
    {"items",
     [](const Dict& d, Arguments&) {
       return Sequence::make(column(d, true, true), Sequence::Type::kDictView);
     }},
    {"keys",
     [](const Dict& d, Arguments&) {
       return Sequence::make(column(d, true, false), Sequence::Type::kDictView);
     }},
    {"values",
     [](const Dict& d, Arguments&) {
       return Sequence::make(column(d, false, true), Sequence::Type::kDictView);
     }},
    {"get",
     [](const Dict& d, Arguments& a) {
       check_arguments(a, "get", 2);
       if (a.positional.empty()) throw TemplateError("get expected at least 1 argument, got 0");
       const Value* found = d.find(a.positional[0]);
       return found ? *found : argument(a, 1, "", Value());
     }},
    {"copy", [](const Dict& d, Arguments&) -> Value { return Value(std::make_shared<Dict>(d)); }},
};

using ListMethod = Value (*)(const Sequence&, Arguments&);
constexpr std::pair<std::string_view, ListMethod> kListMethods[] = {
    {"index",
     [](const Sequence& s, Arguments& a) -> Value {
       const Value what = argument(a, 0, "", Value());
       for (size_t i = 0; i < s.items.size(); ++i)
         if (equal(s.items[i], what)) return i;
       throw TemplateError("the value is not in list");
     }},
    {"count",
     [](const Sequence& s, Arguments& a) -> Value {
       const Value what = argument(a, 0, "", Value());
       return static_cast<int64_t>(
           std::ranges::count_if(s.items, [&](const Value& v) { return equal(v, what); }));
     }},
    {"copy", [](const Sequence& s, Arguments&) { return Sequence::make(s.items, s.type); }},
};

constexpr std::array<std::string_view, 5> kDictMutators = {"clear", "pop", "popitem", "setdefault",
                                                           "update"};
constexpr std::array<std::string_view, 8> kListMutators = {"append", "clear",  "extend",  "insert",
                                                           "pop",    "remove", "reverse", "sort"};

template <class Call>
Value bound(std::string_view name, Call call) {
  return Value(std::make_shared<const Callable>(
      Callable{std::string(name), "builtin_function_or_method", std::move(call)}));
}

Value refused(std::string_view name, std::string_view type) {
  return Value::undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type));
}

}  // namespace

std::optional<Value> find_method(const Value& self, std::string_view name) {
  if (self.as_text()) {
    for (const auto& [key, method] : kTextMethods)
      if (key == name)
        return bound(name, [self, m = method](Interpreter& i, Arguments& a) {
          i.charge_text(self.as_text()->size());
          return m(i, *self.as_text(), a);
        });
  } else if (const Dict* d = self.as_dict()) {
    if (std::ranges::count(kDictMutators, name)) return refused(name, "dict");
    for (const auto& [key, method] : kDictMethods)
      if (key == name)
        return bound(name, [self, d, m = method](Interpreter& i, Arguments& a) {
          i.charge(d->items.size());
          return m(*d, a);
        });
  } else if (const Sequence* s = self.as_sequence()) {
    const bool list = s->type == Sequence::Type::kList;
    if (!list && s->type != Sequence::Type::kTuple) return std::nullopt;
    if (list && std::ranges::count(kListMutators, name)) return refused(name, "list");
    for (const auto& [key, method] : kListMethods)
      if (key == name && (list || key != "copy"))
        return bound(name, [self, s, m = method](Interpreter& i, Arguments& a) {
          i.charge(s->items.size());
          return m(*s, a);
        });
  }
  return std::nullopt;
}

}  // namespace sllm::jinja
