// Templates as trees (jinja2/parser.py). Extending or including other templates is refused.
#pragma once

#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace sllm::jinja {

struct Template {
  Body body;
  bool has_generation = false;  // {% generation %} stands somewhere in it
};

// Throws TemplateError with the line.
Template parse_template(std::string_view source, Whitespace whitespace = Whitespace::kChat);

}  // namespace sllm::jinja
