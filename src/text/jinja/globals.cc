// The functions that a template can call, and how their arguments are read.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "text/jinja/builtins.h"

namespace sllm::jinja {

Value argument(const Arguments& a, size_t position, std::string_view name, Value otherwise) {
  if (position < a.positional.size()) return a.positional[position];
  for (const auto& [key, value] : a.named)
    if (key == name) return value;
  return otherwise;
}

void check_arguments(const Arguments& a, std::string_view who, size_t most,
                     std::initializer_list<std::string_view> names) {
  if (a.positional.size() > most)
    throw TemplateError(
        fmt::format("{} takes at most {} arguments ({} given)", who, most, a.positional.size()));
  for (const auto& [key, value] : a.named)
    if (std::ranges::find(names, key) == names.end())
      throw TemplateError(fmt::format("{} got an unexpected keyword argument '{}'", who, key));
}

void check_binding(const Arguments& a, std::string_view who, const char* parameters) {
  if (!parameters) return;
  std::string_view rest = parameters;
  std::vector<std::string_view> names;
  for (; !rest.empty(); rest.remove_prefix(std::min(rest.find(' ') + 1, rest.size()))) {
    std::string_view name = rest.substr(0, rest.find(' '));
    const bool optional = name.ends_with('?');
    if (optional) name.remove_suffix(1);
    const bool named = std::ranges::any_of(a.named, [&](auto& kv) { return kv.first == name; });
    if (names.size() < a.positional.size() ? named : !named && !optional)
      throw TemplateError(fmt::format("{}() {} argument '{}'", who,
                                      named ? "got multiple values for" : "misses", name));
    names.push_back(name);
    if (rest.find(' ') == std::string_view::npos) break;
  }
  if (a.positional.size() > names.size())
    throw TemplateError(fmt::format("{}() takes at most {} arguments ({} given)", who, names.size(),
                                    a.positional.size()));
  for (const auto& [key, value] : a.named)
    if (std::ranges::find(names, key) == names.end())
      throw TemplateError(fmt::format("{}() got an unexpected keyword argument '{}'", who, key));
}

int64_t as_index(const Value& value, std::string_view what) {
  if (value.is_undefined()) throw TemplateError(value.undefined_reason());
  if (const auto i = value.as_integer()) return *i;
  throw TemplateError(
      fmt::format("{}: '{}' object cannot be interpreted as an integer", what, value.type_name()));
}

const Text& as_string(const Value& value, std::string_view what) {
  if (value.is_undefined()) throw TemplateError(value.undefined_reason());
  if (const Text* text = value.as_text()) return *text;
  throw TemplateError(fmt::format("{} must be str, not {}", what, value.type_name()));
}

Text charged_replace(Interpreter& interpreter, const Text& text, const Text& from, const Text& to,
                     int64_t count) {
  size_t times = 0;
  if (from.empty())
    times = count_chars(text.view()) + 1;
  else
    for (size_t at = 0; (at = find_in(text.view(), from.view(), at)) != std::string_view::npos;
         at += from.size())
      ++times;
  if (count >= 0) times = std::min(times, static_cast<size_t>(count));
  interpreter.charge_text(text.size() + times * (to.size() + 16));
  return replace(text, from, to, count);
}

namespace {

constexpr int64_t kMaxRange = 100'000;  // as in jinja2's sandbox

Value range(Interpreter& interpreter, Arguments& a) {
  check_arguments(a, "range", 3);
  if (a.positional.empty()) throw TemplateError("range expected at least 1 argument, got 0");
  const bool one = a.positional.size() == 1;
  const int64_t start = one ? 0 : as_index(a.positional[0], "range");
  const int64_t stop = as_index(a.positional[one ? 0 : 1], "range");
  const int64_t step = a.positional.size() > 2 ? as_index(a.positional[2], "range") : 1;
  if (step == 0) throw TemplateError("range() arg 3 must not be zero");
  std::vector<Value> items;
  for (__int128 i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (items.size() >= static_cast<size_t>(kMaxRange))
      throw TemplateError(fmt::format(
          "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange));
    items.emplace_back(static_cast<int64_t>(i));
  }
  interpreter.charge(items.size());
  return Sequence::make(std::move(items), Sequence::Type::kRange,
                        step == 1 ? fmt::format("range({}, {})", start, stop)
                                  : fmt::format("range({}, {}, {})", start, stop, step));
}

Dict dict_of(Interpreter& interpreter, const Arguments& a) {
  Dict dict;
  if (a.positional.size() > 1) throw TemplateError("dict expected at most 1 argument");
  if (!a.positional.empty()) {
    const Value& from = a.positional[0];
    if (const Dict* other = from.as_dict()) {
      dict = *other;
    } else {
      for (const Value& pair : iterate(from)) {
        std::vector<Value> kv = iterate(pair);
        if (kv.size() != 2) throw TemplateError("dict: a pair has not 2 elements");
        interpreter.charge(1 + dict.items.size() / 16);
        dict.set(kv[0], kv[1]);
      }
    }
  }
  interpreter.charge(a.named.size() * (dict.items.size() + a.named.size()) / 16);
  for (const auto& [key, value] : a.named) dict.set(Value::text(key), value);
  return dict;
}

// joiner(", "): nothing the first time it is called, then the separator.
Value joiner(Interpreter&, Arguments& a) {
  check_binding(a, "joiner", "sep?");
  auto used = std::make_shared<bool>(false);
  return Value(std::make_shared<const Callable>(Callable{
      "joiner",
      "Joiner",
      [used, by = argument(a, 0, "sep", Value::text(", "))](Interpreter&, Arguments&) -> Value {
        return std::exchange(*used, true) ? by : Value(Text());
      },
      {}}));
}

// cycler(a, b, ...): .next() gives them in turn, .current the one that is next.
Value cycler(Interpreter&, Arguments& a) {
  if (a.positional.empty()) throw TemplateError("at least one item has to be provided");
  auto at = std::make_shared<size_t>(0);
  auto items = std::make_shared<const std::vector<Value>>(a.positional);
  const auto method = [](const char* name, auto call) {
    return Value(std::make_shared<const Callable>(Callable{name, "method", call, {}}));
  };
  const Value next = method("next", [at, items](Interpreter&, Arguments&) -> Value {
    return (*items)[std::exchange(*at, (*at + 1) % items->size())];
  });
  const Value reset = method("reset", [at](Interpreter&, Arguments&) {
    *at = 0;
    return Value();
  });
  return Value(std::make_shared<const Callable>(
      Callable{"cycler", "Cycler",
               [](Interpreter&, Arguments&) -> Value {
                 throw TemplateError("'Cycler' object is not callable");
               },
               [=](std::string_view name) -> std::optional<Value> {
                 if (name == "next") return next;
                 if (name == "reset") return reset;
                 if (name == "current") return (*items)[*at];
                 return std::nullopt;
               }}));
}

Value fromkeys(Interpreter& i, Arguments& a) {
  check_arguments(a, "fromkeys", 2);
  auto dict = std::make_shared<Dict>();
  for (const Value& key : iterate(argument(a, 0, "", Value()))) {
    i.charge(1 + dict->items.size() / 4);
    dict->set(key, argument(a, 1, "", Value()));
  }
  return Value(std::move(dict));
}

Value strftime_now(Interpreter& interpreter, Arguments& a) {
  check_binding(a, "strftime_now", "format");
  const Text format = as_string(argument(a, 0, "format", Value()), "format");
  if (format.size() > 256) throw TemplateError("strftime_now: the format is too long");
  const std::time_t now = interpreter.now().value_or(std::time(nullptr));
  std::tm parts{};
  localtime_r(&now, &parts);
  std::string pattern;  // Python knows %f, microseconds; C does not
  for (size_t i = 0; i < format.size(); ++i) {
    const std::string_view directive = format.view().substr(i, 2);
    if (directive == "%f")
      pattern += "000000", ++i;
    else if (directive.size() == 2 && directive[0] == '%')
      pattern += directive, ++i;
    else
      pattern += format.bytes()[i];
  }
  std::string buffer(8192, '\0');
  buffer.resize(std::strftime(buffer.data(), buffer.size(), pattern.c_str(), &parts));
  return Value::text(buffer);
}

}  // namespace

void add_globals(Dict& variables) {
  const auto add = [&](const char* name, auto call) {
    if (!variables.find(std::string_view(name)))
      variables.items.emplace_back(
          Value::text(name),
          Value(std::make_shared<const Callable>(Callable{name, "function", call, {}})));
  };
  add("range", range);
  add("joiner", joiner);
  add("cycler", cycler);
  if (!variables.find(std::string_view("dict")))
    variables.items.emplace_back(Value::text("dict"),
                                 Value(std::make_shared<const Callable>(
                                     Callable{"dict", "function",
                                              [](Interpreter& i, Arguments& a) -> Value {
                                                auto dict = std::make_shared<Dict>(dict_of(i, a));
                                                i.charge(dict->items.size());
                                                return Value(std::move(dict));
                                              },
                                              [](std::string_view name) -> std::optional<Value> {
                                                if (name != "fromkeys") return std::nullopt;
                                                return Value(std::make_shared<const Callable>(
                                                    Callable{"fromkeys", "method", fromkeys, {}}));
                                              }})));
  add("namespace",
      [](Interpreter& i, Arguments& a) -> Value { return i.make_namespace(dict_of(i, a)); });
  add("raise_exception", [](Interpreter&, Arguments& a) -> Value {
    check_binding(a, "raise_exception", "message");
    throw TemplateError(argument(a, 0, "message", Value()).str().bytes());
  });
  add("strftime_now", strftime_now);
}

}  // namespace sllm::jinja
