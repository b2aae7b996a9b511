// What an answer that may call functions looks like: the model's way to write calls, and the
// functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/call_form.h"
#include "tools/think_marks.h"
#include "tools/tool.h"

namespace sllm {

struct CallSyntax {
  const CallForm* form = nullptr;
  const ThinkMarks* think = nullptr;  // null: the model does not think aloud
  bool thinks_first = false;          // the prompt's end has begun it
  ToolUse use;

  const Tool* find(std::string_view name) const {
    for (const Tool& tool : use.tools)
      if (tool.name == name) return &tool;
    return nullptr;
  }
};

}  // namespace sllm
