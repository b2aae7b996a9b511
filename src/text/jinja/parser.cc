// Statements of a template (jinja2/parser.py, loopcontrols, transformers' {% generation %}).
#include "text/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/expression_parser.h"

namespace sllm::jinja {
namespace {

using Kind = Stmt::Kind;
using Type = Token::Type;
using StmtPtr = std::unique_ptr<Stmt>;

class Parser : ExpressionParser {
 public:
  Parser(std::string_view source, Whitespace whitespace)
      : ExpressionParser(lex(source, whitespace)) {}

  Template parse() {
    Template parsed;
    parsed.body = statements({});
    if (current().type != Type::kEnd) fail("unexpected end tag");
    parsed.has_generation = has_generation_;
    return parsed;
  }

 private:
  int loops_ = 0;  // around the statement, within its macro
  bool has_generation_ = false;

  static StmtPtr make_stmt(Kind kind, int line) {
    auto s = std::make_unique<Stmt>();
    s->kind = kind;
    s->line = line;
    return s;
  }

  // Up to a block that begins with one of `ends`, which is left with its name as current token.
  Body statements(std::initializer_list<std::string_view> ends) {
    const Nest nest(*this);
    Body body;
    while (current().type != Type::kEnd) {
      if (current().type == Type::kData) {
        StmtPtr s = make_stmt(Kind::kData, current().line);
        s->text = next().text;
        body.push_back(std::move(s));
      } else if (current().type == Type::kVariableBegin) {
        StmtPtr s = make_stmt(Kind::kOutput, next().line);
        s->expr = tuple();
        expect_end(Type::kVariableEnd);
        body.push_back(std::move(s));
      } else {
        next();  // block begin
        if (current().type == Type::kName && std::ranges::find(ends, current().text) != ends.end())
          return body;
        body.push_back(statement(ends));
        expect_end(Type::kBlockEnd);
      }
    }
    if (ends.size() > 0)
      fail(fmt::format("Unexpected end of template; looking for {}", fmt::join(ends, " or ")));
    return body;
  }

  // The body behind a tag, up to `end` ("endfor"), which is taken.
  Body block_body(std::string_view end) {
    expect_end(Type::kBlockEnd);
    Body body = statements({end});
    next();
    return body;
  }

  // The same for what Python runs as a function of its own, which no break can leave.
  Body function_body(std::string_view end) {
    const int outer = std::exchange(loops_, 0);
    Body body = block_body(end);
    loops_ = outer;
    return body;
  }

  void expect_end(Type type) {
    if (current().type != type) fail(fmt::format("unexpected {}", describe(current())));
    next();
  }

  StmtPtr statement(std::initializer_list<std::string_view> ends) {
    const int line = current().line;
    if (current().type != Type::kName) fail("tag name expected");
    const std::string tag = next().text;
    if (tag == "if") return if_statement(line);
    if (tag == "for") return for_statement(line);
    if (tag == "set") return set_statement(line);
    if (tag == "macro") return macro_statement(line);
    if (tag == "call") return call_statement(line);
    if (tag == "filter") return filter_statement(line);
    if (tag == "with") return with_statement(line);
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) fail_at(line, fmt::format("'{}' outside loop", tag));
      return make_stmt(tag == "break" ? Kind::kBreak : Kind::kContinue, line);
    }
    if (tag == "generation") {
      has_generation_ = true;
      StmtPtr s = make_stmt(Kind::kGeneration, line);
      s->body = function_body("endgeneration");
      return s;
    }
    for (const char* refused : {"include", "import", "from", "extends", "block", "autoescape"})
      if (tag == refused) fail_at(line, fmt::format("'{}' is not allowed in a chat template", tag));
    fail_at(line, fmt::format(
                      "Encountered unknown tag '{}'{}", tag,
                      ends.size() ? fmt::format("; looking for {}", fmt::join(ends, " or ")) : ""));
  }

  StmtPtr if_statement(int line) {
    StmtPtr s = make_stmt(Kind::kIf, line);
    while (true) {
      ExprPtr condition = tuple(false);
      expect_end(Type::kBlockEnd);
      Body body = statements({"elif", "else", "endif"});
      s->branches.emplace_back(std::move(condition), std::move(body));
      const std::string tag = next().text;
      if (tag == "elif") continue;
      if (tag == "else") s->branches.emplace_back(nullptr, block_body("endif"));
      return s;
    }
  }

  StmtPtr for_statement(int line) {
    StmtPtr s = make_stmt(Kind::kFor, line);
    s->target = target("in", false);
    if (!skip_name("in")) fail("expected 'in'");
    s->expr = tuple(false, "recursive");
    if (skip_name("if")) s->condition = expression();
    s->recursive = skip_name("recursive");
    expect_end(Type::kBlockEnd);
    ++loops_;
    s->body = statements({"endfor", "else"});
    --loops_;
    if (next().text == "else") s->otherwise = block_body("endfor");
    return s;
  }

  // A name, name.attribute (of a namespace), or a tuple of names.
  ExprPtr target(std::string_view end_name, bool with_namespace) {
    const int line = current().line;
    std::vector<ExprPtr> names;
    bool is_tuple = false;
    while (true) {
      if (skip_op("(")) {
        names.push_back(target("", with_namespace));
        expect_op(")");
      } else {
        const int name_line = current().line;
        std::string name = expect_name();
        for (const char* constant : {"true", "false", "none", "True", "False", "None"})
          if (name == constant) fail_at(name_line, fmt::format("can't assign to '{}'", name));
        names.push_back(make(Expr::Kind::kName, name_line, {}, std::move(name)));
        if (with_namespace && skip_op(".")) {
          std::vector<ExprPtr> base;
          base.push_back(std::move(names.back()));
          names.back() = make(Expr::Kind::kAttribute, name_line, std::move(base), expect_name());
        }
      }
      if (!skip_op(",")) break;
      is_tuple = true;
      if ((!end_name.empty() && is_name(end_name)) || is_op("=") || is_op(")")) break;
    }
    if (names.size() == 1 && !is_tuple) return std::move(names.front());
    return make(Expr::Kind::kTuple, line, std::move(names));
  }

  StmtPtr set_statement(int line) {
    StmtPtr s = make_stmt(Kind::kSet, line);
    s->target = target("", true);
    if (skip_op("=")) {
      s->expr = tuple();
      return s;
    }
    s->kind = Kind::kSetBlock;
    s->expr = filters(nullptr);
    s->body = block_body("endset");
    return s;
  }

  std::vector<Parameter> signature() {
    std::vector<Parameter> parameters;
    expect_op("(");
    while (!is_op(")")) {
      if (!parameters.empty()) expect_op(",");
      Parameter p;
      p.name = expect_name();
      if (parameters.size() > 100) fail("a macro takes too many parameters");
      if (std::ranges::count(parameters, p.name, &Parameter::name))
        fail(fmt::format("duplicate argument '{}'", p.name));
      if (skip_op("="))
        p.otherwise = expression();
      else if (p.name == "caller")
        fail("the special \"caller\" argument must be omitted or be given a default");
      else if (!parameters.empty() && parameters.back().otherwise)
        fail("non-default argument follows default argument");
      parameters.push_back(std::move(p));
    }
    expect_op(")");
    return parameters;
  }

  StmtPtr macro_statement(int line) {
    StmtPtr s = make_stmt(Kind::kMacro, line);
    s->text = expect_name();
    macro_body(*s, "endmacro", true);
    return s;
  }

  StmtPtr call_statement(int line) {
    StmtPtr s = make_stmt(Kind::kCallBlock, line);
    if (is_op("(")) s->parameters = signature();
    s->expr = expression();
    if (s->expr->kind != Expr::Kind::kCall) fail_at(line, "expected call");
    macro_body(*s, "endcall", false);
    return s;
  }

  void macro_body(Stmt& s, std::string_view end, bool with_signature) {
    const size_t varargs = varargs_seen_, kwargs = kwargs_seen_, caller = caller_seen_;
    if (with_signature) s.parameters = signature();
    s.body = function_body(end);
    s.uses_varargs = varargs_seen_ > varargs;
    s.uses_kwargs = kwargs_seen_ > kwargs;
    s.uses_caller = caller_seen_ > caller;
    for (const Parameter& p : s.parameters) s.uses_caller |= p.name == "caller";
  }

  StmtPtr filter_statement(int line) {
    StmtPtr s = make_stmt(Kind::kFilter, line);
    s->expr = filters(nullptr, true);
    s->body = block_body("endfilter");
    return s;
  }

  StmtPtr with_statement(int line) {
    StmtPtr s = make_stmt(Kind::kWith, line);
    while (current().type != Type::kBlockEnd) {
      if (!s->assignments.empty()) expect_op(",");
      ExprPtr name = target("", false);
      expect_op("=");
      s->assignments.emplace_back(std::move(name), expression());
    }
    s->body = block_body("endwith");
    return s;
  }
};

}  // namespace

Template parse_template(std::string_view source, Whitespace whitespace) {
  return Parser(source, whitespace).parse();
}

}  // namespace sllm::jinja
