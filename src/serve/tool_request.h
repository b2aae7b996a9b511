// Functions in requests: "tools", "tool_choice", "parallel_tool_calls", and the calls that earlier
// messages hold. Shapes are those of the OpenAI API reference, which Ollama's agree with but for
// arguments, which are objects there; both are taken.
#pragma once

#include "serve/json_reader.h"
#include "text/message.h"
#include "tools/tool.h"

namespace sllm {

inline constexpr size_t kMaxTools = 128;

// Faults are kept in `fields`.
void read_tools(Fields& fields, ToolUse& use);
void read_tool_choice(Fields& fields, ToolUse& use);
// "tool_calls" of an assistant's message, with arguments as templates read them: objects.
void read_tool_calls(Fields& message, Message& out);
// Calls without an id get one, of nine letters and digits as some templates demand, and results
// without one are taken for those of the open calls in order: Ollama's clients send none.
void match_tool_results(Conversation& messages);

}  // namespace sllm
