// The accepted row formats; each is one function that moves what it understands out of the row.
#include "data/row.h"

#include <algorithm>
#include <optional>

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 128;

// Removes the first of `names` that the row has, and returns it.
std::optional<Json> take(Json& row, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto it = row.find(name);
    if (it == row.end()) continue;
    Json value = std::move(*it);
    row.erase(it);
    return value;
  }
  return std::nullopt;
}

bool has(const Json& row, std::initializer_list<const char*> names) {
  return std::ranges::any_of(names, [&](const char* name) { return row.contains(name); });
}

Result<std::string> text_of(const Json& value, std::string_view field) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return std::string();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return bad_input("field \"{}\" is {}, expected a string", field, value.type_name());
}

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

Result<Conversation> messages_of(Json list, std::string_view field) {
  if (!list.is_array())
    return bad_input("field \"{}\" is {}, expected an array of messages", field, list.type_name());
  Conversation messages;
  for (Json& item : list) {
    if (!item.is_object())
      return bad_input("\"{}\"[{}] is {}, expected an object with role and content", field,
                       messages.size(), item.type_name());
    const auto role = take(item, {"role", "from"});
    if (!role || !role->is_string())
      return bad_input("\"{}\"[{}] has no \"role\"", field, messages.size());
    Message message{role_of(role->get<std::string>()), {}, {}};
    if (message.role != "system" && message.role != "user" && message.role != "assistant" &&
        message.role != "tool")
      return bad_input("\"{}\"[{}] has the role \"{}\", expected system, user, assistant or tool",
                       field, messages.size(), message.role);
    const auto content = take(item, {"content", "value"});
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

// A side of a pair: text of the given role, or TRL's list of messages.
Status append_side(Conversation& messages, Json value, const char* role, const char* field) {
  if (value.is_array()) {
    SLLM_TRY(Conversation list, messages_of(std::move(value), field));
    std::ranges::move(list, std::back_inserter(messages));
    return ok();
  }
  SLLM_TRY(std::string text, text_of(value, field));
  messages.push_back({role, std::move(text), {}});
  return ok();
}

Status read_instruction(Json& row, Conversation& messages) {
  SLLM_TRY(std::string prompt, text_of(*take(row, {"instruction"}), "instruction"));
  if (const auto input = take(row, {"input"})) {
    SLLM_TRY(const std::string more, text_of(*input, "input"));
    if (!more.empty()) prompt += "\n\n" + more;
  }
  messages.push_back({"user", std::move(prompt), {}});
  return append_side(messages, *take(row, {"output", "response"}), "assistant", "output");
}

std::string column_names(const Json& row) {
  std::string names;
  for (const auto& [name, value] : row.items()) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

void rename_columns(Json& row, const std::map<std::string, std::string>& columns) {
  for (const auto& [wanted, name] : columns)
    if (auto value = take(row, {name.c_str()})) row[wanted] = std::move(*value);
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  bool too_deep = false;
  const auto guard = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) {
      too_deep = true;
      throw std::length_error("depth");  // leaves the parser at once
    }
    return true;
  };
  try {
    return Json::parse(text, guard);
  } catch (const std::length_error&) {
    return bad_input("nested deeper than {} levels", kMaxDepth);
  } catch (const Json::parse_error& e) {
    // nlohmann's text is "[json.exception...] parse error at line 1, column 9: details".
    std::string_view what = e.what();
    const std::string_view where = text.find('\n') == std::string_view::npos ? "column " : "line ";
    if (const size_t at = what.find(where); at != std::string_view::npos) what.remove_prefix(at);
    return bad_input("{}", what);
  } catch (const Json::exception& e) {  // "[json.exception...] details"
    const std::string_view what = e.what();
    const size_t bracket = what.find("] ");
    return bad_input("{}", what.substr(bracket == std::string_view::npos ? 0 : bracket + 2));
  }
}

Result<Example> example_from_row(Json row, std::string source, const ReadOptions& options) {
  if (!row.is_object())
    return bad_input("a row is {}, expected an object {{...}}", row.type_name());
  rename_columns(row, options.columns);
  Example e;
  if (auto tools = take(row, {"tools"}); tools && !tools->is_null()) e.tools = std::move(*tools);
  auto system = take(row, {"system"});
  Conversation messages;
  if (has(row, {"messages", "conversations"})) {
    const char* field = row.contains("messages") ? "messages" : "conversations";
    SLLM_TRY(messages, messages_of(*take(row, {field}), field));
  } else if (has(row, {"instruction"}) && has(row, {"output", "response"})) {
    SLLM_OK(read_instruction(row, messages));
  } else if (has(row, {"prompt"}) && has(row, {"completion"})) {
    SLLM_OK(append_side(messages, *take(row, {"prompt"}), "user", "prompt"));
    SLLM_OK(append_side(messages, *take(row, {"completion"}), "assistant", "completion"));
  } else if (has(row, {"question", "Question", "Q"}) && has(row, {"answer", "Answer", "A"})) {
    SLLM_OK(append_side(messages, *take(row, {"question", "Question", "Q"}), "user", "question"));
    SLLM_OK(append_side(messages, *take(row, {"answer", "Answer", "A"}), "assistant", "answer"));
  } else if (has(row, {"text"})) {
    SLLM_TRY(e.text, text_of(*take(row, {"text"}), "text"));
  } else {
    return with_hint(
        bad_input("no known set of columns (found: {}), expected messages | instruction and output "
                  "| prompt and completion | question and answer | text",
                  column_names(row)),
        "Name them: --column question=YOUR_COLUMN --column answer=YOUR_COLUMN");
  }
  const bool has_system = !messages.empty() && messages[0].role == "system";
  if (!messages.empty() && !has_system) {
    std::string text = options.system;
    if (system) {
      SLLM_TRY(text, text_of(*system, "system"));
    }
    if (!text.empty()) messages.insert(messages.begin(), {"system", std::move(text), {}});
  }
  e.messages = std::move(messages);
  if (!row.empty()) e.extra = std::move(row);
  e.source = std::move(source);
  return e;
}

}  // namespace sllm
