// Chat templates: what they render, what the assistant speaks, what is refused and bounded.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "text/byte_level.h"

namespace sllm {
namespace {

using nlohmann::ordered_json;

const char* const kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}";
const char* const kLlama3 =
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 "
    "%}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ "
    "'<|start_header_id|>assistant<|end_header_id|>\n\n' }}";

Conversation talk() {
  return {{"user", "2+2? <|im_end|>", {}}, {"assistant", " 넷 ", {}}, {"user", "bye", {}}};
}

Result<RenderedText> render(const std::string& source, const Conversation& messages = talk(),
                            const RenderOptions& options = {}) {
  auto parsed = ChatTemplate::parse(source, "<s>", "</s>");
  if (!parsed.ok()) return std::move(parsed).error();
  return (*parsed)->render(messages, options);
}
std::string text_of(const std::string& source) {
  const auto rendered = render(source);
  return rendered.ok() ? rendered->text : "error: " + rendered.error().message;
}
std::string marked(const RenderedText& r, const std::vector<uint8_t>& marks) {
  std::string text;
  for (size_t i = 0; i < r.text.size(); ++i)
    if (marks[i]) text += r.text[i];
  return text;
}

TEST(ChatTemplate, KnowsWhatCameFromMessages) {
  const RenderedText r = render(kChatMl).value();
  EXPECT_EQ(r.text,
            "<|im_start|>user\n2+2? <|im_end|><|im_end|>\n<|im_start|>assistant\n 넷 "
            "<|im_end|>\n<|im_start|>user\nbye<|im_end|>\n");
  EXPECT_EQ(marked(r, r.from_message), "user2+2? <|im_end|>assistant 넷 userbye");
}

TEST(ChatTemplate, MarksWhatTheAssistantSpeaksWithItsEndToken) {
  RenderedText r = render(kChatMl).value();
  EXPECT_EQ(marked(r, r.assistant), " 넷 <|im_end|>");
  r = render(kLlama3).value();
  EXPECT_EQ(marked(r, r.assistant), "넷<|eot_id|>");
}

TEST(ChatTemplate, PrefersGenerationBlocks) {
  const RenderedText r = render(
                             "{% for m in messages %}{% if m.role == 'assistant' %}{% generation "
                             "%}[{{ m.content }}]{% endgeneration %}{% else %}{{ m.content }}{% "
                             "endif %}{% endfor %}")
                             .value();
  EXPECT_EQ(marked(r, r.assistant), "[ 넷 ]");
}

TEST(ChatTemplate, FollowsGenerationThroughMacrosAndFilters) {
  // transformers counts such a block from where the macro's call stands; the text is what was
  // meant.
  const RenderedText r =
      render(
          "{% macro say(m) %}<{{ m.role }}>{% generation %}{{ m.content | trim }}{% endgeneration "
          "%};{% endmacro %}{% for m in messages %}{% if m.role == 'assistant' %}{{ say(m) | upper "
          "}}{% else %}{{ m.content }}{% endif %}{% endfor %}")
          .value();
  EXPECT_EQ(r.text, "2+2? <|im_end|><ASSISTANT>넷;bye");
  EXPECT_EQ(marked(r, r.assistant), "넷");
}

TEST(ChatTemplate, TakesNoGuessWhereGenerationIsUsed) {
  const RenderedText r = render(
                             "{% for m in messages %}{{ m.content }}{% if m.role == 'tool' %}{% "
                             "generation %}x{% endgeneration %}{% endif %}{% endfor %}")
                             .value();
  EXPECT_EQ(marked(r, r.assistant), "");
}

TEST(ChatTemplate, EndsWhereTheLastMessageEndsToGoOnWithIt) {
  RenderOptions options;
  options.continue_final_message = true;
  const Conversation messages = {{"user", "count", {}}, {"assistant", "one, two,", {}}};
  const RenderedText r = render(kChatMl, messages, options).value();
  EXPECT_EQ(r.text, "<|im_start|>user\ncount<|im_end|>\n<|im_start|>assistant\none, two,");
  EXPECT_FALSE(render("{{ messages[0].content }}", messages, options).ok());
}

TEST(ChatTemplate, CountsToolCallsAsSpeech) {
  Conversation messages = {{"user", "hi", {}}, {"assistant", "", {}}};
  messages[1].extra["tool_calls"] = {{{"name", "f"}, {"arguments", ordered_json::object()}}};
  const RenderedText r =
      render(
          "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in "
          "m.tool_calls or [] %}<call>{\"name\": \"{{ c.name }}\", \"arguments\": {{ c.arguments "
          "| tojson }}}</call>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt "
          "%}<|im_start|>assistant\n{% endif %}",
          messages)
          .value();
  EXPECT_EQ(marked(r, r.assistant), "<call>{\"name\": \"f\", \"arguments\": {}}</call><|im_end|>");
}

TEST(ChatTemplate, TurnsIncludeWhatTheTemplateSaysForTheAssistant) {
  Conversation messages = {{"user", "hi", {}}, {"assistant", "", {}}, {"assistant", "bye", {}}};
  messages[1].extra["tool_calls"] = {{{"name", "f"}}};
  const std::string source =
      "{% for m in messages %}{% if m.tool_calls %}[CALLS]{{ m.tool_calls[0].name }}</s>"
      "{% elif m.role == 'assistant' %}{{ m.content }}</s>\n{% else %}[INST]{{ m.content }}[/INST]"
      "{% endif %}{% endfor %}";
  const RenderedText r = render(source, messages).value();
  EXPECT_EQ(marked(r, r.assistant), "[CALLS]f</s>bye</s>");
  // Told apart from what only looks like it: a turn that is written otherwise once more follow.
  const RenderedText changed =
      render(
          "{% for m in messages %}{% if m.role == 'assistant' %}A:{{ m.content if loop.last else "
          "m.content | upper }}</s>{% else %}{{ m.content }}{% endif %}{% endfor %}",
          {{"user", "hi", {}}, {"assistant", "one", {}}, {"user", "x", {}}})
          .value();
  EXPECT_EQ(marked(changed, changed.assistant), "ONE</s>");
}

TEST(ChatTemplate, ProvenanceSurvivesFilters) {
  const RenderedText r = render(
                             "{{ ('<' ~ messages[0].content | upper ~ '>') | replace('2', 'x') | "
                             "trim }}{{ [messages[2].content, 'b'] | tojson }}")
                             .value();
  EXPECT_EQ(r.text, "<x+x? <|IM_END|>>[\"bye\", \"b\"]");
  EXPECT_EQ(marked(r, r.from_message), "+? <|IM_END|>\"bye\"");
}

TEST(ChatTemplate, RaisesWithTheTemplatesOwnWords) {
  const auto r = render("{{ raise_exception('roles must alternate!') }}");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kBadInput);
  EXPECT_EQ(r.error().message, "roles must alternate!");
}

TEST(ChatTemplate, ReadsTheClockItIsGiven) {
  setenv("TZ", "UTC", 1);
  RenderOptions options;
  options.now = 1700000000;
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y') }}", {}, options)->text, "14 Nov 2023");
}

struct Case {
  const char* source;
  const char* expected;  // as Python's jinja2 3.1.6 renders it with transformers' settings
};
class Jinja : public testing::TestWithParam<Case> {};
TEST_P(Jinja, RendersAsPythonDoes) { EXPECT_EQ(text_of(GetParam().source), GetParam().expected); }

INSTANTIATE_TEST_SUITE_P(
    Syntax, Jinja,
    testing::Values(
        Case{"a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"},
        Case{"a {%- if true -%} b {%- endif %} c", "ab c"},
        Case{"  {%+ if true %}x{% endif %}", "  x"},
        Case{"{# no #}\nx{{ '}}' }}{% raw %}{{ y }}{% endraw %}", "x}}{{ y }}"},
        Case{"{{ {'a': {'b': 1}} }}", "{'a': {'b': 1}}"},
        Case{"{{ 'a' 'b' ~ 1 ~ none ~ true }}", "ab1NoneTrue"},
        Case{"{{ '\\u00e9\\x41\\n\\q' }}", "éA\n\\q"},
        Case{"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 7 / 2 }} {{ 1e16 }}",
             "3 -4 2 1024 3.5 1e+16"},
        Case{"{{ 1 < 2 < 3 }} {{ 'a' in 'cat' }} {{ 2 not in [1] }}", "True True True"},
        Case{"{{ 'abcdef'[1:4] }} {{ 'abc'[::-1] }} {{ [1,2,3][-1] }} {{ '한글'[1] }}",
             "bcd cba 3 글"},
        Case{"{{ x is defined }} {{ x }} {{ x | default('d') }} {{ (1 if false) is defined }}",
             "False  d False"},
        Case{"{{ 'yes' if 1 else 'no' }}{{ [] or 'e' }}{{ 1 and 2 }}", "yese2"},
        Case{"{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "1"},
        Case{"{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% "
             "endfor "
             "%}{{ ns.n }}",
             "3"},
        Case{"{% for a, b in {'x': 1}.items() %}{{ a }}={{ b }}{% endfor %}", "x=1"},
        Case{
            "{% for i in [1,2,3,4] if i % 2 == 0 %}{{ loop.index }}:{{ i }}{{ ',' if not loop.last "
            "}}{% else %}none{% endfor %}",
            "1:2,2:4"},
        Case{"{% for i in [] %}x{% else %}none{% endfor %}", "none"},
        Case{"{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}{% "
             "continue "
             "%}{% endif %}{{ i }}{% endfor %}",
             "02"},
        Case{"{% macro m(a, b='B') %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) "
             "}}{{ m(1, 2, 3, c=4) }}",
             "1B(){}12(3,){'c': 4}"},
        Case{"{% macro m() %}<{{ caller('x') }}>{% endmacro %}{% call(v) m() %}{{ v }}!{% endcall "
             "%}",
             "<x!>"},
        Case{"{% set t %}a{{ 1 }}{% endset %}{{ t }}{% filter upper %}b{% endfilter %}{% set u | "
             "trim %} c {% endset %}{{ u }}",
             "a1Bc"},
        Case{"{% for t in [{'n': 1, 'c': [{'n': 2}]}] recursive %}{{ t.n }}{{ loop(t.c) if t.c "
             "}}{% endfor %}",
             "12"},
        Case{"{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", "3"}));

INSTANTIATE_TEST_SUITE_P(
    Builtins, Jinja,
    testing::Values(
        Case{"{{ {'b': 1, 'a': 'é<'} | tojson }} {{ [1.5, none, true] | tojson(indent=2) }}",
             "{\"b\": 1, \"a\": \"é<\"} [\n  1.5,\n  null,\n  true\n]"},
        Case{"{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}",
             "{\"a\":2,\"b\":1}"},
        Case{"{{ ' a b  c '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'x-y'.rsplit('-') | last }}",
             "['a', 'b', 'c'] ['a', 'b,c'] y"},
        Case{
            "{{ 'abc'.startswith(('x', 'a')) }} {{ 'xxabcxx'.strip('x') }} {{ 'a'.join(['1', '2']) "
            "}}",
            "True abc 1a2"},
        Case{
            "{{ [3,1,2] | sort | join('-') }} {{ ['b','A'] | sort | first }} {{ [1,1,2] | unique | "
            "list }}",
            "1-2-3 A [1, 2]"},
        Case{"{{ [{'a': 1}, {'a': 2}] | selectattr('a', 'gt', 1) | map(attribute='a') | list }}",
             "[2]"},
        Case{"{{ [1, 2, 3] | reject('odd') | list }} {{ ['a'] | map('upper') | list }}",
             "[2] ['A']"},
        Case{"{{ 'a\nb\n\nc' | indent(2) }}", "a\n  b\n\n  c"},
        Case{"{{ {'b': 1, 'a': 2} | dictsort }} {{ {'a': 1} | items | list }}",
             "[('a', 2), ('b', 1)] [('a', 1)]"},
        Case{"{{ 'hello world' | title }} {{ 'hELLO' | capitalize }} {{ 3.14159 | round(2) }} {{ "
             "'7' | int + 1 }}",
             "Hello World Hello 3.14 8"},
        Case{"{{ '%s-%03d-%.1f' | format('a', 7, 2.55) }} {{ '%s' % 'x' }} {{ '{} {a}'.format(1, "
             "a=2) }}",
             "a-007-2.5 x 1 2"},
        Case{"{{ \"it's\" | list | length }} {{ [\"it's\", 'q\"'] }} {{ 'x' is string }} {{ [] is "
             "iterable }} {{ {} is mapping }}",
             "4 [\"it's\", 'q\"'] True True True"},
        Case{"{{ {'items': 1}['items'] }} {{ none.foo is defined }} {{ ''.x | length }}",
             "1 False 0"},
        Case{"{{ dict(a=1).get('b', 'z') }} {{ [[1, 2], [3]] | sum(start=[]) | default('') }}",
             "z [1, 2, 3]"},
        Case{"{{ undefined_thing.x }}", "error: 'undefined_thing' is undefined"},
        Case{"{{ [].append(1) }}",
             "error: access to attribute 'append' of 'list' object is unsafe."},
        Case{"{{ {} .x.y }}", "error: 'dict object' has no attribute 'x'"},
        Case{"{{ 1 + 'a' }}", "error: unsupported operand type(s) for +: 'int' and 'str'"},
        Case{"{{ range(100001) }}",
             "error: Range too big. The sandbox blocks ranges larger than "
             "MAX_RANGE (100000)."}));

class RefusedTemplate : public testing::TestWithParam<Case> {};
TEST_P(RefusedTemplate, SaysTheLineAndWhat) {
  const auto parsed = ChatTemplate::parse(GetParam().source, "", "");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::kBadInput);
  EXPECT_NE(parsed.error().message.find(GetParam().expected), std::string::npos)
      << parsed.error().message;
}
INSTANTIATE_TEST_SUITE_P(
    All, RefusedTemplate,
    testing::Values(Case{"\n{{ ''.__class__ }}", "line 2: access to attribute '__class__'"},
                    Case{"{% include 'x' %}", "'include' is not allowed"},
                    Case{"{% import 'x' as y %}", "'import' is not allowed"},
                    Case{"{% extends 'x' %}", "'extends' is not allowed"},
                    Case{"{{ x | nope }}", "No filter named 'nope'"},
                    Case{"{{ x is nope }}", "No test named 'nope'"},
                    Case{"{% if x %}", "looking for"}, Case{"{% endif %}", "unknown tag 'endif'"},
                    Case{"{{ x ", "unexpected end of template"}, Case{"{{ (1] }}", "expected ')'"},
                    Case{"{# x", "Missing end of comment"}, Case{"{% raw %}", "end of raw"},
                    Case{"{{ 'x }}", "unexpected char"}, Case{"{{ $ }}", "unexpected char"},
                    Case{"{{ 99999999999999999999 }}", "out of range"},
                    Case{"{{ '\\ud800' }}", "bad escape"}, Case{"{% frob %}", "unknown tag"},
                    Case{"{% set true = 1 %}", "can't assign"}, Case{"{{ }}", "Expected an expr"}));

TEST(Jinja, FormatsNumbersAsPercentDoesInPython) {
  // What CPython 3.11 prints.
  for (const auto& [source, expected] : std::vector<std::pair<std::string, std::string>>{
           {"{{ '%5d'|format(3.7) }}", "    3"},
           {"{{ '%.3d'|format(7) }}", "007"},
           {"{{ '%08.3d'|format(7) }}", "00000007"},
           {"{{ '%#08x'|format(255) }}", "0x0000ff"},
           {"{{ '%#o'|format(8) }}", "0o10"},
           {"{{ '%+x'|format(255) }}", "+ff"},
           {"{{ '%x'|format(-255) }}", "-ff"},
           {"{{ '%-08d'|format(5) }}", "5       "},
           {"{{ '% 05d'|format(42) }}", " 0042"},
           {"{{ '%08.2f'|format(-3.14159) }}", "-0003.14"},
           {"{{ '%#.3g'|format(1.0) }}", "1.00"},
           {"{{ '%.2E'|format(12345.678) }}", "1.23E+04"},
           {"{{ '%i'|format(true) }}", "1"},
           {"{{ '%05s'|format('ab') }}", "   ab"},
           {"{{ '%-4.1s'|format('가나') }}", "가   "}})
    EXPECT_EQ(text_of(source), expected) << source;
  // Found by the fuzzer: flags after the width once ended the program.
  EXPECT_NE(text_of("{{ '%5#d'|format(7) }}").find("unsupported format character '#'"),
            std::string::npos);
  EXPECT_NE(text_of("{{ '%x'|format(3.5) }}").find("an integer is required"), std::string::npos);
}

TEST(HostileTemplate, LeavesNothingBehind) {
  EXPECT_TRUE(
      render("{% set ns = namespace() %}{% set ns.me = ns %}{% macro m() %}{% endmacro %}{% "
             "set ns.m = m %}{{ ns.me.me is defined }}")
          .ok());
}

TEST(ChatTemplate, RefusesToReplaceItsOwnVariables) {
  RenderOptions options;
  options.kwargs = {{"messages", "x"}};
  EXPECT_FALSE(render(kChatMl, talk(), options).ok());
}

// transformers drops what is null before the template sees it; parts stay a list.
TEST(Conversation, KeepsContentThatIsNoString) {
  const auto messages = conversation_from_json(ordered_json::parse(
      R"([{"role": "assistant", "content": null}, {"role": "assistant", "tool_calls": []}])"));
  EXPECT_EQ(render("{% for m in messages %}{{ m.content is defined }}{{ m.content is none }} {% "
                   "endfor %}",
                   *messages)
                ->text,
            "FalseFalse FalseFalse ");
  const auto parts = conversation_from_json(
      ordered_json::parse(R"([{"role": "user", "content": [{"type": "text", "text": "a"}]}])"));
  EXPECT_EQ(render("{{ messages[0].content[0].text }}", *parts)->text, "a");
  EXPECT_FALSE(conversation_from_json(ordered_json::parse(R"([{"content": "x"}])")).ok());
  EXPECT_FALSE(conversation_from_json(ordered_json::parse("{}")).ok());
}

// Byte tokens and ChatML's two.
std::shared_ptr<const Tokenizer> byte_tokenizer() {
  TokenizerSource source;
  source.gguf.emplace();
  source.gguf->model = "gpt2";
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    source.gguf->tokens.push_back(token_text_of_bytes({&byte, 1}));
  }
  source.gguf->types.assign(256, 1);
  for (const char* text : {"<|im_start|>", "<|im_end|>"}) {
    source.gguf->tokens.emplace_back(text);
    source.gguf->types.push_back(3);
  }
  return Tokenizer::load(source).value();
}

TEST(EncodeConversation, KeepsSpecialStringsOfMessagesAsText) {
  const auto tokenizer = byte_tokenizer();
  const auto chat_template = ChatTemplate::parse(kChatMl, "", "<|im_end|>").value();
  const EncodedConversation e = encode_conversation(*chat_template, *tokenizer, talk()).value();
  EXPECT_EQ(std::ranges::count(e.ids, 257), 3);  // <|im_end|>, once for each message
  EXPECT_EQ(tokenizer->decode(e.ids), render(kChatMl)->text);
  std::vector<TokenId> spoken;
  for (size_t i = 0; i < e.ids.size(); ++i)
    if (e.assistant[i]) spoken.push_back(e.ids[i]);
  EXPECT_EQ(tokenizer->decode(spoken), " 넷 <|im_end|>");
}

}  // namespace
}  // namespace sllm
