// Statements: output, control flow, assignment, macros.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"

namespace sllm::jinja {

Value* Scope::find(std::string_view name, uint64_t& looked_at) {
  for (Scope* s = this; s; s = s->parent.get()) {
    looked_at += s->variables.size();
    for (auto& [key, value] : s->variables)
      if (key == name) return &value;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [key, old] : variables)
    if (key == name) {
      old = std::move(value);
      return;
    }
  variables.emplace_back(name, std::move(value));
}

Interpreter::Interpreter(Limits limits, Dict variables, std::optional<int64_t> now)
    : limits_(limits), now_(now), globals_(std::move(variables)) {
  add_globals(globals_);
  scope_ = std::make_shared<Scope>();
}

Interpreter::~Interpreter() {
  // Macros hold the scope that holds them, namespaces may hold themselves: cut the circles.
  for (const ScopePtr& scope : captured_) scope->variables.clear();
  for (const auto& ns : namespaces_) ns->attributes.items.clear();
}

Text Interpreter::run(const Body& body) {
  Text output;
  out_ = &output;
  execute(body);
  return output;
}

void Interpreter::charge(uint64_t steps) {
  if ((steps_ += steps) > limits_.steps)
    throw TemplateError(fmt::format("the template takes more than {} steps", limits_.steps));
}

Interpreter::Deeper::Deeper(Interpreter& i) : interpreter(i) {
  if (++i.depth_ > i.limits_.depth) {
    --i.depth_;
    throw TemplateError("the template nests macros or expressions too deeply");
  }
}

void Interpreter::write_value(const Value& value) {
  if (limits_.strict && value.is_undefined()) throw TemplateError(value.undefined_reason());
  write(value.str());
}

void Interpreter::write(const Text& text) {
  charge_text(text.size());
  if (out_->size() + text.size() > limits_.output)
    throw TemplateError(fmt::format("the template writes more than {} bytes", limits_.output));
  out_->append(text);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const auto& statement : body)
    if (const Flow flow = execute(*statement); flow != Flow::kNormal) return flow;
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Stmt& s) {
  const Deeper deeper(*this);
  charge(1);
  switch (s.kind) {
    case Stmt::Kind::kData:
      write(Text(s.text, kTemplate));
      break;
    case Stmt::Kind::kOutput:
      write_value(evaluate(*s.expr));
      break;
    case Stmt::Kind::kIf:
      return execute_if(s);
    case Stmt::Kind::kFor:
      return execute_for(s, evaluate(*s.expr), 0);
    case Stmt::Kind::kSet:
      assign(*s.target, evaluate(*s.expr));
      break;
    case Stmt::Kind::kSetBlock: {
      Text text;
      if (const Flow flow = capture(s.body, inner_scope(), text); flow != Flow::kNormal)
        return flow;
      const Value value(std::move(text));
      assign(*s.target, s.expr ? filter_block(*s.expr, value) : value);
      break;
    }
    case Stmt::Kind::kMacro:
      scope_->set(s.text, make_macro(s, s.text));
      break;
    case Stmt::Kind::kCallBlock:
      call_block(s);
      break;
    case Stmt::Kind::kFilter: {
      Text text;
      if (const Flow flow = capture(s.body, inner_scope(), text); flow != Flow::kNormal)
        return flow;
      write(filter_block(*s.expr, Value(std::move(text))).str());
      break;
    }
    case Stmt::Kind::kWith:
      return execute_with(s);
    case Stmt::Kind::kGeneration: {  // the parser lets nothing break out of it
      Text text;
      capture(s.body, inner_scope(), text);
      text.speak();
      write(text);
      break;
    }
    case Stmt::Kind::kBreak:
      return Flow::kBreak;
    case Stmt::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_if(const Stmt& s) {
  for (const auto& [condition, body] : s.branches)
    if (!condition || evaluate(*condition).truthy()) return execute(body);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute_with(const Stmt& s) {
  ScopePtr inner = inner_scope();
  std::vector<Value> values;
  for (const auto& [target, value] : s.assignments) values.push_back(evaluate(*value));
  const InScope in(*this, inner);
  for (size_t i = 0; i < values.size(); ++i) assign(*s.assignments[i].first, values[i]);
  return execute(s.body);
}

Interpreter::Flow Interpreter::execute_for(const Stmt& s, const Value& iterable, size_t level) {
  if (level > kMaxNesting) throw TemplateError("a recursive loop goes too deep");
  auto loop = std::make_shared<LoopState>();
  loop->level = level;
  loop->items = iterate(iterable);
  charge(loop->items.size());
  if (s.condition) {
    const InScope in(*this, inner_scope());
    std::erase_if(loop->items, [&](const Value& item) {
      assign(*s.target, item);
      return !evaluate(*s.condition).truthy();
    });
  }
  if (s.recursive)
    loop->recurse = Value(std::make_shared<const Callable>(
        Callable{"loop", "LoopContext", [&s, level](Interpreter& i, Arguments& a) -> Value {
                   check_arguments(a, "loop", 1);
                   Text text;
                   const InOutput out(i, text);
                   i.execute_for(s, argument(a, 0, "iterable", Value()), level + 1);
                   return Value(std::move(text));
                 }}));
  if (loop->items.empty()) {
    const InScope in(*this, inner_scope());
    return execute(s.otherwise);
  }
  for (; loop->at < loop->items.size(); ++loop->at) {
    charge(1);
    const InScope in(*this, inner_scope());
    scope_->set("loop", Value(loop));
    assign(*s.target, loop->items[loop->at]);
    if (execute(s.body) == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

void Interpreter::assign(const Expr& target, const Value& value) {
  charge(1 + scope_->variables.size() / 16);
  if (target.kind == Expr::Kind::kName) return scope_->set(target.name, value);
  if (target.kind == Expr::Kind::kAttribute) {
    Value base = evaluate(*target.items[0]);
    if (!base.as_namespace())
      fail_at(target.line, "cannot assign attribute on non-namespace object");
    if (target.name.starts_with('_'))
      fail_at(target.line, "attributes of a namespace cannot begin with an underscore");
    charge(base.as_namespace()->attributes.items.size() / 16);
    return base.as_namespace()->attributes.set(Value::text(target.name), value);
  }
  const std::vector<Value> items = iterate(value);
  if (items.size() != target.items.size())
    fail_at(target.line,
            fmt::format("{} values to unpack, expected {}", items.size(), target.items.size()));
  for (size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i]);
}

Interpreter::Flow Interpreter::capture(const Body& body, ScopePtr scope, Text& text) {
  const InScope in(*this, std::move(scope));
  const InOutput out(*this, text);
  return execute(body);
}

Value Interpreter::make_macro(const Stmt& s, std::string name) {
  captured_.push_back(scope_);
  std::weak_ptr<Scope> home = scope_;  // kept alive by captured_
  return Value(std::make_shared<const Callable>(
      Callable{name, "Macro",
               [&s, name, home](Interpreter& i, Arguments& a) {
                 return i.call_macro(s, name, home.lock(), a);
               },
               [&s, name](std::string_view attribute) -> std::optional<Value> {
                 if (attribute == "name") return Value::text(name);
                 if (attribute == "catch_kwargs") return Value(s.uses_kwargs);
                 if (attribute == "catch_varargs") return Value(s.uses_varargs);
                 if (attribute == "caller") return Value(s.uses_caller);
                 if (attribute != "arguments") return std::nullopt;
                 std::vector<Value> names;
                 for (const Parameter& p : s.parameters) names.push_back(Value::text(p.name));
                 return Sequence::make(std::move(names), Sequence::Type::kTuple);
               }}));
}

Value Interpreter::call_macro(const Stmt& s, const std::string& name, const ScopePtr& home,
                              Arguments& a) {
  auto scope = std::make_shared<Scope>(Scope{home, {}});
  const auto take = [&a](std::string_view key) -> std::optional<Value> {
    const auto it = std::ranges::find(a.named, key, [](const auto& kv) { return kv.first; });
    if (it == a.named.end()) return std::nullopt;
    Value value = std::move(it->second);
    a.named.erase(it);
    return value;
  };
  charge((1 + s.parameters.size()) * (a.named.size() / 16));
  const size_t given = std::min(a.positional.size(), s.parameters.size());
  const InScope in(*this, scope);
  for (size_t p = 0; p < s.parameters.size(); ++p) {
    const Parameter& parameter = s.parameters[p];
    std::optional<Value> value;
    if (p < given)
      value = a.positional[p];
    else
      value = take(parameter.name);
    if (!value)
      value =
          parameter.otherwise
              ? evaluate(*parameter.otherwise)
              : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name));
    scope->set(parameter.name, std::move(*value));
  }
  if (s.uses_caller && !std::ranges::count(s.parameters, "caller", &Parameter::name)) {
    auto caller = take("caller");
    scope->set("caller", caller ? *caller : Value::undefined("No caller defined"));
  }
  if (s.uses_kwargs) {
    auto rest = std::make_shared<Dict>();
    charge(a.named.size() * a.named.size() / 16);
    for (auto& [key, value] : a.named) rest->set(Value::text(key), std::move(value));
    scope->set("kwargs", Value(std::move(rest)));
  } else if (!a.named.empty()) {
    throw TemplateError(
        fmt::format("macro '{}' takes no keyword argument '{}'", name, a.named.front().first));
  }
  if (s.uses_varargs)
    scope->set("varargs", Sequence::make({a.positional.begin() + static_cast<ptrdiff_t>(given),
                                          a.positional.end()},
                                         Sequence::Type::kTuple));
  else if (a.positional.size() > s.parameters.size())
    throw TemplateError(
        fmt::format("macro '{}' takes not more than {} argument(s)", name, s.parameters.size()));
  Text text;
  capture(s.body, scope, text);
  return Value(std::move(text));
}

void Interpreter::call_block(const Stmt& s) {
  const Value function = evaluate(*s.expr->items[0]);
  Arguments arguments = evaluate_arguments(s.expr->arguments);
  arguments.named.emplace_back("caller", make_macro(s, "caller"));
  write(call(function, std::move(arguments)).str());
}

}  // namespace sllm::jinja
