// Calls of every form, whole and cut at every byte, and what only looks like one.
#include "tools/call_parser.h"

#include <gtest/gtest.h>

#include <set>

#include "tools/test_data.h"

namespace sllm {
namespace {

using testing::form_named;
using testing::parsed;
using testing::syntax_of;

struct Case {
  const char *form, *text, *meant;
};

// Of each form what its models write, with what it means.
const Case kCalls[] = {
    {"Hermes",
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Seoul\"}}\n</tool_call>",
     "«weather({\"city\": \"Seoul\"})»"},
    {"Hermes",
     "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
     "\"서울\"}}\n</tool_call>\n"
     "<tool_call>{\"name\":\"lamp\",\"arguments\":{\"room\":\"거실\",\"on\":true}}</tool_call>\n",
     "Let me see.«weather({\"city\": \"서울\"})»«lamp({\"room\": \"거실\", \"on\": true})»"},
    {"Hermes",
     "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"a\\\"}</tool_call>\\n{[\", "
     "\"more\": "
     "{\"a\": [{}, {\"b\": [1, -2.5e3]}], \"c\": null}}}</tool_call>",
     "«weather({\"city\": \"a\\\"}</tool_call>\\n{[\", \"more\": {\"a\": [{}, {\"b\": [1, "
     "-2.5e3]}], "
     "\"c\": null}})»"},
    {"Hermes", "<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call> Done.",
     "«time({})» Done."},
    {"Hermes", "Sure: {\"name\": \"weather\", \"arguments\": {\"city\": \"서울\"}} {\"name\": 1}",
     "Sure:«weather({\"city\": \"서울\"})» {\"name\": 1}"},
    {"Qwen3-Coder and Qwen3.5",
     "<tool_call>\n<function=weather>\n<parameter=city>\n서울\n</parameter>\n<parameter=days>\n3\n"
     "</parameter>\n<parameter=now>\nTrue\n</parameter>\n<parameter=more>\n{\"a\": "
     "[1]}\n</parameter>\n"
     "</function>\n</tool_call>",
     "«weather({\"city\": \"서울\", \"days\": 3, \"now\": true, \"more\": {\"a\": [1]}})»"},
    {"Qwen3-Coder and Qwen3.5",
     "I look.\n\n<tool_call>\n<function=weather>\n<parameter=city>\na\n\"b\" "
     "<c>\n</parameter>\n</function>\n"
     "</tool_call>\n<tool_call>\n<function=time>\n</function>\n</tool_call>",
     "I look.«weather({\"city\": \"a\\n\\\"b\\\" <c>\"})»«time({})»"},
    {"Qwen3-Coder and Qwen3.5",
     "<tool_call>\n<function=weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\nmany\n"
     "</parameter>\n</function>\n</tool_call>",
     "«weather({\"city\": \"12\", \"days\": \"many\"})»"},
    {"LFM2",
     "<|tool_call_start|>[weather(city=\"서울\", days=3, now=True, more={'a': [None, 'it\\'s', "
     "\"q\\\"\"]})"
     "]<|tool_call_end|>",
     "«weather({\"city\": \"서울\", \"days\": 3, \"now\": true, \"more\": {\"a\": [null, \"it's\", "
     "\"q\\\"\"]}})»"},
    {"LFM2", "<|tool_call_start|>[time(), lamp(room='거실', on=false)]<|tool_call_end|>Checking.",
     "«time({})»«lamp({\"room\": \"거실\", \"on\": false})»Checking."},
    {"LFM2", "<|tool_call_start|>[weather(city='a\"b\\n\\x41\\d', more=(1, 'x'))]<|tool_call_end|>",
     "«weather({\"city\": \"a\\\"b\\n\\u0041\\\\d\", \"more\": [1, \"x\"]})»"},
    {"Ministral 3", "[TOOL_CALLS]weather[ARGS]{\"city\": \"Seoul\"}[TOOL_CALLS]time[ARGS]{}",
     "«weather({\"city\": \"Seoul\"})»«time({})»"},
    {"Mistral",
     "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Seoul\"}}, {\"name\": "
     "\"time\", "
     "\"arguments\": {}}]",
     "«weather({\"city\": \"Seoul\"})»«time({})»"},
    {"Phi-4-mini",
     "<|tool_call|>{\"name\": \"weather\", \"arguments\": {\"city\": \"Seoul\"}}<|/tool_call|>",
     "«weather({\"city\": \"Seoul\"})»"},
    {"Granite 3", "<|tool_call|>[{\"name\": \"time\", \"arguments\": {}}]", "«time({})»"},
    {"HyperCLOVA X",
     " -> tool/function_call\n[\n{\"name\": \"weather\", \"arguments\": {\"city\": \"서울\"}}\n]",
     "«weather({\"city\": \"서울\"})»"},
    {"Llama 3", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Seoul\", \"days\": 2}}",
     "«weather({\"city\": \"Seoul\", \"days\": 2})»"},
    {"Llama 3", " { \"name\":\"time\" ,\"parameters\":{ } }", "«time({})»"},
    {"Gemma 4",
     "<|tool_call>call:weather{city:<|\"|>a \"b\" <|x, "
     "서울<|\"|>,days:3,more:{a:[1,true,<|\"|><|\"|>]}}"
     "<tool_call|><|tool_call>call:time{}<tool_call|>",
     "«weather({\"city\": \"a \\\"b\\\" <|x, 서울\", \"days\": 3, \"more\": {\"a\": [1, true, "
     "\"\"]}})»«time({})»"},
};

// What is no call stays, to the byte.
const Case kTexts[] = {
    {"Hermes", "Use <tool_call> like this: <tool", ""},
    {"Hermes", "  a < b <tool_cal", ""},
    {"Hermes", "<tool_call>\n{\"name\": \"unknown\", \"arguments\": {}}\n</tool_call>", ""},
    {"Hermes",
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": Seoul}}\n</tool_call>\n", ""},
    {"Hermes", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Seo", ""},
    {"Hermes", "<tool_call>\n{\"name\": \"weather\", \"arguments\": [1]}\n</tool_call>", ""},
    {"Hermes",
     "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"\\ud83d\"}}</tool_call>", ""},
    {"Qwen3-Coder and Qwen3.5", "<tool_call>\n<function=weather>\n<parameter=city>\nSeoul", ""},
    {"Qwen3-Coder and Qwen3.5", "<tool_call>\n<function=weather>\nSeoul</function>\n</tool_call>",
     ""},
    {"LFM2", "<|tool_call_start|>[weather(city=home())]<|tool_call_end|>", ""},
    {"LFM2", "<|tool_call_start|>[weather(\"Seoul\")]<|tool_call_end|>", ""},
    {"Mistral", "[TOOL_CALLS] [{\"name\": \"weather\"}]", ""},
    {"Llama 3", "{\"name\": \"Bob\", \"age\": 7} and {\"a\": {\"name\": 1}}", ""},
    {"Llama 3", "if (x) { return {}; }", ""},
    {"Llama 3", "{\"name\": \"weather\", \"parameters\": {\"days\": 1e999}}", ""},
    {"Llama 3", "{\"name\": \"weather\", \"parameters\": {\"days\": 01}}", ""},
    {"Gemma 4", "<|tool_call>call:weather{city:Seoul}<tool_call|>", ""},
};

TEST(CallParser, ReadsEveryFormWholeAndCutAtEveryByte) {
  std::set<std::string> forms;
  for (const auto& [form, text, meant] : kCalls) {
    forms.insert(form);
    const auto syntax = syntax_of(form_named(form));
    for (const bool guaranteed : {false, true}) {
      EXPECT_EQ(parsed(syntax, text, guaranteed), meant) << form;
      for (size_t split = 0; split < std::string_view(text).size(); ++split)
        ASSERT_EQ(parsed(syntax, text, guaranteed, split), meant) << form << " cut at " << split;
    }
  }
  EXPECT_EQ(forms.size(), call_forms().size()) << "a form is not tested";
}

TEST(CallParser, LeavesWhatIsNoCallAsItIs) {
  for (const auto& [form, text, meant] : kTexts) {
    const auto syntax = syntax_of(form_named(form));
    for (size_t split = 0; split <= std::string_view(text).size(); ++split)
      ASSERT_EQ(parsed(syntax, text, false, split), text) << form << " cut at " << split;
  }
}

TEST(CallParser, ReadsBackWhatIsWrittenInEveryForm) {
  const auto calls = nlohmann::ordered_json::parse(
      R"([{"name":"weather","arguments":{"city":"a\"b\\c\n서울 </tool_call> {[(","days":-3,"now":false,
           "more":{"a":[1,2.5,null,{"b":""}],"c_d":"'"}}},{"name":"time","arguments":{}}])");
  const std::string meant =
      "«weather({\"city\": \"a\\\"b\\\\c\\n서울 </tool_call> {[(\", \"days\": -3, "
      "\"now\": false, \"more\": {\"a\": [1, 2.5, null, {\"b\": \"\"}], \"c_d\": "
      "\"'\"}})»«time({})»";
  for (const CallForm* form : call_forms())
    EXPECT_EQ(parsed(syntax_of(*form), write_calls(*form, calls).text), meant) << form->name;
}

TEST(CallParser, GoesOnBehindWhatIsNoCall) {
  EXPECT_EQ(parsed(syntax_of(form_named("Hermes")),
                   "<tool_call>{\"name\": \"x\"</tool_call> <tool_call>{\"name\": \"time\", "
                   "\"arguments\": {}}</tool_call>"),
            "<tool_call>{\"name\": \"x\"</tool_call>«time({})»");
  EXPECT_EQ(parsed(syntax_of(form_named("Llama 3")), "{{\"name\": \"time\", \"parameters\": {}}} "),
            "{«time({})»}");
}

TEST(CallParser, SaysTextBeforeACallAtOnceAndHoldsWhatMayBeginOne) {
  CallParser parser(syntax_of(form_named("Hermes")), true);
  EXPECT_EQ(testing::shown(parser.push("One moment, \n")), "One moment,");
  EXPECT_EQ(testing::shown(parser.push("<tool")), "");
  EXPECT_EQ(testing::shown(parser.push("box> x")), " \n<toolbox> x");
  EXPECT_EQ(testing::shown(parser.push(" <tool_call>\n{\"name\": \"weather\"")), "«weather(");
  EXPECT_EQ(testing::shown(parser.push(", \"arguments\": {\"city\": \"Seo")), "{\"city\": \"Seo");
  EXPECT_EQ(testing::shown(parser.push("ul\"}")), "ul\"}");
  EXPECT_EQ(testing::shown(parser.push("}\n")), ")»");
  EXPECT_EQ(testing::shown(parser.finish()), "");
}

TEST(CallParser, KeepsAGuaranteedCallThatWasCut) {
  const auto syntax = syntax_of(form_named("Hermes"));
  EXPECT_EQ(
      parsed(syntax, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Se", true),
      "«weather({\"city\": \"Se");
  EXPECT_EQ(
      parsed(syntax, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"days\": 1", true),
      "«weather({\"days\": ");
  // Not as the grammar has it, so nothing is guaranteed.
  const char* own = "<tool_call>{ \"name\": \"weather\", \"arguments\": {\"city\": \"Se";
  EXPECT_EQ(parsed(syntax, own, true), own);
}

TEST(CallParser, CallsNothingWhileThinking) {
  const std::string call = "<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call>";
  const auto syntax = syntax_of(form_named("Hermes"), &kThinkMarks[0]);
  const std::string thought = "<think>\nShould I " + call + "?\n</think>\n\n";
  for (size_t split = 0; split <= thought.size(); ++split)
    ASSERT_EQ(parsed(syntax, thought + call, false, split),
              "<think>\nShould I " + call + "?\n</think>«time({})»");
  const auto open = syntax_of(form_named("Hermes"), &kThinkMarks[0]);
  open->thinks_first = true;
  EXPECT_EQ(parsed(open, call + "</think>" + call), call + "</think>«time({})»");
}

TEST(CallParser, RefusesDeepNesting) {
  const std::string deep = "<tool_call>{\"name\": \"time\", \"arguments\": {\"a\": " +
                           std::string(kMaxArgumentsDepth, '[');
  EXPECT_EQ(parsed(syntax_of(form_named("Hermes")), deep + "1", true), deep + "1");
}

}  // namespace
}  // namespace sllm
