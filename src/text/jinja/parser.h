// Templates as trees (jinja2/parser.py). Extending or including other templates is refused.
#pragma once

#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace sllm::jinja {

// Throws TemplateError with the line.
Body parse_template(std::string_view source, Whitespace whitespace = Whitespace::kChat);

}  // namespace sllm::jinja
