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
  return Sequence::make(std::move(items), Sequence::Type::kRange);
}

Dict dict_of(const Arguments& a) {
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
        dict.set(kv[0], kv[1]);
      }
    }
  }
  for (const auto& [key, value] : a.named) dict.set(Value::text(key), value);
  return dict;
}

Value strftime_now(Interpreter& interpreter, Arguments& a) {
  check_arguments(a, "strftime_now", 1, {"format"});
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
          Value(std::make_shared<const Callable>(Callable{name, "function", call})));
  };
  add("range", range);
  add("dict", [](Interpreter& i, Arguments& a) -> Value {
    auto dict = std::make_shared<Dict>(dict_of(a));
    i.charge(dict->items.size());
    return Value(std::move(dict));
  });
  add("namespace",
      [](Interpreter& i, Arguments& a) -> Value { return i.make_namespace(dict_of(a)); });
  add("raise_exception", [](Interpreter&, Arguments& a) -> Value {
    check_arguments(a, "raise_exception", 1, {"message"});
    throw TemplateError(argument(a, 0, "message", Value()).str().bytes());
  });
  add("strftime_now", strftime_now);
}

}  // namespace sllm::jinja
