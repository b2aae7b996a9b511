// Conversations from and to JSON.
#include "text/message.h"

namespace sllm {

Result<Conversation> conversation_from_json(const nlohmann::ordered_json& messages) {
  if (!messages.is_array()) return bad_input("expected an array of messages");
  Conversation conversation;
  for (const auto& entry : messages) {
    if (!entry.is_object() || !entry.contains("role") || !entry["role"].is_string())
      return bad_input("message {} is not an object with a \"role\"", conversation.size());
    Message message{entry["role"], "", nlohmann::ordered_json::object()};
    if (!entry.contains("content"))
      message.extra["content"] = nlohmann::ordered_json(nlohmann::json::value_t::discarded);
    for (const auto& [key, value] : entry.items()) {
      if (key == "content" && value.is_string())
        message.content = value;
      else if (key != "role")
        message.extra[key] = value;
    }
    conversation.push_back(std::move(message));
  }
  return conversation;
}

nlohmann::ordered_json message_to_json(const Message& message) {
  nlohmann::ordered_json json = {{"role", message.role}, {"content", message.content}};
  if (message.extra.is_object())
    for (const auto& [key, value] : message.extra.items()) {
      if (value.is_discarded())
        json.erase(key);
      else
        json[key] = value;
    }
  return json;
}

}  // namespace sllm
