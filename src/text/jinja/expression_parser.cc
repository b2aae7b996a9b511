// Expressions by recursive descent, in jinja2's order of precedence.
#include "text/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"

namespace sllm::jinja {
namespace {

constexpr int kMaxParserNesting = 100;
constexpr size_t kMaxTreeDepth = 250;
using Kind = Expr::Kind;
using Type = Token::Type;

}  // namespace

ExpressionParser::Nest::Nest(ExpressionParser& p) : parser(p) {
  if (++parser.nesting_ > kMaxParserNesting) {
    --parser.nesting_;
    parser.fail("expressions or blocks are nested too deeply");
  }
}

std::string ExpressionParser::describe(const Token& token) const {
  switch (token.type) {
    case Type::kEnd:
      return "end of template";
    case Type::kBlockEnd:
      return "end of statement block";
    case Type::kVariableEnd:
      return "end of print statement";
    default:
      return fmt::format("'{}'", token.text.substr(0, 40));
  }
}

void ExpressionParser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail(fmt::format("expected '{}', got {}", op, describe(current())));
}

std::string ExpressionParser::expect_name() {
  if (current().type != Type::kName)
    fail(fmt::format("expected a name, got {}", describe(current())));
  return next().text;
}

void ExpressionParser::note_depth(Expr& e) const {
  const auto see = [&e](const ExprPtr& child) {
    if (child) e.depth = std::max(e.depth, child->depth + 1);
  };
  for (const ExprPtr& child : e.items) see(child);
  for (const ExprPtr& child : e.arguments.positional) see(child);
  for (const auto& [name, child] : e.arguments.named) see(child);
  see(e.arguments.more_positional);
  see(e.arguments.more_named);
  if (e.depth > kMaxTreeDepth) fail_at(e.line, "an expression is nested too deeply");
}

ExprPtr ExpressionParser::make(Kind kind, int line, std::vector<ExprPtr> items,
                               std::string name) const {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->line = line;
  e->items = std::move(items);
  e->name = std::move(name);
  note_depth(*e);
  return e;
}

namespace {
template <class... E>
std::vector<ExprPtr> list_of(E... e) {
  std::vector<ExprPtr> items;
  (items.push_back(std::move(e)), ...);
  return items;
}
}  // namespace

ExprPtr ExpressionParser::expression(bool with_condition) {
  const Nest nest(*this);
  return with_condition ? conditional() : disjunction();
}

ExprPtr ExpressionParser::conditional() {
  ExprPtr value = disjunction();
  while (is_name("if")) {
    const int line = next().line;
    ExprPtr condition = disjunction();
    ExprPtr otherwise = skip_name("else") ? expression() : nullptr;
    value = make(Kind::kConditional, line,
                 list_of(std::move(value), std::move(condition), std::move(otherwise)));
  }
  return value;
}

ExprPtr ExpressionParser::disjunction() {
  ExprPtr left = conjunction();
  while (is_name("or")) {
    const int line = next().line;
    left = make(Kind::kOr, line, list_of(std::move(left), conjunction()));
  }
  return left;
}

ExprPtr ExpressionParser::conjunction() {
  ExprPtr left = negation();
  while (is_name("and")) {
    const int line = next().line;
    left = make(Kind::kAnd, line, list_of(std::move(left), negation()));
  }
  return left;
}

ExprPtr ExpressionParser::negation() {
  if (!is_name("not")) return comparison();
  const Nest nest(*this);
  const int line = next().line;
  return make(Kind::kUnary, line, list_of(negation()), "not");
}

ExprPtr ExpressionParser::comparison() {
  const int line = current().line;
  std::vector<ExprPtr> operands = list_of(sum());
  std::vector<std::string> ops;
  while (true) {
    static constexpr std::string_view kOps[] = {"==", "!=", "<", "<=", ">", ">="};
    const Token& token = current();
    if (token.type == Type::kOperator && std::ranges::find(kOps, token.text) != std::end(kOps)) {
      ops.push_back(next().text);
    } else if (is_name("in")) {
      next();
      ops.emplace_back("in");
    } else if (is_name("not") && look().type == Type::kName && look().text == "in") {
      next();
      next();
      ops.emplace_back("not in");
    } else {
      break;
    }
    operands.push_back(sum());
  }
  if (ops.empty()) return std::move(operands.front());
  ExprPtr e = make(Kind::kCompare, line, std::move(operands));
  e->names = std::move(ops);
  return e;
}

ExprPtr ExpressionParser::chain(std::initializer_list<std::string_view> ops,
                                const std::function<ExprPtr()>& operand) {
  ExprPtr left = operand();
  while (current().type == Type::kOperator && std::ranges::find(ops, current().text) != ops.end()) {
    const Token& op = next();
    left = make(Kind::kBinary, op.line, list_of(std::move(left), operand()), op.text);
  }
  return left;
}

ExprPtr ExpressionParser::sum() {
  return chain({"+", "-"}, [this] { return concatenation(); });
}

ExprPtr ExpressionParser::concatenation() {
  const int line = current().line;
  std::vector<ExprPtr> parts = list_of(product());
  while (skip_op("~")) parts.push_back(product());
  if (parts.size() == 1) return std::move(parts.front());
  return make(Kind::kConcat, line, std::move(parts));
}

ExprPtr ExpressionParser::product() {
  return chain({"*", "/", "//", "%"}, [this] { return power(); });
}

ExprPtr ExpressionParser::power() {
  return chain({"**"}, [this] { return unary(); });
}

ExprPtr ExpressionParser::unary(bool with_filters) {
  ExprPtr e;
  if (is_op("-") || is_op("+")) {
    const Nest nest(*this);
    const Token& op = next();
    e = make(Kind::kUnary, op.line, list_of(unary(false)), op.text);
  } else {
    e = primary();
  }
  e = postfix(std::move(e));
  return with_filters ? suffixes(std::move(e)) : std::move(e);
}

ExprPtr ExpressionParser::primary() {
  const Token& token = current();
  const auto constant = [&](Value value) {
    ExprPtr e = make(Kind::kConstant, token.line);
    e->value = std::move(value);
    return e;
  };
  switch (token.type) {
    case Type::kName: {
      next();
      if (token.text == "true" || token.text == "True") return constant(true);
      if (token.text == "false" || token.text == "False") return constant(false);
      if (token.text == "none" || token.text == "None") return constant(Value());
      varargs_seen_ += token.text == "varargs";
      kwargs_seen_ += token.text == "kwargs";
      caller_seen_ += token.text == "caller";
      return make(Kind::kName, token.line, {}, token.text);
    }
    case Type::kString: {
      std::string text;
      while (current().type == Type::kString) text += next().text;
      return constant(Value::text(text));
    }
    case Type::kInteger:
      return constant(next().integer);
    case Type::kFloat:
      return constant(next().real);
    default:
      break;
  }
  if (skip_op("(")) {
    ExprPtr e = tuple(true, "", true);
    expect_op(")");
    return e;
  }
  if (is_op("[")) return list();
  if (is_op("{")) return dict();
  fail(fmt::format("unexpected {}", describe(token)));
}

// One expression, or several with commas between as a tuple. `end_name` ends it too.
ExprPtr ExpressionParser::tuple(bool with_condition, std::string_view end_name,
                                bool parenthesized) {
  const int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) {
      if (!skip_op(",")) break;
      is_tuple = true;
    }
    if (current().type == Type::kVariableEnd || current().type == Type::kBlockEnd || is_op(")") ||
        (!end_name.empty() && is_name(end_name)))
      break;
    items.push_back(expression(with_condition));
  }
  if (items.size() == 1 && !is_tuple) return std::move(items.front());
  if (items.empty() && !parenthesized)
    fail(fmt::format("Expected an expression, got {}", describe(current())));
  return make(Kind::kTuple, line, std::move(items));
}

ExprPtr ExpressionParser::list() {
  const int line = next().line;
  std::vector<ExprPtr> items;
  while (!is_op("]")) {
    if (!items.empty()) expect_op(",");
    if (is_op("]")) break;
    items.push_back(expression());
  }
  expect_op("]");
  return make(Kind::kList, line, std::move(items));
}

ExprPtr ExpressionParser::dict() {
  const int line = next().line;
  std::vector<ExprPtr> items;
  while (!is_op("}")) {
    if (!items.empty()) expect_op(",");
    if (is_op("}")) break;
    items.push_back(expression());
    expect_op(":");
    items.push_back(expression());
  }
  expect_op("}");
  return make(Kind::kDict, line, std::move(items));
}

ExprPtr ExpressionParser::postfix(ExprPtr base) {
  while (true) {
    if (is_op(".") || is_op("[")) {
      base = subscript(std::move(base));
    } else if (is_op("(")) {
      ExprPtr call = make(Kind::kCall, current().line, list_of(std::move(base)));
      call_arguments(*call);
      base = std::move(call);
    } else {
      return base;
    }
  }
}

ExprPtr ExpressionParser::suffixes(ExprPtr base) {
  while (true) {
    if (is_op("|")) {
      base = filters(std::move(base));
    } else if (is_name("is")) {
      base = test(std::move(base));
    } else if (is_op("(")) {
      ExprPtr call = make(Kind::kCall, current().line, list_of(std::move(base)));
      call_arguments(*call);
      base = std::move(call);
    } else {
      return base;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr base) {
  const Token& token = next();
  if (token.text == ".") {
    const Token& name = next();
    if (name.type == Type::kName) {
      if (name.text.starts_with("__"))
        fail_at(name.line, fmt::format("access to attribute '{}' is not allowed", name.text));
      return make(Kind::kAttribute, token.line, list_of(std::move(base)), name.text);
    }
    if (name.type != Type::kInteger) fail_at(name.line, "expected name or number");
    ExprPtr index = make(Kind::kConstant, name.line);
    index->value = name.integer;
    return make(Kind::kItem, token.line, list_of(std::move(base), std::move(index)));
  }
  const auto ends = [this] { return is_op("]") || is_op(",") || is_op(":"); };
  ExprPtr first = is_op(":") ? nullptr : expression();
  if (skip_op(":")) {
    ExprPtr stop = ends() ? nullptr : expression();
    ExprPtr step = skip_op(":") && !ends() ? expression() : nullptr;
    expect_op("]");
    return make(Kind::kSlice, token.line,
                list_of(std::move(base), std::move(first), std::move(stop), std::move(step)));
  }
  if (is_op(",")) {
    std::vector<ExprPtr> keys = list_of(std::move(first));
    while (skip_op(",")) keys.push_back(expression());
    first = make(Kind::kTuple, token.line, std::move(keys));
  }
  expect_op("]");
  return make(Kind::kItem, token.line, list_of(std::move(base), std::move(first)));
}

void ExpressionParser::call_arguments(Expr& call) {
  const Nest nest(*this);
  CallArguments& a = call.arguments;
  const auto ensure = [&](bool good) {
    if (!good) fail_at(call.line, "invalid syntax for function call expression");
  };
  expect_op("(");
  for (bool first = true; !is_op(")"); first = false) {
    if (!first) expect_op(",");
    if (is_op(")")) break;
    if (skip_op("*")) {
      ensure(!a.more_positional && !a.more_named);
      a.more_positional = expression();
    } else if (skip_op("**")) {
      ensure(!a.more_named);
      a.more_named = expression();
    } else if (current().type == Type::kName && look().type == Type::kOperator &&
               look().text == "=") {
      ensure(!a.more_named);
      std::string name = next().text;
      next();
      a.named.emplace_back(std::move(name), expression());
    } else {
      ensure(!a.more_positional && !a.more_named && a.named.empty());
      a.positional.push_back(expression());
    }
  }
  expect_op(")");
  note_depth(call);
}

ExprPtr ExpressionParser::filters(ExprPtr input, bool start_inline) {
  while (is_op("|") || start_inline) {
    if (!start_inline) next();
    start_inline = false;
    const int line = current().line;
    std::string name = expect_name();
    if (!find_filter(name)) fail_at(line, fmt::format("No filter named '{}'.", name));
    ExprPtr e = make(Kind::kFilter, line, list_of(std::move(input)), std::move(name));
    if (is_op("(")) call_arguments(*e);
    input = std::move(e);
  }
  return input;
}

ExprPtr ExpressionParser::test(ExprPtr subject) {
  const int line = next().line;
  const bool negated = skip_name("not");
  std::string name = expect_name();
  if (!find_test(name)) fail_at(line, fmt::format("No test named '{}'.", name));
  ExprPtr e = make(Kind::kTest, line, list_of(std::move(subject)), std::move(name));
  const Token& token = current();
  const bool starts_operand = token.type == Type::kName || token.type == Type::kString ||
                              token.type == Type::kInteger || token.type == Type::kFloat ||
                              is_op("[") || is_op("{");
  if (is_op("(")) {
    call_arguments(*e);
  } else if (starts_operand && !is_name("else") && !is_name("or") && !is_name("and")) {
    if (is_name("is")) fail("You cannot chain multiple tests with is");
    e->arguments.positional.push_back(postfix(primary()));
    note_depth(*e);
  }
  return negated ? make(Kind::kUnary, line, list_of(std::move(e)), "not") : std::move(e);
}

}  // namespace sllm::jinja
