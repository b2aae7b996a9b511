// Walks a template's tree over its variables. Bounded in steps, depth and output; it can reach
// nothing but the variables it is given.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"

namespace sllm::jinja {

struct Limits {
  uint64_t steps = 500'000;          // one per node, plus one per 16 bytes of text made
  size_t depth = 400;                // of nested evaluation
  size_t output = size_t{16} << 20;  // bytes
  bool strict = false;               // writing an undefined value is an error (StrictUndefined)
};

// Variables of one block; inner ones see outer ones. Kept alive while a macro refers to it.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string_view, Value>> variables;
  // Adds the number of names it looked at.
  Value* find(std::string_view name, uint64_t& looked_at);
  void set(std::string_view name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  // `variables` are what the template sees beside the built-in functions.
  Interpreter(Limits limits, Dict variables, std::optional<int64_t> now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // What the template writes; the origins of what its {% generation %} blocks wrote hold kSpoken.
  // Throws TemplateError.
  Text run(const Body& body);

  // For built-ins.
  void charge(uint64_t steps);
  void charge_text(size_t bytes) { charge(1 + bytes / 16); }
  Value get_attribute(const Value& object, std::string_view name);  // object.name
  Value get_item(const Value& object, const Value& key);            // object[key]
  Value call(const Value& function, Arguments arguments);
  Value apply_filter(std::string_view name, const Value& input, Arguments arguments);
  bool apply_test(std::string_view name, const Value& subject, Arguments arguments);
  Value binary(const std::string& op, const Value& a, const Value& b);  // a op b
  Value make_namespace(Dict attributes);
  std::optional<int64_t> now() const { return now_; }

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  struct Deeper {
    explicit Deeper(Interpreter& i);
    ~Deeper() { --interpreter.depth_; }
    Interpreter& interpreter;
  };
  // Sets the current scope or output and puts the former back.
  struct InScope {
    InScope(Interpreter& i, ScopePtr scope)
        : interpreter(i), before(std::exchange(i.scope_, std::move(scope))) {}
    ~InScope() { interpreter.scope_ = std::move(before); }
    Interpreter& interpreter;
    ScopePtr before;
  };
  struct InOutput {
    InOutput(Interpreter& i, Text& out) : interpreter(i), before(std::exchange(i.out_, &out)) {}
    ~InOutput() { interpreter.out_ = before; }
    Interpreter& interpreter;
    Text* before;
  };

  // statements.cc
  Flow execute(const Body& body);
  Flow execute(const Stmt& statement);
  Flow execute_if(const Stmt& statement);
  Flow execute_with(const Stmt& statement);
  Flow execute_for(const Stmt& statement, const Value& iterable, size_t level);
  void assign(const Expr& target, const Value& value);
  void call_block(const Stmt& statement);
  Value make_macro(const Stmt& statement, std::string name);
  Value call_macro(const Stmt& statement, const std::string& name, const ScopePtr& home,
                   Arguments& arguments);
  Flow capture(const Body& body, ScopePtr scope, Text& text);
  void write(const Text& text);
  void write_value(const Value& value);

  // expressions.cc
  Value evaluate(const Expr& e);
  Value evaluate_name(const Expr& e);
  Value evaluate_dict(const Expr& e);
  Value evaluate_slice(const Expr& e);
  Value evaluate_call(const Expr& e);
  Value evaluate_unary(const Expr& e);
  Value evaluate_concat(const Expr& e);
  bool evaluate_comparison(const Expr& e);
  // The filters of a {% filter %} or {% set %} block, whose innermost has no operand.
  Value filter_block(const Expr& e, const Value& input);
  Arguments evaluate_arguments(const CallArguments& arguments);
  Value repeat(const Value& value, int64_t times);
  ScopePtr inner_scope() { return std::make_shared<Scope>(Scope{scope_, {}}); }

  Limits limits_;
  std::optional<int64_t> now_;
  Dict globals_;
  uint64_t steps_ = 0;
  size_t depth_ = 0;
  ScopePtr scope_;
  Text* out_ = nullptr;
  // What may refer to itself; emptied at the end so that nothing leaks.
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<ScopePtr> captured_;
};

}  // namespace sllm::jinja
