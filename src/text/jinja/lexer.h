// Tokens of a template, with jinja2's rules for white space (trim_blocks, lstrip_blocks, "-", "+").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace sllm::jinja {

struct Token {
  enum class Type {
    kData,
    kBlockBegin,
    kBlockEnd,
    kVariableBegin,
    kVariableEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Type type;
  std::string text;  // data, name, operator, or a string's value
  int line = 1;
  int64_t integer = 0;
  double real = 0;
};

// White space around tags: as transformers sets it for chat templates, or as jinja2 does by itself
// but with the last line end kept (lm-evaluation-harness' task files).
enum class Whitespace { kChat, kPlain };

// Throws TemplateError with the line.
std::vector<Token> lex(std::string_view source, Whitespace whitespace = Whitespace::kChat);
[[noreturn]] void fail_at(int line, const std::string& what);

}  // namespace sllm::jinja
