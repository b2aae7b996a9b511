// Methods of strings (str.split, str.strip, ...).
#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>

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
      parts.push_back(self.slice(i, bytes.size()));
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
  const char* bytes = self.bytes().data();
  for (size_t end = self.size(); end > 0;) {
    unicode::Char c = unicode::decode_before(bytes + end);
    if (is_python_space(c.code)) {
      end -= c.length;
      continue;
    }
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(self.slice(0, end));
      break;
    }
    size_t start = end;
    while (start > 0 && !is_python_space((c = unicode::decode_before(bytes + start)).code))
      start -= c.length;
    parts.push_back(self.slice(start, end));
    end = start;
  }
  std::ranges::reverse(parts);
  return parts;
}

Value split_method(Interpreter& interpreter, const Text& self, Arguments& a, bool from_right) {
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
      const size_t at = rfind_in(self.view().substr(0, to), by);
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
  interpreter.charge(4 * parts.size());
  return as_list(std::move(parts));
}

Value partition(const Text& self, const Arguments& a, bool from_right) {
  const Text& by = as_string(argument(a, 0, "sep", Value()), "sep");
  if (by.empty()) throw TemplateError("empty separator");
  const size_t at = from_right ? rfind_in(self.view(), by.view()) : find_in(self.view(), by.view());
  std::vector<Value> parts;
  if (at == std::string_view::npos) {
    parts = {Text(), Text(), Text()};
    parts[from_right ? 2 : 0] = self;
  } else {
    parts = {self.slice(0, at), by, self.slice(at + by.size(), self.size())};
  }
  return Sequence::make(std::move(parts), Sequence::Type::kTuple);
}

struct Range {
  size_t from, to;
  bool valid;  // from is not behind to, as Python wants it for ""
};

// The bytes that the arguments `start` and `end` of find, startswith, ... choose.
Range range_of(const Text& self, const Arguments& a) {
  if (a.positional.size() <= 1) return {0, self.size(), true};
  const auto n = static_cast<int64_t>(count_chars(self.view()));
  const auto place = [&](size_t position, int64_t otherwise) {
    const Value v = argument(a, position, "", Value());
    if (v.is_none()) return otherwise;
    const int64_t at = as_index(v, "index");
    return at < 0 ? std::max<int64_t>(0, std::max(at, -n) + n) : at;
  };
  const int64_t start = place(1, 0), end = std::min(place(2, n), n);
  if (start > end) return {0, 0, false};
  return {byte_of_char(self.view(), static_cast<size_t>(start)),
          byte_of_char(self.view(), static_cast<size_t>(end)), true};
}

bool affix(const Text& self, const Arguments& a, bool at_start) {
  const Value what = argument(a, 0, "", Value());
  std::vector<Value> options = {what};
  if (what.as_sequence() && what.as_sequence()->type == Sequence::Type::kTuple)
    options = what.as_sequence()->items;
  const Range range = range_of(self, a);
  const std::string_view text = self.view().substr(range.from, range.to - range.from);
  return std::ranges::any_of(options, [&](const Value& option) {
    const std::string_view fix = as_string(option, "affix").view();
    return range.valid && (at_start ? text.starts_with(fix) : text.ends_with(fix));
  });
}

Value find_method_of_text(const Text& self, const Arguments& a, bool from_right, bool must) {
  const std::string_view what = as_string(argument(a, 0, "", Value()), "sub").view();
  const Range range = range_of(self, a);
  const std::string_view text = self.view().substr(0, range.to);
  size_t at = from_right ? rfind_in(text, what) : find_in(text, what, range.from);
  if (!range.valid || (at != std::string_view::npos && at < range.from))
    at = std::string_view::npos;
  if (at != std::string_view::npos) return count_chars(self.view().substr(0, at));
  if (must) throw TemplateError("substring not found");
  return -1;
}

Value count_method(const Text& self, const Arguments& a) {
  const std::string_view what = as_string(argument(a, 0, "", Value()), "sub").view();
  const Range range = range_of(self, a);
  if (!range.valid) return 0;
  const std::string_view text = self.view().substr(range.from, range.to - range.from);
  if (what.empty()) return count_chars(text) + 1;
  size_t n = 0;
  for (size_t at = 0; (at = find_in(text, what, at)) != std::string_view::npos; at += what.size())
    ++n;
  return n;
}

Value pad(Interpreter& interpreter, const Text& self, const Arguments& a, double share_left,
          char otherwise) {
  const int64_t width = as_index(argument(a, 0, "width", Value()), "width");
  interpreter.charge(width > 0 ? static_cast<uint64_t>(width) / 4 : 0);
  if (width > 100'000) throw TemplateError("the width is too large");
  const Value fill = argument(a, 1, "fillchar", Value::text(std::string(1, otherwise)));
  if (count_chars(as_string(fill, "fillchar").view()) != 1)
    throw TemplateError("The fill character must be exactly one character long");
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
    const Text text = self.markup() ? escape_html(item.str()) : as_string(item, "sequence item");
    interpreter.charge_text(text.size() + self.size());
    out.append(text);
  }
  return out;
}

// str.istitle: capitals begin words, small letters go on with them.
bool is_title(const Text& text) {
  bool inside = false, any = false, good = true;
  all_chars(text, [&](UChar32 c) {
    const bool capital = u_isupper(c) || u_istitle(c),
               small = u_hasBinaryProperty(c, UCHAR_LOWERCASE);
    good = good && !(capital && inside) && !(small && !inside);
    any = any || capital || small;
    inside = capital || small;
    return good;
  });
  return good && any;
}

Value expand_tabs(Interpreter& i, const Text& self, Arguments& a) {
  const int64_t size =
      std::clamp<int64_t>(as_index(argument(a, 0, "tabsize", Value(8)), "tabsize"), 0, 1000);
  Text out;
  int64_t column = 0;
  for (size_t at = 0; at < self.size();) {
    const size_t next = at + unicode::decode(self.bytes().data() + at).length;
    const char c = self.bytes()[at];
    if (c == '\t') {
      const int64_t spaces = size > 0 ? size - column % size : 0;
      i.charge(1 + static_cast<uint64_t>(spaces) / 16);
      out.append(std::string(static_cast<size_t>(spaces), ' '), self.origin_at(at));
      column += spaces;
    } else {
      out.append(self, at, next);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    at = next;
  }
  return out;
}

Value remove_affix(const Text& self, const Arguments& a, bool at_start) {
  const std::string_view fix = as_string(argument(a, 0, "", Value()), "affix").view();
  if (at_start && self.view().starts_with(fix)) return self.slice(fix.size(), self.size());
  if (!at_start && self.view().ends_with(fix)) return self.slice(0, self.size() - fix.size());
  return self;
}

constexpr Builtin<TextMethod> kTextMethods[] = {
    {"upper", [](Interpreter&, const Text& s, Arguments&) -> Value { return to_upper(s); }},
    {"lower", [](Interpreter&, const Text& s, Arguments&) -> Value { return to_lower(s); }},
    {"casefold", [](Interpreter&, const Text& s, Arguments&) -> Value { return fold_case(s); }},
    {"title", [](Interpreter&, const Text& s, Arguments&) -> Value { return to_title(s, false); }},
    {"capitalize",
     [](Interpreter&, const Text& s, Arguments&) -> Value { return to_title(s, true); }},
    {"swapcase", [](Interpreter&, const Text& s, Arguments&) -> Value { return swap_case(s); }},
    {"strip",
     [](Interpreter&, const Text& s, Arguments& a) { return strip_method(s, a, true, true); },
     "1?"},
    {"lstrip",
     [](Interpreter&, const Text& s, Arguments& a) { return strip_method(s, a, true, false); },
     "1?"},
    {"rstrip",
     [](Interpreter&, const Text& s, Arguments& a) { return strip_method(s, a, false, true); },
     "1?"},
    {"split",
     [](Interpreter& i, const Text& s, Arguments& a) { return split_method(i, s, a, false); },
     "sep? maxsplit?"},
    {"rsplit",
     [](Interpreter& i, const Text& s, Arguments& a) { return split_method(i, s, a, true); },
     "sep? maxsplit?"},
    {"splitlines",
     [](Interpreter& i, const Text& s, Arguments& a) -> Value {
       i.charge_text(s.size());
       return as_list(split_lines(s, argument(a, 0, "keepends", Value(false)).truthy()));
     },
     "keepends?"},
    {"partition", [](Interpreter&, const Text& s, Arguments& a) { return partition(s, a, false); },
     "1"},
    {"rpartition", [](Interpreter&, const Text& s, Arguments& a) { return partition(s, a, true); },
     "1"},
    {"startswith",
     [](Interpreter&, const Text& s, Arguments& a) -> Value { return affix(s, a, true); },
     "1 2? 3?"},
    {"endswith",
     [](Interpreter&, const Text& s, Arguments& a) -> Value { return affix(s, a, false); },
     "1 2? 3?"},
    {"find",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, false, false);
     },
     "1 2? 3?"},
    {"rfind",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, true, false);
     },
     "1 2? 3?"},
    {"index",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, false, true);
     },
     "1 2? 3?"},
    {"rindex",
     [](Interpreter&, const Text& s, Arguments& a) {
       return find_method_of_text(s, a, true, true);
     },
     "1 2? 3?"},
    {"count", [](Interpreter&, const Text& s, Arguments& a) { return count_method(s, a); },
     "1 2? 3?"},
    {"replace",
     [](Interpreter& i, const Text& s, Arguments& a) -> Value {
       const Value from = argument(a, 0, "", Value()), to = argument(a, 1, "", Value());
       const int64_t count = as_index(argument(a, 2, "count", Value(-1)), "count");
       const Text by = s.markup() ? escape_html(as_string(to, "new")) : as_string(to, "new");
       return charged_replace(i, s, as_string(from, "old"), by, count);
     },
     "1 2 count?"},
    {"join", [](Interpreter& i, const Text& s, Arguments& a) { return join_method(i, s, a); }, "1"},
    {"format",
     [](Interpreter& i, const Text& s, Arguments& a) -> Value { return format_braces(i, s, a); },
     nullptr},
    {"format_map",
     [](Interpreter& i, const Text& s, Arguments& a) -> Value {
       const Value map = argument(a, 0, "", Value());
       if (!map.as_dict() || a.positional.size() != 1)
         throw TemplateError("format_map takes a mapping");
       Arguments named;
       for (const auto& [key, value] : map.as_dict()->items)
         if (key.as_text()) named.named.emplace_back(key.as_text()->bytes(), value);
       return format_braces(i, s, named);
     },
     "1"},
    {"expandtabs", expand_tabs, "tabsize?"},
    {"center", [](Interpreter& i, const Text& s, Arguments& a) { return pad(i, s, a, 0.5, ' '); },
     "1 2?"},
    {"ljust", [](Interpreter& i, const Text& s, Arguments& a) { return pad(i, s, a, 0, ' '); },
     "1 2?"},
    {"rjust", [](Interpreter& i, const Text& s, Arguments& a) { return pad(i, s, a, 1, ' '); },
     "1 2?"},
    {"zfill",
     [](Interpreter& i, const Text& s, Arguments& a) {
       const bool sign = s.view().starts_with('-') || s.view().starts_with('+');
       if (!sign) return pad(i, s, a, 1, '0');
       Arguments rest{{Value(as_index(argument(a, 0, "", Value()), "width") - 1)}, {}};
       Text out = s.slice(0, 1);
       out.append(pad(i, s.slice(1, s.size()), rest, 1, '0').str());
       return Value(std::move(out));
     },
     "1"},
    {"removeprefix",
     [](Interpreter&, const Text& s, Arguments& a) { return remove_affix(s, a, true); }, "1"},
    {"removesuffix",
     [](Interpreter&, const Text& s, Arguments& a) { return remove_affix(s, a, false); }, "1"},
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
       return all_chars(
           s, [](UChar32 c) { return u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE; });
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
    {"isascii",
     [](Interpreter&, const Text& s, Arguments&) -> Value {
       return std::ranges::all_of(s.bytes(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
     }},
    {"isprintable",
     [](Interpreter&, const Text& s, Arguments&) -> Value {
       return s.empty() || all_chars(s, [](UChar32 c) {
                return c == ' ' || !(U_GET_GC_MASK(c) & (U_GC_C_MASK | U_GC_Z_MASK));
              });
     }},
    {"isidentifier",
     [](Interpreter&, const Text& s, Arguments&) -> Value {
       const UChar32 first =
           s.empty() ? ' ' : static_cast<UChar32>(unicode::decode(s.bytes().data()).code);
       return (first == '_' || u_hasBinaryProperty(first, UCHAR_XID_START)) &&
              all_chars(s, [](UChar32 c) { return u_hasBinaryProperty(c, UCHAR_XID_CONTINUE); });
     }},
    {"istitle", [](Interpreter&, const Text& s, Arguments&) -> Value { return is_title(s); }},
    {"isupper",
     [](Interpreter& i, const Text& s, Arguments&) -> Value {
       return i.apply_test("upper", Value(s), {});
     }},
    {"islower",
     [](Interpreter& i, const Text& s, Arguments&) -> Value {
       return i.apply_test("lower", Value(s), {});
     }},
};

}  // namespace

const Builtin<TextMethod>* find_text_method(std::string_view name) {
  const auto* found = std::ranges::find(kTextMethods, name, &Builtin<TextMethod>::name);
  return found == std::end(kTextMethods) ? nullptr : found;
}

}  // namespace sllm::jinja
