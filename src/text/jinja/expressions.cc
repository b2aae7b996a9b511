// Expressions: names, operators, attributes, calls.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

using Kind = Expr::Kind;

std::string described(const Value& v) {
  return v.is_none() ? "None" : fmt::format("{} object", v.type_name());
}

[[noreturn]] void unsupported(const std::string& op, const Value& a, const Value& b) {
  if (a.is_undefined()) throw TemplateError(a.undefined_reason());
  if (b.is_undefined()) throw TemplateError(b.undefined_reason());
  throw TemplateError(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", op,
                                  a.type_name(), b.type_name()));
}

[[noreturn]] void too_large() { throw TemplateError("integer is too large"); }

// Python rounds towards minus infinity.
int64_t floor_div(int64_t a, int64_t b) {
  if (a == INT64_MIN && b == -1) too_large();
  return a / b - ((a % b != 0) && ((a % b < 0) != (b < 0)));
}
double floor_mod(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0 && base == 0) throw TemplateError("0.0 cannot be raised to a negative power");
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  int64_t result = 1;
  for (; exponent > 0; --exponent) {
    if (base == 0 || base == 1) return base;
    if (base == -1) return exponent % 2 ? int64_t{-1} : int64_t{1};
    if (__builtin_mul_overflow(result, base, &result)) too_large();
  }
  return result;
}

Value integer_arithmetic(const std::string& op, int64_t a, int64_t b) {
  int64_t r = 0;
  const bool divides = op == "/" || op == "//" || op == "%";
  if (divides && b == 0) throw TemplateError("division by zero");
  if (op == "/") return static_cast<double>(a) / static_cast<double>(b);
  if (op == "//") return floor_div(a, b);
  if (op == "%") return b == -1 ? int64_t{0} : a - floor_div(a, b) * b;
  if (op == "**") return integer_power(a, b);
  const bool overflow = op == "+"   ? __builtin_add_overflow(a, b, &r)
                        : op == "-" ? __builtin_sub_overflow(a, b, &r)
                                    : __builtin_mul_overflow(a, b, &r);
  if (overflow) too_large();
  return r;
}

Value real_arithmetic(const std::string& op, double a, double b) {
  if ((op == "/" || op == "//" || op == "%") && b == 0) throw TemplateError("division by zero");
  if (op == "**" && a == 0 && b < 0)
    throw TemplateError("0.0 cannot be raised to a negative power");
  if (op == "**" && a < 0 && b != std::floor(b))
    throw TemplateError("a negative number cannot be raised to a fractional power");
  return op == "+"    ? a + b
         : op == "-"  ? a - b
         : op == "*"  ? a * b
         : op == "/"  ? a / b
         : op == "//" ? std::floor(a / b)
         : op == "%"  ? floor_mod(a, b)
                      : std::pow(a, b);
}

// The positions that a Python slice takes out of `length`.
std::vector<size_t> slice_indices(size_t length, std::optional<int64_t> start,
                                  std::optional<int64_t> stop, int64_t step) {
  const auto n = static_cast<int64_t>(length);
  if (step == 0) throw TemplateError("slice step cannot be zero");
  step = std::clamp(step, -n - 1, n + 1);
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  const auto bound = [&](std::optional<int64_t> v, int64_t otherwise) {
    if (!v) return otherwise;
    return std::clamp(*v < 0 ? std::max(*v, -n - 1) + n : *v, low, high);
  };
  const int64_t from = bound(start, step > 0 ? low : high), to = bound(stop, step > 0 ? high : low);
  std::vector<size_t> indices;
  for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
    indices.push_back(static_cast<size_t>(i));
  return indices;
}

std::optional<size_t> position(const Value& index, size_t length) {
  const auto i = index.as_integer();
  if (!i) return std::nullopt;
  const auto n = static_cast<int64_t>(length);
  if (*i >= n || *i < -n) return std::nullopt;
  return static_cast<size_t>(*i < 0 ? *i + n : *i);
}

Value loop_attribute(const Value::LoopPtr& loop, std::string_view name) {
  const size_t n = loop->items.size(), at = loop->at;
  if (name == "index") return at + 1;
  if (name == "index0") return at;
  if (name == "revindex") return n - at;
  if (name == "revindex0") return n - at - 1;
  if (name == "first") return at == 0;
  if (name == "last") return at + 1 >= n;
  if (name == "length") return n;
  if (name == "depth") return loop->level + 1;
  if (name == "depth0") return loop->level;
  if (name == "previtem")
    return at > 0 ? loop->items[at - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return at + 1 < n ? loop->items[at + 1] : Value::undefined("there is no next item");
  const auto method = [&](auto body) {
    return Value(std::make_shared<const Callable>(Callable{std::string(name), "method", body}));
  };
  if (name == "cycle")
    return method([at](Interpreter&, Arguments& a) -> Value {
      if (a.positional.empty()) throw TemplateError("no items for cycling given");
      return a.positional[at % a.positional.size()];
    });
  if (name == "changed")
    return method([weak = std::weak_ptr(loop)](Interpreter&, Arguments& a) -> Value {
      const auto state = weak.lock();
      Value now = Sequence::make(a.positional, Sequence::Type::kTuple);
      const bool changed = state && (!state->last_changed || !equal(*state->last_changed, now));
      if (changed) state->last_changed = now;
      return changed;
    });
  return Value::undefined(fmt::format("'LoopContext object' has no attribute '{}'", name));
}

}  // namespace

Value Interpreter::evaluate(const Expr& e) {
  const Deeper deeper(*this);
  charge(1);
  switch (e.kind) {
    case Kind::kConstant:
      return e.value;
    case Kind::kName:
      return evaluate_name(e);
    case Kind::kList:
    case Kind::kTuple: {
      std::vector<Value> items;
      for (const ExprPtr& item : e.items) items.push_back(evaluate(*item));
      return Sequence::make(std::move(items),
                            e.kind == Kind::kList ? Sequence::Type::kList : Sequence::Type::kTuple);
    }
    case Kind::kDict:
      return evaluate_dict(e);
    case Kind::kAttribute:
      return get_attribute(evaluate(*e.items[0]), e.name);
    case Kind::kItem: {
      const Value object = evaluate(*e.items[0]);
      return get_item(object, evaluate(*e.items[1]));
    }
    case Kind::kSlice:
      return evaluate_slice(e);
    case Kind::kCall:
      return evaluate_call(e);
    case Kind::kFilter: {
      const Value input = evaluate(*e.items[0]);
      return apply_filter(e.name, input, evaluate_arguments(e.arguments));
    }
    case Kind::kTest: {
      const Value subject = evaluate(*e.items[0]);
      return apply_test(e.name, subject, evaluate_arguments(e.arguments));
    }
    case Kind::kUnary:
      return evaluate_unary(e);
    case Kind::kBinary: {
      const Value a = evaluate(*e.items[0]);
      return binary(e.name, a, evaluate(*e.items[1]));
    }
    case Kind::kCompare:
      return evaluate_comparison(e);
    case Kind::kConcat:
      return evaluate_concat(e);
    case Kind::kAnd:
    case Kind::kOr: {
      Value left = evaluate(*e.items[0]);
      return left.truthy() == (e.kind == Kind::kOr) ? left : evaluate(*e.items[1]);
    }
    case Kind::kConditional:
      if (evaluate(*e.items[1]).truthy()) return evaluate(*e.items[0]);
      if (e.items[2]) return evaluate(*e.items[2]);
      return Value::undefined(
          "the inline if-expression evaluated to false and no else section was defined.");
  }
  return Value();
}

Value Interpreter::evaluate_name(const Expr& e) {
  uint64_t looked_at = 0;
  const Value* found = scope_->find(e.name, looked_at);
  charge(looked_at / 32);
  if (found) return *found;
  if (const Value* v = globals_.find(std::string_view(e.name))) return *v;
  return Value::undefined(fmt::format("'{}' is undefined", e.name));
}

Value Interpreter::evaluate_dict(const Expr& e) {
  auto dict = std::make_shared<Dict>();
  for (size_t i = 0; i < e.items.size(); i += 2) {
    Value key = evaluate(*e.items[i]);
    charge(dict->items.size() / 16);
    dict->set(std::move(key), evaluate(*e.items[i + 1]));
  }
  return Value(std::move(dict));
}

Value Interpreter::evaluate_slice(const Expr& e) {
  const Value object = evaluate(*e.items[0]);
  const auto bound = [&](size_t i) -> std::optional<int64_t> {
    const Value v = e.items[i] ? evaluate(*e.items[i]) : Value();
    if (v.is_none()) return std::nullopt;
    if (!v.as_integer())
      throw TemplateError("slice indices must be integers or None or have an __index__ method");
    return v.as_integer();
  };
  const auto start = bound(1), stop = bound(2);
  const int64_t step = bound(3).value_or(1);
  if (object.is_undefined()) throw TemplateError(object.undefined_reason());
  if (const Text* text = object.as_text()) {
    charge_text(text->size());
    std::vector<size_t> offsets;
    for (size_t i = 0; i < text->size(); i += unicode::decode(text->bytes().data() + i).length)
      offsets.push_back(i);
    const size_t n = offsets.size();
    offsets.push_back(text->size());
    Text result;
    for (const size_t i : slice_indices(n, start, stop, step))
      result.append(*text, offsets[i], offsets[i + 1]);
    return Value(std::move(result.set_markup(text->markup())));
  }
  const Sequence* s = object.as_sequence();
  if (!s || s->type == Sequence::Type::kGenerator || s->type == Sequence::Type::kDictView)
    throw TemplateError(fmt::format("'{}' object cannot be sliced", object.type_name()));
  std::vector<Value> items;
  for (const size_t i : slice_indices(s->items.size(), start, stop, step))
    items.push_back(s->items[i]);
  charge(items.size());
  return Sequence::make(std::move(items), s->type);
}

Arguments Interpreter::evaluate_arguments(const CallArguments& call) {
  Arguments a;
  for (const ExprPtr& e : call.positional) a.positional.push_back(evaluate(*e));
  if (call.more_positional)
    for (Value& v : iterate(evaluate(*call.more_positional))) a.positional.push_back(std::move(v));
  for (const auto& [name, e] : call.named) a.named.emplace_back(name, evaluate(*e));
  if (call.more_named) {
    const Value more = evaluate(*call.more_named);
    if (!more.as_dict()) throw TemplateError("the argument after ** must be a mapping");
    for (const auto& [key, value] : more.as_dict()->items)
      a.named.emplace_back(as_string(key, "keyword").bytes(), value);
  }
  charge(a.positional.size() + a.named.size());
  return a;
}

Value Interpreter::evaluate_call(const Expr& e) {
  const Value function = evaluate(*e.items[0]);
  return call(function, evaluate_arguments(e.arguments));
}

Value Interpreter::call(const Value& function, Arguments arguments) {
  const Deeper deeper(*this);
  charge(1);
  if (function.is_undefined()) throw TemplateError(function.undefined_reason());
  if (const Value::LoopPtr* loop = function.as_loop()) {
    if ((*loop)->recurse.is_none())
      throw TemplateError("The loop must have the 'recursive' marker to be called recursively.");
    return call((*loop)->recurse, std::move(arguments));
  }
  const Callable* callable = function.as_callable();
  if (!callable)
    throw TemplateError(fmt::format("'{}' object is not callable", function.type_name()));
  return callable->call(*this, arguments);
}

Value Interpreter::filter_block(const Expr& e, const Value& input) {
  const Value from = e.items[0] ? filter_block(*e.items[0], input) : input;
  return apply_filter(e.name, from, evaluate_arguments(e.arguments));
}

Value Interpreter::apply_filter(std::string_view name, const Value& input, Arguments arguments) {
  charge(1);
  const auto* filter = find_filter(name);
  if (!filter) throw TemplateError(fmt::format("No filter named '{}'.", name));
  check_binding(arguments, name, filter->parameters);
  if (input.as_text()) charge_text(input.as_text()->size());
  Value result = filter->call(*this, input, arguments);
  // Those that work through the string's own methods keep Markup what it is.
  static constexpr std::string_view kKeep[] = {"upper",  "lower",   "capitalize", "trim",
                                               "center", "reverse", "indent",     "truncate"};
  if (input.as_text() && input.as_text()->markup() && result.as_text() &&
      std::ranges::find(kKeep, name) != std::end(kKeep))
    return Value(Text(*result.as_text()).set_markup());
  return result;
}

bool Interpreter::apply_test(std::string_view name, const Value& subject, Arguments arguments) {
  charge(1);
  const auto* test = find_test(name);
  if (!test) throw TemplateError(fmt::format("No test named '{}'.", name));
  check_binding(arguments, name, test->parameters);
  for (const Value& other : arguments.positional)
    charge(name == "in" ? other.weight() : std::min(subject.weight(), other.weight()));
  return test->call(*this, subject, arguments);
}

Value Interpreter::evaluate_unary(const Expr& e) {
  const Value v = evaluate(*e.items[0]);
  if (e.name == "not") return !v.truthy();
  if (v.is_undefined()) throw TemplateError(v.undefined_reason());
  const bool minus = e.name == "-";
  if (const auto i = v.as_integer()) {
    if (minus && *i == INT64_MIN) too_large();
    return minus ? -*i : *i;
  }
  if (const auto d = v.as_number()) return minus ? -*d : *d;
  throw TemplateError(fmt::format("bad operand type for unary {}: '{}'", e.name, v.type_name()));
}

Value Interpreter::evaluate_concat(const Expr& e) {
  Text text;  // never Markup: only with autoescape does ~ join as Markup does
  for (const ExprPtr& item : e.items) {
    const Text part = evaluate(*item).str();
    charge_text(part.size());
    text.append(part);
  }
  return Value(std::move(text));
}

bool Interpreter::evaluate_comparison(const Expr& e) {
  Value left = evaluate(*e.items[0]);
  for (size_t i = 0; i < e.names.size(); ++i) {
    Value right = evaluate(*e.items[i + 1]);
    charge(std::min(left.weight(), right.weight()));
    const std::string& op = e.names[i];
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = equal(left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      charge(right.weight());
      holds = contains(right, left) == (op == "in");
    } else if (op == "<" || op == ">") {
      holds = op == "<" ? less(left, right) : less(right, left);
    } else {
      holds = equal(left, right) || (op == "<=" ? less(left, right) : less(right, left));
      if (left.is_undefined()) throw TemplateError(left.undefined_reason());
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::binary(const std::string& op, const Value& a, const Value& b) {
  if (const auto x = a.as_integer(), y = b.as_integer(); x && y)
    return integer_arithmetic(op, *x, *y);
  if (const auto x = a.as_number(), y = b.as_number(); x && y) return real_arithmetic(op, *x, *y);
  const Text* text = a.as_text();
  if (op == "%" && text) {
    charge(a.weight() + b.weight() * (1 + text->size() / 64));
    return Value(format_percent(*text, b));
  }
  if (op == "+" && text && b.as_text()) {
    charge_text(text->size() + b.as_text()->size());
    const bool markup = text->markup() || b.as_text()->markup();
    Text joined = markup ? escape_html(*text) : *text;
    joined.append(markup ? escape_html(*b.as_text()) : *b.as_text());
    return Value(std::move(joined));
  }
  const Sequence *s = a.as_sequence(), *t = b.as_sequence();
  using SequenceType = Sequence::Type;
  const auto joins = [](const Sequence* q) {
    return q && (q->type == SequenceType::kList || q->type == SequenceType::kTuple);
  };
  if (op == "+" && joins(s) && joins(t) && s->type == t->type) {
    charge(s->items.size() + t->items.size());
    std::vector<Value> items = s->items;
    items.insert(items.end(), t->items.begin(), t->items.end());
    return Sequence::make(std::move(items), s->type);
  }
  if (op == "*" && (text || joins(s)) && b.as_integer()) return repeat(a, *b.as_integer());
  if (op == "*" && (b.as_text() || joins(t)) && a.as_integer()) return repeat(b, *a.as_integer());
  unsupported(op, a, b);
}

Value Interpreter::repeat(const Value& value, int64_t times) {
  const auto n = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  if (const Text* text = value.as_text()) {
    if (!text->empty() && n > limits_.output / text->size())
      throw TemplateError("the template makes too long a string");
    charge_text(n * text->size());
    Text result;
    result.set_markup(text->markup());
    if (text->runs().size() == 1) {  // of one origin: without asking for it each time
      std::string bytes;
      bytes.reserve(n * text->size());
      for (uint64_t i = 0; i < n; ++i) bytes += text->bytes();
      result.append(bytes, text->origin_at(0));
      return Value(std::move(result));
    }
    for (uint64_t i = 0; i < n && !text->empty(); ++i) result.append(*text);
    return Value(std::move(result));
  }
  const Sequence* s = value.as_sequence();
  if (!s->items.empty() && n > limits_.steps) charge(n);
  charge(n * s->items.size());
  std::vector<Value> items;
  for (uint64_t i = 0; i < n && !s->items.empty(); ++i)
    items.insert(items.end(), s->items.begin(), s->items.end());
  return Sequence::make(std::move(items), s->type);
}

Value Interpreter::get_attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) throw TemplateError(object.undefined_reason());
  if (const Value::LoopPtr* loop = object.as_loop()) return loop_attribute(*loop, name);
  if (const Namespace* ns = object.as_namespace()) {
    if (const Value* v = ns->attributes.find(name)) return *v;
  } else if (const Callable* c = object.as_callable()) {
    if (auto value = c->attribute ? c->attribute(name) : std::nullopt) return *value;
  } else if (const Sequence* s = object.as_sequence();
             s && s->label == "group" && (name == "grouper" || name == "list")) {
    return s->items[name == "list"];
  } else if (auto method = find_method(object, name)) {
    return *method;
  } else if (const Dict* d = object.as_dict()) {
    charge(d->items.size() / 8);
    if (const Value* v = d->find(name)) return *v;
  }
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", described(object), name));
}

Value Interpreter::get_item(const Value& object, const Value& key) {
  if (object.is_undefined()) throw TemplateError(object.undefined_reason());
  if (const Dict* d = object.as_dict()) {
    charge(d->items.size() / 8);
    if (const Value* v = d->find(key)) return *v;
  } else if (const Sequence* s = object.as_sequence()) {
    if (s->type != Sequence::Type::kGenerator && s->type != Sequence::Type::kDictView)
      if (const auto i = position(key, s->items.size())) return s->items[*i];
  } else if (const Text* text = object.as_text(); text && key.as_integer()) {
    charge_text(text->size());
    if (const auto i = position(key, count_chars(text->view()))) {
      const size_t from = byte_of_char(text->view(), *i);
      const size_t to = from + unicode::decode(text->bytes().data() + from).length;
      return Value(text->slice(from, to).set_markup(text->markup()));
    }
  }
  const Text* name = key.as_text();
  if (name && object.as_dict()) {
    if (auto method = find_method(object, name->view())) return *method;
  } else if (name) {
    return get_attribute(object, name->view());
  }
  return Value::undefined(fmt::format("'{}' has no {} {}", described(object),
                                      name ? "attribute" : "element", key.repr().view()));
}

Value Interpreter::make_namespace(Dict attributes) {
  for (const auto& [key, value] : attributes.items)
    if (key.as_text() && key.as_text()->view().starts_with('_'))
      throw TemplateError("attributes of a namespace cannot begin with an underscore");
  auto ns = std::make_shared<Namespace>(Namespace{std::move(attributes)});
  namespaces_.push_back(ns);
  return Value(std::move(ns));
}

}  // namespace sllm::jinja
