// A conversation as every part of the program sees it.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sllm {

using ByteSpans = std::vector<std::pair<size_t, size_t>>;  // [begin, end), in order

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  nlohmann::ordered_json extra;  // other fields the template may read: tool_calls, name, ...
  // Parts of the content that count as the template's own words: where a template leaves out what
  // its model must read, such as calls of functions, what is put in its place may hold special
  // tokens. No file or request says this.
  ByteSpans own_words = {};
};
using Conversation = std::vector<Message>;

// From [{"role": ..., "content": ..., ...}, ...]. A content that is no string (null, parts) or is
// absent goes to extra["content"] (absent: a discarded value). Errors: kBadInput with the index.
Result<Conversation> conversation_from_json(const nlohmann::ordered_json& messages);
// The object a template reads: role, content and the extra fields, which win.
nlohmann::ordered_json message_to_json(const Message& message);

}  // namespace sllm
