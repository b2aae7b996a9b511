// "is defined" and the like (jinja2/tests.py).
#include <array>
#include <utility>

#include "text/jinja/builtins.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

using Call = Interpreter&;

Value operand(const Arguments& a) {
  if (a.positional.empty()) throw TemplateError("the test needs an argument");
  return a.positional[0];
}
int64_t integer_of(const Value& v) {
  if (v.is_undefined()) throw TemplateError(v.undefined_reason());
  return as_index(v, "a test's subject");
}
bool has_case(const Value& v, bool upper) {
  const Text text = v.str();
  const Text mapped = upper ? to_upper(text) : to_lower(text);
  const Text other = upper ? to_lower(text) : to_upper(text);
  return text.view() == mapped.view() && text.view() != other.view();
}
bool same(const Value& a, const Value& b) {
  if (a.identity() || b.identity()) return a.identity() == b.identity();
  return a.type_name() == b.type_name() && equal(a, b);
}

constexpr std::pair<std::string_view, Test> kTests[] = {
    {"defined", [](Call, const Value& v, Arguments&) { return !v.is_undefined(); }},
    {"undefined", [](Call, const Value& v, Arguments&) { return v.is_undefined(); }},
    {"none", [](Call, const Value& v, Arguments&) { return v.is_none(); }},
    {"boolean", [](Call, const Value& v, Arguments&) { return v.is_bool(); }},
    {"true", [](Call, const Value& v, Arguments&) { return v.is_bool() && v.truthy(); }},
    {"false", [](Call, const Value& v, Arguments&) { return v.is_bool() && !v.truthy(); }},
    {"integer", [](Call, const Value& v, Arguments&) { return v.is_int(); }},
    {"float", [](Call, const Value& v, Arguments&) { return v.is_float(); }},
    {"number", [](Call, const Value& v, Arguments&) { return v.as_number().has_value(); }},
    {"string", [](Call, const Value& v, Arguments&) { return v.as_text() != nullptr; }},
    {"mapping", [](Call, const Value& v, Arguments&) { return v.as_dict() != nullptr; }},
    {"iterable", [](Call, const Value& v, Arguments&) { return is_iterable(v); }},
    {"sequence",
     [](Call, const Value& v, Arguments&) {
       return is_iterable(v) && length_of(v) &&
              !(v.as_sequence() && v.as_sequence()->type == Sequence::Type::kDictView);
     }},
    {"callable", [](Call, const Value& v, Arguments&) { return v.as_callable() || v.as_loop(); }},
    {"sameas", [](Call, const Value& v, Arguments& a) { return same(v, operand(a)); }},
    {"escaped", [](Call, const Value&, Arguments&) { return false; }},
    {"in", [](Call, const Value& v, Arguments& a) { return contains(operand(a), v); }},
    {"eq", [](Call, const Value& v, Arguments& a) { return equal(v, operand(a)); }},
    {"==", [](Call, const Value& v, Arguments& a) { return equal(v, operand(a)); }},
    {"equalto", [](Call, const Value& v, Arguments& a) { return equal(v, operand(a)); }},
    {"ne", [](Call, const Value& v, Arguments& a) { return !equal(v, operand(a)); }},
    {"!=", [](Call, const Value& v, Arguments& a) { return !equal(v, operand(a)); }},
    {"lt", [](Call, const Value& v, Arguments& a) { return less(v, operand(a)); }},
    {"<", [](Call, const Value& v, Arguments& a) { return less(v, operand(a)); }},
    {"lessthan", [](Call, const Value& v, Arguments& a) { return less(v, operand(a)); }},
    {"gt", [](Call, const Value& v, Arguments& a) { return less(operand(a), v); }},
    {">", [](Call, const Value& v, Arguments& a) { return less(operand(a), v); }},
    {"greaterthan", [](Call, const Value& v, Arguments& a) { return less(operand(a), v); }},
    {"le", [](Call, const Value& v, Arguments& a) { return !less(operand(a), v); }},
    {"<=", [](Call, const Value& v, Arguments& a) { return !less(operand(a), v); }},
    {"ge", [](Call, const Value& v, Arguments& a) { return !less(v, operand(a)); }},
    {">=", [](Call, const Value& v, Arguments& a) { return !less(v, operand(a)); }},
    {"divisibleby",
     [](Call, const Value& v, Arguments& a) {
       const int64_t by = integer_of(operand(a));
       if (by == 0) throw TemplateError("division by zero");
       return by == -1 || integer_of(v) % by == 0;
     }},
    {"odd", [](Call, const Value& v, Arguments&) { return integer_of(v) % 2 != 0; }},
    {"even", [](Call, const Value& v, Arguments&) { return integer_of(v) % 2 == 0; }},
    {"lower", [](Call, const Value& v, Arguments&) { return has_case(v, false); }},
    {"upper", [](Call, const Value& v, Arguments&) { return has_case(v, true); }},
    {"filter",
     [](Call, const Value& v, Arguments&) {
       return v.as_text() && find_filter(v.as_text()->view()) != nullptr;
     }},
    {"test",
     [](Call, const Value& v, Arguments&) {
       return v.as_text() && find_test(v.as_text()->view()) != nullptr;
     }},
};

}  // namespace

Test find_test(std::string_view name) {
  for (const auto& [key, test] : kTests)
    if (key == name) return test;
  return nullptr;
}

}  // namespace sllm::jinja
