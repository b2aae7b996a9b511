// A conversation as every part of the program sees it.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace sllm {

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  nlohmann::ordered_json extra;  // other fields the template may read: tool_calls, name, ...
};
using Conversation = std::vector<Message>;

}  // namespace sllm
