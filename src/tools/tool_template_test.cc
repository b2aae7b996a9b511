// What models are told of functions, calls and results.
#include "tools/tool_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/test_data.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;
using testing::some_tools;
using Json = nlohmann::ordered_json;

std::shared_ptr<const ChatTemplate> parse(const std::string& source) {
  return ChatTemplate::parse(source, "<s>", "</s>").value();
}

// Writes functions and leaves out calls, as the templates of LFM2 and Granite 3 do.
constexpr const char* kWithoutCalls =
    "{% if tools %}List of tools: {{ tools | tojson }}\n{% endif %}{% for m in messages %}"
    "{{ m.role + ':' + m.content + '\\n' }}{% endfor %}";
// Knows nothing of functions, as SmolLM2's.
constexpr const char* kPlain =
    "{% for m in messages %}{{ m.role + ':' + m.content + '\\n' }}{% endfor %}";
// Takes no system messages either, as Gemma 2's.
constexpr const char* kWithoutSystem =
    "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ "
    "raise_exception('no such role') }}{% endif %}{{ m.role + ':' + m.content + '\\n' }}{% endfor "
    "%}";
constexpr const char* kWhole =
    "{% if tools %}{% for t in tools %}{{ t | tojson }}{% endfor %}\n{% endif %}"
    "{% for m in messages %}{{ m.role + ':' + m.content }}{% for c in m.tool_calls or [] %}"
    "{{ '<tool_call>\\n' + (c.function | tojson) + '\\n</tool_call>' }}{% endfor %}{{ '\\n' }}"
    "{% endfor %}";

Conversation talk() {
  const Json call = Json::parse(R"([{"id":"a","type":"function","function":
                                     {"name":"weather","arguments":{"city":"서울"}}}])");
  return {{"system", "Be brief.", {}},
          {"user", "Weather?", {}},
          {"assistant", "A moment.", {{"tool_calls", call}}},
          {"tool", "sun", {{"tool_call_id", "a"}}},
          {"tool", "wind", {{"tool_call_id", "b"}}},
          {"user", "Thanks", {}}};
}

RenderedText rendered(const std::string& source, const std::vector<Tool>& tools) {
  const auto t = parse(source);
  const auto prompt = ToolTemplate(*t).prompt(talk(), tools);
  RenderOptions options;
  options.tools = prompt.tools;
  return t->render(prompt.messages, options).value();
}

TEST(ToolTemplate, LeavesToTheTemplateWhatItWrites) {
  const ToolTemplate own(*parse(kWhole));
  EXPECT_TRUE(own.takes_tools());
  EXPECT_STREQ(own.form().name, "Hermes");
  const std::string text = rendered(kWhole, some_tools()).text;
  EXPECT_THAT(text, HasSubstr("\"name\": \"lamp\""));
  EXPECT_THAT(text, HasSubstr("assistant:A moment.<tool_call>\n{\"name\": \"weather\", "
                              "\"arguments\": {\"city\": \"서울\"}}\n</tool_call>\ntool:sun\n"));
}

TEST(ToolTemplate, PutsCallsIntoTheTextWhereTheTemplateLeavesThemOut) {
  const RenderedText own = rendered(kWithoutCalls, some_tools());
  const std::string call = "<|tool_call_start|>[weather(city=\"서울\")]<|tool_call_end|>";
  const size_t at = own.text.find("assistant:A moment.\n" + call + "\ntool:sun");
  ASSERT_NE(at, std::string::npos) << own.text;
  // The form's marks may be special tokens, what the arguments say may not.
  for (const auto& [part, from_message] : std::vector<std::pair<const char*, uint8_t>>{
           {"A moment", 1}, {"<|tool_call_start|>", 0}, {"\"서울\"", 1}, {"]<|tool_call_end|>", 0}})
    EXPECT_EQ(own.from_message[own.text.find(part, at)], from_message) << part;
}

TEST(ToolTemplate, DescribesFunctionsToOtherModels) {
  EXPECT_FALSE(ToolTemplate(*parse(kPlain)).takes_tools());
  const std::string text = rendered(kPlain, some_tools()).text;
  EXPECT_TRUE(text.starts_with("system:Be brief.\n\nYou can call functions.")) << text;
  EXPECT_THAT(text,
              HasSubstr("<tools>\n{\"name\":\"weather\",\"parameters\":{\"type\":\"object\""));
  EXPECT_THAT(text, HasSubstr("assistant:A moment.\n<tool_call>\n{\"name\": \"weather\", "
                              "\"arguments\": {\"city\": \"서울\"}}\n</tool_call>\n"
                              "user:<tool_response>\nsun\n</tool_response>\n<tool_response>\nwind\n"
                              "</tool_response>\nuser:Thanks\n"));
  const std::string without = rendered(kPlain, {}).text;
  EXPECT_TRUE(without.starts_with("system:Be brief.\nuser:Weather?\n")) << without;
}

TEST(ToolTemplate, FindsAPlaceForTheDescription) {
  const auto t = parse(kWithoutSystem);
  const ToolTemplate own(*t);
  const auto prompt = own.prompt({{"user", "Hi", {}}}, some_tools());
  ASSERT_EQ(prompt.messages.size(), 1u);
  EXPECT_TRUE(prompt.messages[0].content.starts_with("You can call functions."));
  EXPECT_TRUE(prompt.messages[0].content.ends_with("\n\nHi"));
  EXPECT_TRUE(t->render(prompt.messages).ok());
  const auto other = ToolTemplate(*parse(kPlain)).prompt({{"user", "Hi", {}}}, some_tools());
  ASSERT_EQ(other.messages.size(), 2u);
  EXPECT_EQ(other.messages[0].role, "system");
}

TEST(ToolTemplate, KnowsFormsByWhatTemplatesHold) {
  for (const CallForm* form : call_forms())
    EXPECT_EQ(&call_form_of(std::string("{# ") + form->mark + " #}"), form) << form->name;
  EXPECT_EQ(&call_form_of("nothing of the kind"), &hermes_form());
}

}  // namespace
}  // namespace sllm
