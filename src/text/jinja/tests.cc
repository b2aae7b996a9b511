// "is defined" and the like (jinja2/tests.py).
#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

using Call = Interpreter&;

Value operand(const Arguments& a) {
  if (a.positional.empty()) throw TemplateError("the test needs an argument");
  return a.positional[0];
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

constexpr Builtin<Test> kTests[] = {
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
    {"sameas", [](Call, const Value& v, Arguments& a) { return same(v, operand(a)); }, "other"},
    {"escaped",
     [](Call, const Value& v, Arguments&) { return v.as_text() && v.as_text()->markup(); }},
    {"in", [](Call, const Value& v, Arguments& a) { return contains(operand(a), v); }, "seq"},
    {"eq", [](Call, const Value& v, Arguments& a) { return equal(v, operand(a)); }, "other"},
    {"==", [](Call, const Value& v, Arguments& a) { return equal(v, operand(a)); }, "other"},
    {"equalto", [](Call, const Value& v, Arguments& a) { return equal(v, operand(a)); }, "other"},
    {"ne", [](Call, const Value& v, Arguments& a) { return !equal(v, operand(a)); }, "other"},
    {"!=", [](Call, const Value& v, Arguments& a) { return !equal(v, operand(a)); }, "other"},
    {"lt", [](Call, const Value& v, Arguments& a) { return less(v, operand(a)); }, "other"},
    {"<", [](Call, const Value& v, Arguments& a) { return less(v, operand(a)); }, "other"},
    {"lessthan", [](Call, const Value& v, Arguments& a) { return less(v, operand(a)); }, "other"},
    {"gt", [](Call, const Value& v, Arguments& a) { return less(operand(a), v); }, "other"},
    {">", [](Call, const Value& v, Arguments& a) { return less(operand(a), v); }, "other"},
    {"greaterthan", [](Call, const Value& v, Arguments& a) { return less(operand(a), v); },
     "other"},
    {"le", [](Call, const Value& v, Arguments& a) { return !less(operand(a), v); }, "other"},
    {"<=", [](Call, const Value& v, Arguments& a) { return !less(operand(a), v); }, "other"},
    {"ge", [](Call, const Value& v, Arguments& a) { return !less(v, operand(a)); }, "other"},
    {">=", [](Call, const Value& v, Arguments& a) { return !less(v, operand(a)); }, "other"},
    {"divisibleby",
     [](Call i, const Value& v, Arguments& a) {
       return equal(i.binary("%", v, operand(a)), Value(0));
     },
     "num"},
    {"odd", [](Call i, const Value& v,
               Arguments&) { return equal(i.binary("%", v, Value(2)), Value(1)); }},
    {"even", [](Call i, const Value& v,
                Arguments&) { return equal(i.binary("%", v, Value(2)), Value(0)); }},
    {"lower", [](Call, const Value& v, Arguments&) { return has_case(v, false); }},
    {"upper", [](Call, const Value& v, Arguments&) { return has_case(v, true); }},
    {"filter",
     [](Call, const Value& v, Arguments&) {
       return v.as_text() && find_filter(v.as_text()->view()) != nullptr;
     }},
    {"test", [](Call, const Value& v,
                Arguments&) { return v.as_text() && find_test(v.as_text()->view()) != nullptr; }},
};

}  // namespace

const Builtin<Test>* find_test(std::string_view name) {
  const auto* found = std::ranges::find(kTests, name, &Builtin<Test>::name);
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace sllm::jinja
