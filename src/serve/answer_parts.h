// What one choice of an answer says, and the calls in it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "tools/call_parser.h"

namespace sllm {

struct ToolCall {
  std::string id, name;
  std::string arguments;  // a JSON object's text; cut where the answer was
};

class AnswerParts {
 public:
  // `calls` null: all is text. `in_pieces`: arguments are told as they come, where a grammar
  // guarantees that they belong to a call; otherwise a call is told when it is complete.
  AnswerParts(std::shared_ptr<const CallSyntax> calls, bool in_pieces);

  // What the event adds. The index of a call is its place in calls().
  std::vector<CallEvent> add(const GenerateEvent& event);
  const std::string& text() const { return text_; }
  const std::vector<ToolCall>& calls() const { return calls_; }

 private:
  std::optional<CallParser> parser_;
  std::string text_;
  std::vector<ToolCall> calls_;
};

}  // namespace sllm
