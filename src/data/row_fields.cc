// What the row formats take out of a row: texts, messages, sides of a pair.
#include "data/row_fields.h"

#include <algorithm>

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

// A message's content: a string, null, or the parts of OpenAI's list form, of which only text can
// be learned from.
Result<std::string> content_of(const Json& value) {
  if (!value.is_array()) return text_of(value, "content");
  std::string text;
  for (const Json& part : value) {
    if (!part.is_object() || part.value("type", Json()) != "text" || !part.contains("text"))
      return bad_input("a content part is not {{\"type\":\"text\",\"text\":...}}");
    SLLM_TRY(const std::string piece, text_of(part["text"], "text"));
    text += piece;
  }
  return text;
}

// ShareGPT's names beside OpenAI's.
std::string role_of(const std::string& name) {
  if (name == "human") return "user";
  if (name == "gpt" || name == "bot" || name == "model") return "assistant";
  if (name == "function_call") return "assistant";
  if (name == "observation" || name == "function") return "tool";
  if (name == "developer") return "system";
  return name;
}

}  // namespace

std::optional<Json> take_field(Json& row, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto it = row.find(name);
    if (it == row.end()) continue;
    Json value = std::move(*it);
    row.erase(it);
    return value;
  }
  return std::nullopt;
}

bool has_field(const Json& row, std::initializer_list<const char*> names) {
  return std::ranges::any_of(names, [&](const char* name) { return row.contains(name); });
}

Result<std::string> text_of(const Json& value, std::string_view field) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return std::string();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return bad_input("field \"{}\" is {}, expected a string", field, value.type_name());
}

Result<Conversation> messages_of(Json list, std::string_view field) {
  if (!list.is_array())
    return bad_input("field \"{}\" is {}, expected an array of messages", field, list.type_name());
  Conversation messages;
  for (Json& item : list) {
    if (!item.is_object())
      return bad_input("\"{}\"[{}] is {}, expected an object with role and content", field,
                       messages.size(), item.type_name());
    const auto role = take_field(item, {"role", "from"});
    if (!role || !role->is_string())
      return bad_input("\"{}\"[{}] has no \"role\"", field, messages.size());
    Message message{role_of(role->get<std::string>()), {}, {}};
    if (message.role != "system" && message.role != "user" && message.role != "assistant" &&
        message.role != "tool")
      return bad_input("\"{}\"[{}] has the role \"{}\", expected system, user, assistant or tool",
                       field, messages.size(), message.role);
    const auto content = take_field(item, {"content", "value"});
    if (!content && !item.contains("tool_calls"))
      return bad_input("\"{}\"[{}] has no \"content\"", field, messages.size());
    if (content) {
      SLLM_TRY(message.content, content_of(*content));
    }
    if (!item.empty()) message.extra = std::move(item);
    messages.push_back(std::move(message));
  }
  return messages;
}

Status append_side(Conversation& messages, Json value, const char* role, const char* field) {
  if (value.is_object()) value = Json::array({std::move(value)});
  if (value.is_array()) {
    SLLM_TRY(Conversation list, messages_of(std::move(value), field));
    std::ranges::move(list, std::back_inserter(messages));
    return ok();
  }
  SLLM_TRY(std::string text, text_of(value, field));
  messages.push_back({role, std::move(text), {}});
  return ok();
}

Status append_instruction(Json& row, Conversation& messages) {
  SLLM_TRY(std::string prompt, text_of(*take_field(row, {"instruction"}), "instruction"));
  if (const auto input = take_field(row, {"input"})) {
    SLLM_TRY(const std::string more, text_of(*input, "input"));
    if (!more.empty()) prompt += "\n\n" + more;
  }
  messages.push_back({"user", std::move(prompt), {}});
  return ok();
}

Status put_system(Conversation& messages, const std::optional<Json>& system,
                  const std::string& otherwise) {
  if (messages.empty() || messages[0].role == "system") return ok();
  std::string text = otherwise;
  if (system) {
    SLLM_TRY(text, text_of(*system, "system"));
  }
  if (!text.empty()) messages.insert(messages.begin(), {"system", std::move(text), {}});
  return ok();
}

std::string column_names(const Json& row) {
  std::string names;
  for (const auto& [name, value] : row.items()) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

void rename_columns(Json& row, const std::map<std::string, std::string>& columns) {
  for (const auto& [wanted, name] : columns)
    if (auto value = take_field(row, {name.c_str()})) row[wanted] = std::move(*value);
}

}  // namespace sllm
