// Templates as trees (jinja2/parser.py). Extending or including other templates is refused.
#pragma once

#include <string_view>

#include "text/jinja/ast.h"

namespace sllm::jinja {

// Throws TemplateError with the line.
Body parse_template(std::string_view source);

}  // namespace sllm::jinja
