// Methods of lists and dicts, and how a method is bound. Those that would change their object are
// refused when called (jinja2's ImmutableSandboxedEnvironment).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja/builtins.h"

namespace sllm::jinja {
namespace {

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
     [](const Dict& d, Arguments& a) {
       check_binding(a, "items", "");
       return Sequence::make(column(d, true, true), Sequence::Type::kDictView, "dict_items");
     }},
    {"keys",
     [](const Dict& d, Arguments& a) {
       check_binding(a, "keys", "");
       return Sequence::make(column(d, true, false), Sequence::Type::kDictView, "dict_keys");
     }},
    {"values",
     [](const Dict& d, Arguments& a) {
       check_binding(a, "values", "");
       return Sequence::make(column(d, false, true), Sequence::Type::kDictView, "dict_values");
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
       check_binding(a, "index", "1 2? 3?");
       const Value what = argument(a, 0, "", Value());
       for (size_t i = 0; i < s.items.size(); ++i)
         if (equal(s.items[i], what)) return i;
       throw TemplateError("the value is not in list");
     }},
    {"count",
     [](const Sequence& s, Arguments& a) -> Value {
       check_binding(a, "count", "1");
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
      Callable{std::string(name), "builtin_function_or_method", std::move(call), {}}));
}

// Markup's methods return Markup, alone or in lists.
Value as_markup(const Value& v) {
  if (const Text* text = v.as_text()) return Value(Text(*text).set_markup());
  const Sequence* s = v.as_sequence();
  if (!s) return v;
  std::vector<Value> items;
  for (const Value& item : s->items) items.push_back(as_markup(item));
  return Sequence::make(std::move(items), s->type);
}

Value refused(std::string_view name, std::string_view type) {
  return Value::undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type));
}

}  // namespace

std::optional<Value> find_method(const Value& self, std::string_view name) {
  if (self.as_text()) {
    if (const auto* method = find_text_method(name))
      return bound(name, [self, method](Interpreter& i, Arguments& a) {
        i.charge_text(self.as_text()->size());
        check_binding(a, method->name, method->parameters);
        Value result = method->call(i, *self.as_text(), a);
        return self.as_text()->markup() ? as_markup(result) : result;
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
