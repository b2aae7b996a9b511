// What answers with calls may look like.
#include "tools/call_grammar.h"

#include <gtest/gtest.h>

#include "grammar/automaton.h"
#include "tools/test_data.h"

namespace sllm {
namespace {

using testing::form_named;
using testing::syntax_of;
using testing::tool;
using Choice = ToolUse::Choice;

enum class Fits { kNo, kBegins, kWhole };

Fits fits(const CallSyntax& syntax, std::string_view text) {
  GrammarAutomaton automaton(call_grammar(syntax).value());
  auto state = automaton.start();
  for (const char byte : text) state = automaton.step(state, static_cast<uint8_t>(byte));
  if (state == GrammarAutomaton::kDead) return Fits::kNo;
  return automaton.may_end(state) ? Fits::kWhole : Fits::kBegins;
}

// Arguments that fit the functions of test_data.h, in every form.
TEST(CallGrammar, AllowsCallsOfEveryForm) {
  const auto one =
      nlohmann::ordered_json::parse(R"([{"name":"lamp","arguments":{"on":true,"room":"거실"}}])");
  auto other_order = one;
  other_order[0]["arguments"] = {{"room", "거실"}, {"on", true}};
  auto two = other_order;
  two.push_back({{"name", "time"}, {"arguments", nlohmann::ordered_json::object()}});
  for (const CallForm* form : call_forms()) {
    const auto syntax = syntax_of(*form);
    const bool sorted = form->arguments == ArgumentsForm::kGemma;
    if (sorted) two[0] = one[0];
    const std::string call = write_calls(*form, sorted ? one : other_order).text;
    for (const Choice choice : {Choice::kAuto, Choice::kRequired}) {
      syntax->use.choice = choice;
      EXPECT_EQ(fits(*syntax, call), Fits::kWhole) << form->name << ": " << call;
      // From the end of the opening on there is no other way.
      const std::string begun = call.substr(0, call.find("lamp") + 4);
      EXPECT_EQ(fits(*syntax, begun + "x"),
                form->bare && choice == Choice::kAuto ? Fits::kWhole : Fits::kNo)
          << form->name;
      syntax->use.parallel = true;
      EXPECT_EQ(fits(*syntax, write_calls(*form, two).text), form->bare ? Fits::kNo : Fits::kWhole)
          << form->name << ": " << write_calls(*form, two).text;
      syntax->use.parallel = false;
      EXPECT_EQ(fits(*syntax, write_calls(*form, two).text), Fits::kNo) << form->name;
    }
    if (sorted) two[0] = other_order[0];
  }
}

TEST(CallGrammar, KeepsArgumentsToTheSchema) {
  for (const CallForm* form : call_forms()) {
    const auto syntax = syntax_of(*form);
    syntax->use.choice = Choice::kRequired;
    for (const char* wrong :
         {R"({"room":"bath","on":true})", R"({"on":true})", R"({"room":"kitchen","on":7})",
          R"({"room":"kitchen","on":true,"x":1})"}) {
      const auto calls = nlohmann::ordered_json::array(
          {{{"name", "lamp"}, {"arguments", nlohmann::ordered_json::parse(wrong)}}});
      EXPECT_EQ(fits(*syntax, write_calls(*form, calls).text), Fits::kNo) << form->name << wrong;
    }
  }
}

TEST(CallGrammar, SaysAnythingUntilACallBegins) {
  const auto syntax = syntax_of(form_named("Hermes"));
  EXPECT_EQ(fits(*syntax, ""), Fits::kWhole);
  EXPECT_EQ(fits(*syntax, "안녕 <tool> <<tool_cal"), Fits::kWhole);
  EXPECT_EQ(fits(*syntax, "Hm. <<tool_call>"), Fits::kBegins);
  EXPECT_EQ(fits(*syntax, "Hm. <tool_call>x"), Fits::kNo);
  const std::string call = "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>";
  EXPECT_EQ(fits(*syntax, "Hm.\n" + call), Fits::kWhole);
  EXPECT_EQ(fits(*syntax, call + " and then"), Fits::kNo);
  // Also without the marks, once it is known to be a call.
  EXPECT_EQ(fits(*syntax, "Hm. {\"name\": \"tim\", {}"), Fits::kWhole);
  EXPECT_EQ(fits(*syntax, "Hm. {\"name\": \"time\", {}"), Fits::kNo);
  EXPECT_EQ(fits(*syntax, "Hm. {\"name\": \"time\", \"arguments\": {}}"), Fits::kWhole);
  syntax->use.choice = Choice::kRequired;
  EXPECT_EQ(fits(*syntax, "Hm.\n" + call), Fits::kNo);
  EXPECT_EQ(fits(*syntax, "\n" + call), Fits::kWhole);
  EXPECT_EQ(fits(*syntax, ""), Fits::kBegins);
}

TEST(CallGrammar, CallsTheOneThatIsNamed) {
  const auto syntax = syntax_of(form_named("Hermes"));
  syntax->use.choice = Choice::kRequired;
  syntax->use.only = "lamp";
  EXPECT_EQ(fits(*syntax, "<tool_call>\n{\"name\": \"time"), Fits::kNo);
  EXPECT_EQ(fits(*syntax, "<tool_call>\n{\"name\": \"lamp"), Fits::kBegins);
}

TEST(CallGrammar, LetsModelsThinkFirst) {
  const auto syntax = syntax_of(form_named("Hermes"), &kThinkMarks[0]);
  const std::string call = "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>";
  for (const Choice choice : {Choice::kAuto, Choice::kRequired}) {
    syntax->use.choice = choice;
    syntax->thinks_first = false;
    EXPECT_EQ(fits(*syntax, "<think>\n<tool_call> x\n</think>\n\n" + call), Fits::kWhole);
    EXPECT_EQ(fits(*syntax, call), Fits::kWhole);
    syntax->thinks_first = true;
    EXPECT_EQ(fits(*syntax, "<tool_call> x\n</think>\n\n" + call), Fits::kWhole);
  }
}

TEST(CallGrammar, TakesAnyObjectWhereASchemaIsNotUnderstoodUnlessItIsStrict) {
  const auto syntax = syntax_of(form_named("Hermes"));
  syntax->use.tools = {tool("f", R"({"type":"object","properties":{"a":{"type":"string",
                                     "format":"uri"}}})")};
  EXPECT_EQ(
      fits(*syntax, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\": 1}}\n</tool_call>"),
      Fits::kWhole);
  syntax->use.tools[0].strict = true;
  const auto refused = call_grammar(*syntax);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("#/properties/a/format"), std::string::npos)
      << refused.error().message;
}

TEST(CallGrammar, LooksReferencesUpInTheWholeSchema) {
  for (const char* form : {"Hermes", "Qwen3-Coder and Qwen3.5", "LFM2", "Gemma 4"}) {
    const auto syntax = syntax_of(form_named(form));
    syntax->use.choice = Choice::kRequired;
    syntax->use.tools = {tool("f", R"({"type":"object","properties":{"n":{"$ref":"#/$defs/n",
                "type":"integer"}},"required":["n"],"$defs":{"n":{"minimum":3,"maximum":4}}})")};
    const auto written = [&](int n) {
      return write_calls(*syntax->form, nlohmann::ordered_json::array(
                                            {{{"name", "f"}, {"arguments", {{"n", n}}}}}))
          .text;
    };
    EXPECT_EQ(fits(*syntax, written(3)), Fits::kWhole) << form << written(3);
    EXPECT_EQ(fits(*syntax, written(5)), Fits::kNo) << form;
  }
}

TEST(CallGrammar, TakesManyFunctions) {
  for (const char* form : {"Hermes", "Llama 3"}) {
    const auto syntax = syntax_of(form_named(form));
    syntax->use.tools.clear();
    for (int i = 0; i < 128; ++i)
      syntax->use.tools.push_back(
          tool(fmt::format("function_with_a_long_name_{}", i),
               R"({"type":"object","properties":{"a":{"type":"string"}}})"));
    EXPECT_EQ(
        fits(*syntax, write_calls(*syntax->form, nlohmann::ordered_json::parse(
                                                     R"([{"name":"function_with_a_long_name_77",
                                                "arguments":{"a":"b"}}])"))
                          .text),
        Fits::kWhole);
  }
}

}  // namespace
}  // namespace sllm
