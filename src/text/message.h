// A conversation as every part of the program sees it.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "base/result.h"

namespace sllm {

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  nlohmann::ordered_json extra;  // other fields the template may read: tool_calls, name, ...
};
using Conversation = std::vector<Message>;

// From [{"role": ..., "content": ..., ...}, ...]. A content that is no string (null, parts) or is
// absent goes to extra["content"] (absent: a discarded value). Errors: kBadInput with the index.
Result<Conversation> conversation_from_json(const nlohmann::ordered_json& messages);
// The object a template reads: role, content and the extra fields, which win.
nlohmann::ordered_json message_to_json(const Message& message);

}  // namespace sllm
