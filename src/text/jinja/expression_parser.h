// The expression half of the parser; statements derive from it.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace sllm::jinja {

class ExpressionParser {
 protected:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is_op(std::string_view op) const {
    return current().type == Token::Type::kOperator && current().text == op;
  }
  bool is_name(std::string_view name) const {
    return current().type == Token::Type::kName && current().text == name;
  }
  bool skip_op(std::string_view op) { return is_op(op) && (next(), true); }
  bool skip_name(std::string_view name) { return is_name(name) && (next(), true); }
  void expect_op(std::string_view op);
  std::string expect_name();
  [[noreturn]] void fail(const std::string& what) const { fail_at(current().line, what); }
  std::string describe(const Token& token) const;

  ExprPtr expression(bool with_condition = true);
  ExprPtr tuple(bool with_condition = true, std::string_view end_name = "",
                bool parenthesized = false);
  ExprPtr filters(ExprPtr input, bool start_inline = false);
  ExprPtr primary();
  ExprPtr postfix(ExprPtr base);
  ExprPtr make(Expr::Kind kind, int line, std::vector<ExprPtr> items = {},
               std::string name = "") const;
  // Left-associative operators of one level.
  ExprPtr chain(std::initializer_list<std::string_view> ops,
                const std::function<ExprPtr()>& operand);

 private:
  ExprPtr conditional();
  ExprPtr disjunction();
  ExprPtr conjunction();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters = true);
  ExprPtr list();
  ExprPtr dict();
  ExprPtr subscript(ExprPtr base);
  ExprPtr test(ExprPtr subject);
  ExprPtr suffixes(ExprPtr base);
  void call_arguments(Expr& call);
  void note_depth(Expr& e) const;

  std::vector<Token> tokens_;
  size_t at_ = 0;

 protected:
  // How often a macro's special names have been read so far.
  size_t varargs_seen_ = 0, kwargs_seen_ = 0, caller_seen_ = 0;
  int nesting_ = 0;  // of the parser's own recursion
  struct Nest {
    explicit Nest(ExpressionParser& p);
    ~Nest() { --parser.nesting_; }
    ExpressionParser& parser;
  };
};

}  // namespace sllm::jinja
