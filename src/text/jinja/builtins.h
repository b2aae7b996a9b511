// Filters, tests, methods and functions of the language, found by name.
#pragma once

#include <string_view>

#include "text/jinja/interpreter.h"

namespace sllm::jinja {

using Filter = Value (*)(Interpreter&, const Value& input, Arguments&);
using Test = bool (*)(Interpreter&, const Value& subject, Arguments&);

// `parameters` are the names of those behind the input, with "?" where one may be left out;
// nullptr: any.
template <class Call>
struct Builtin {
  std::string_view name;
  Call call;
  const char* parameters = "";
};

// nullptr when there is none.
const Builtin<Filter>* find_filter(std::string_view name);
const Builtin<Test>* find_test(std::string_view name);
using TextMethod = Value (*)(Interpreter&, const Text& self, Arguments&);
const Builtin<TextMethod>* find_text_method(std::string_view name);  // nullptr when there is none
// A method of a string, list, dict, ... bound to `self`; nullopt when it has none of this name.
std::optional<Value> find_method(const Value& self, std::string_view name);
// range, dict, namespace, raise_exception, strftime_now.
void add_globals(Dict& variables);

// An argument by position or name; `otherwise` when not given.
Value argument(const Arguments& arguments, size_t position, std::string_view name, Value otherwise);
// Throws when more are given than `most`, or one of a name not listed.
void check_arguments(const Arguments& arguments, std::string_view who, size_t most,
                     std::initializer_list<std::string_view> names = {});
// Throws where Python would not bind them: too many, one missing, unknown or given twice.
void check_binding(const Arguments& arguments, std::string_view who, const char* parameters);
// int(text, base) and float(text): spaces around, signs, "_" between digits, any script's digits;
// nullopt where Python raises ValueError.
std::optional<int64_t> parse_integer(const Text& text, int64_t base);
std::optional<double> parse_real(const Text& text);
int64_t as_index(const Value& value, std::string_view what);  // throws unless an integer
const Text& as_string(const Value& value, std::string_view what);

// text.replace(from, to, count), charged for what it will make before it makes it.
Text charged_replace(Interpreter& interpreter, const Text& text, const Text& from, const Text& to,
                     int64_t count);
Text to_json(Interpreter& interpreter, const Value& value, Arguments& options);
// "%s: %d" % arguments.
Text format_percent(const Text& format, const Value& arguments);
// What is not ASCII as \x, \u and \U escapes.
Text ascii(const Text& text);
// "{} {name}".format(...).
Text format_braces(Interpreter& interpreter, const Text& format, const Arguments& arguments);

}  // namespace sllm::jinja
