#include "tools/tool_template.h"

#include <algorithm>
#include <utility>

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kProbe = "probe_function_9d2c";  // in nobody's template

Json probe_tool() {
  return {{"type", "function"},
          {"function",
           {{"name", kProbe},
            {"description", "A probe."},
            {"parameters",
             {{"type", "object"},
              {"properties", {{"text", {{"type", "string"}, {"description", "A text."}}}}},
              {"required", Json::array({"text"})}}}}}};
}

Message probe_call(const char* name) {
  const Json call = {{"id", "abcdefghi"},
                     {"type", "function"},
                     {"function", {{"name", name}, {"arguments", {{"text", "a"}}}}}};
  return {"assistant", "", {{"tool_calls", Json::array({call})}}};
}

// Whether the probe's name is part of what the template makes of it.
bool writes(const ChatTemplate& chat_template, const Conversation& messages,
            const Json& tools = nullptr) {
  RenderOptions options;
  options.tools = tools;
  options.now = 0;
  const auto rendered = chat_template.render(messages, options);
  return rendered.ok() && rendered.value().text.find(kProbe) != std::string::npos;
}

std::string described(const std::vector<Tool>& tools) {
  std::string text =
      "You can call functions. Each line between <tools> and </tools> describes one, its "
      "parameters "
      "as a JSON schema:\n<tools>\n";
  for (const Tool& tool : tools)
    text += tool.described["function"].dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return text +
         "</tools>\n\nTo call a function, answer with its name and its arguments as a JSON object, "
         "in this form:\n<tool_call>\n{\"name\": \"the function's name\", \"arguments\": {}}\n"
         "</tool_call>\nWhat it returns comes between <tool_response> and </tool_response>. When "
         "no "
         "function is needed, answer in plain words.";
}

void add_calls(Message& message, const CallForm& form, const Json& functions) {
  if (functions.empty()) return;
  const WrittenCalls written = write_calls(form, functions);
  if (!message.content.empty()) message.content += "\n";
  ByteSpans own;
  for (const auto& [begin, end] : written.form)
    own.emplace_back(message.content.size() + begin, message.content.size() + end);
  message.content += written.text;
  message.own_words = own;
}

}  // namespace

ToolTemplate::ToolTemplate(const ChatTemplate& t)
    : form_(&call_form_of(t.source())), think_(think_marks_of(t.source())) {
  const Message user{"user", "Hello", {}};
  takes_system_ = writes(t, {{"system", kProbe, {}}, user});
  takes_tools_ = writes(t, {user}, Json::array({probe_tool()}));
  if (!takes_tools_) form_ = &hermes_form();
  takes_calls_ = takes_tools_ && writes(t, {user, probe_call(kProbe)});
  const Message before = takes_calls_ ? probe_call("f") : Message{"assistant", "Yes", {}};
  const Message result{"tool", kProbe, {{"tool_call_id", "abcdefghi"}, {"name", "f"}}};
  takes_results_ = takes_tools_ && writes(t, {user, before, result});
}

void ToolTemplate::add_description(Conversation& messages, const std::vector<Tool>& tools) const {
  const std::string text = described(tools);
  if (!takes_system_) {
    const auto user = std::ranges::find(messages, "user", &Message::role);
    if (user != messages.end())
      user->content = text + "\n\n" + user->content;
    else
      messages.insert(messages.begin(), Message{"user", text, {}});
  } else if (!messages.empty() && messages[0].role == "system") {
    messages[0].content += "\n\n" + text;
  } else {
    messages.insert(messages.begin(), Message{"system", text, {}});
  }
}

Conversation ToolTemplate::without_tool_messages(Conversation messages) const {
  Conversation plain;
  bool results = false;  // the last message was one of results
  for (Message& message : messages) {
    const bool is_result = message.role == "tool" && !takes_results_;
    if (is_result) {
      const std::string text = "<tool_response>\n" + message.content + "\n</tool_response>";
      if (results)
        plain.back().content += "\n" + text;
      else
        plain.push_back({"user", text, {}});
    } else {
      const auto calls = message.extra.find("tool_calls");
      if (!takes_calls_ && message.extra.is_object() && calls != message.extra.end()) {
        Json functions = Json::array();
        for (const Json& call : *calls) functions.push_back(call["function"]);
        message.extra.erase("tool_calls");
        add_calls(message, *form_, functions);
      }
      plain.push_back(std::move(message));
    }
    results = is_result;
  }
  return plain;
}

ToolTemplate::Prompt ToolTemplate::prompt(Conversation messages,
                                          const std::vector<Tool>& tools) const {
  Prompt prompt{without_tool_messages(std::move(messages)), nullptr};
  if (tools.empty()) return prompt;
  if (takes_tools_) {
    prompt.tools = Json::array();
    for (const Tool& tool : tools) prompt.tools.push_back(tool.described);
  } else {
    add_description(prompt.messages, tools);
  }
  return prompt;
}

}  // namespace sllm
