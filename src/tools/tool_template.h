// How a model is told of functions, calls and their results: by its own chat template as far as
// that speaks of them, else in words of our own.
#pragma once

#include <memory>
#include <vector>

#include "text/chat_template.h"
#include "tools/call_form.h"
#include "tools/think_marks.h"
#include "tools/tool.h"

namespace sllm {

class ToolTemplate {
 public:
  // Finds out by rendering small conversations what the template writes.
  explicit ToolTemplate(const ChatTemplate& chat_template);

  const CallForm& form() const { return *form_; }
  const ThinkMarks* think() const { return think_; }
  bool takes_tools() const { return takes_tools_; }

  struct Prompt {
    Conversation messages;
    nlohmann::ordered_json tools;  // for RenderOptions
  };
  // The conversation as the template takes it. Calls in assistant messages ("tool_calls", with
  // arguments as objects) that it would leave out become part of their text, in the model's form.
  // Where it does not take functions at all, a system text lists them and asks for the form of
  // Hermes, and results are messages of the user between <tool_response> and </tool_response>.
  Prompt prompt(Conversation messages, const std::vector<Tool>& tools) const;

 private:
  void add_description(Conversation& messages, const std::vector<Tool>& tools) const;
  Conversation without_tool_messages(Conversation messages) const;

  const CallForm* form_;
  const ThinkMarks* think_;
  bool takes_tools_, takes_calls_, takes_results_, takes_system_;
};

}  // namespace sllm
