// Filters, tests, methods and functions of the language, found by name.
#pragma once

#include <string_view>

#include "text/jinja/interpreter.h"

namespace sllm::jinja {

using Filter = Value (*)(Interpreter&, const Value& input, Arguments&);
using Test = bool (*)(Interpreter&, const Value& subject, Arguments&);

// nullptr when there is none.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);
// A method of a string, list, dict, ... bound to `self`; nullopt when it has none of this name.
std::optional<Value> find_method(const Value& self, std::string_view name);
// range, dict, namespace, raise_exception, strftime_now.
void add_globals(Dict& variables);

// An argument by position or name; `otherwise` when not given.
Value argument(const Arguments& arguments, size_t position, std::string_view name, Value otherwise);
// Throws when more are given than `most`, or one of a name not listed.
void check_arguments(const Arguments& arguments, std::string_view who, size_t most,
                     std::initializer_list<std::string_view> names = {});
int64_t as_index(const Value& value, std::string_view what);  // throws unless an integer
const Text& as_string(const Value& value, std::string_view what);

Text to_json(Interpreter& interpreter, const Value& value, Arguments& options);
// "%s: %d" % arguments.
Text format_percent(const Text& format, const Value& arguments);
// "{} {name}".format(...).
Text format_braces(const Text& format, const Arguments& arguments);

}  // namespace sllm::jinja
