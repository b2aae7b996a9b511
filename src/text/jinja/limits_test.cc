// Templates that would take all the time, memory or stack there is, or reach into the program: each
// is refused with a sentence that says which limit it met. Limits count steps, depth and bytes, so
// that the refusal comes at the same place on every machine.
#include <gtest/gtest.h>

#include "text/chat_template.h"

namespace sllm {
namespace {

std::string times(int n, const std::string& s) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

// `s` again and again with the number of the time for its N.
std::string numbered(int n, const std::string& s) {
  std::string out;
  for (int i = 0; i < n; ++i)
    for (const char c : s) out += c == 'N' ? std::to_string(i) : std::string(1, c);
  return out;
}

const char* const kSteps = "steps";
const char* const kDeep = "deeply";

struct Hostile {
  std::string source;
  const char* sentence;  // part of the refusal
};

std::vector<Hostile> hostile_templates() {
  const std::string twice =
      "{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] "
      "%}{% set ns.m = [ns.m, ns.m] %}{% endfor %}";
  return {
      // Loops
      {times(30, "{% for i in range(100000) %}") + times(30, "{% endfor %}"), kSteps},
      {"{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", kSteps},
      {"{{ range(100000000) | list }}", "Range too big"},
      {"{% for i in [[[]]] recursive %}{{ loop([1]) }}{% endfor %}", "deep"},
      // Macros
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", kDeep},
      {"{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
       kDeep},
      {"{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(50) }}",
       kSteps},
      {"{% macro m() %}{% if caller %}{% endif %}{% call m() %}x{% endcall %}{% endmacro %}{{ m() "
       "}}",
       kDeep},
      // Growth
      {"{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% "
       "endfor %}",
       kSteps},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% "
       "endfor %}",
       kSteps},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor "
       "%}",
       kDeep},
      {twice + "{{ ns.l }}", "too large to be written"},
      {twice + "{{ ns.l == ns.m }}", kSteps},
      {twice + "{{ ns.l in [ns.m] }}", kSteps},
      {twice + "{{ ns.l is eq ns.m }}", kSteps},
      {twice + "{{ [ns.l, ns.m] | unique | list | length }}", kSteps},
      {twice + "{{ ns.l | tojson }}", kSteps},
      {"{{ 'x' * 1000000000 }}", "too long a string"},
      {"{{ [1] * 1000000000 }}", kSteps},
      {"{{ [[]] * 9223372036854775807 }}", kSteps},
      {"{{ dict(range(90000) | batch(2)) | length }}", kSteps},
      {"{{ dict.fromkeys(range(90000)) | length }}", kSteps},
      {"{{ {" + numbered(20000, "N: 0,") + "} | length }}", kSteps},
      {"{{ dict(" + numbered(20000, "aN=0,") + ") | length }}", kSteps},
      {numbered(6000, "{% set aN = 1 %}"), kSteps},
      {"{% macro m() %}{{ kwargs | length }}{% endmacro %}{{ m(" + numbered(20000, "aN=0,") +
           ") }}",
       kSteps},
      {"{% macro m(" + numbered(20000, "aN,") + "b) %}{% endmacro %}", "too many parameters"},
      // Text
      {"{{ 'x'.center(1000000000) }}", kSteps},
      {"{{ '%999999999d' % 1 }}", "width is too large"},
      {"{{ '%*d' % (999999999, 1) }}", "width is too large"},
      {"{{ '{:>999999999}'.format(1) }}", "width is too large"},
      {"{{ ('a' * 99999).replace('', 'b' * 99999) }}", kSteps},
      {"{% for i in range(1000) %}{{ ('\t' * 10000).expandtabs(1000) }}{% endfor %}", kSteps},
      {"{% set s = 'a' * 200000 %}{% for i in range(10000) %}{% set x = s.rfind('b' ~ 'a' * 90000) "
       "%}{% endfor %}",
       kSteps},
      {"{% set s = 'a' * 100000 %}{% for i in range(100000) %}{{ 'b' in s }}{% endfor %}", kSteps},
      {"{% set s = 'a,' * 50000 %}{% for i in range(1000) %}{% set x = s.split(',') %}{% endfor %}",
       kSteps},
      {"{% for i in range(100000) %}{% set x = range(100000) | list | sort %}{% endfor %}", kSteps},
      {"{{ range(90000) | unique | list | length }}", kSteps},
      // Numbers
      {"{{ 9 ** 9 ** 9 ** 9 }}", "too large"},
      {"{{ 2 ** 999999999999 }}", "too large"},
      {"{{ " + times(100000, "9") + " }}", "out of range"},
      // The parser's stack
      {"{{ " + times(150, "(") + "1" + times(150, ")") + " }}", kDeep},
      {"{{ " + times(5000, "[") + times(5000, "]") + " }}", kDeep},
      {"{{ " + times(50000, "-") + "1 }}", kDeep},
      {"{{ " + times(50000, "not ") + "1 }}", kDeep},
      {"{{ 1" + times(50000, "+1") + " }}", kDeep},
      {"{{ x" + times(50000, ".x") + " }}", kDeep},
      {"{{ x" + times(50000, "|d") + " }}", kDeep},
      {times(5000, "{% if 1 %}"), kDeep},
      {times(1 << 17, "abc"), "too many"},
      // What a template must not reach
      {"{{ ''.__class__.__mro__ }}", "line 1: access to attribute '__class__'"},
      {"{{ '{0.__class__}'.format('') }}", "access to attribute '__class__'"},
      {"\n{{ range.__globals__ }}", "line 2: access to attribute '__globals__'"},
      {"{% include '/etc/passwd' %}", "'include' is not allowed"},
      {"{% import 'os' as os %}", "'import' is not allowed"},
      {"{{ [].append(1) }}", "unsafe"},
  };
}

Result<RenderedText> attempt(const std::string& source) {
  auto parsed = ChatTemplate::parse(source, "", "");
  if (!parsed.ok()) return std::move(parsed).error();
  return (*parsed)->render({{"user", "hi", {}}});
}

TEST(HostileTemplate, IsRefusedWithTheLimitItMeets) {
  for (const Hostile& hostile : hostile_templates()) {
    const std::string shown = hostile.source.substr(0, 100);
    const auto rendered = attempt(hostile.source);
    ASSERT_FALSE(rendered.ok()) << shown;
    EXPECT_EQ(rendered.error().code, ErrorCode::kBadInput) << shown;
    EXPECT_NE(rendered.error().message.find(hostile.sentence), std::string::npos)
        << shown << ": " << rendered.error().message;
  }
}

// What a long conversation needs is not what the limits are against.
TEST(HostileTemplate, LimitsGrowWithTheConversation) {
  Conversation messages;
  for (int i = 0; i < 2000; ++i)
    messages.push_back({i % 2 ? "assistant" : "user", times(100, "긴 대화. "), {}});
  const auto parsed = ChatTemplate::parse(
      "{% for m in messages %}{% if m.content is string and '</think>' in m.content %}x{% endif "
      "%}{{ m.role ~ ': ' ~ m.content | trim }}\n{% endfor %}",
      "", "");
  const auto rendered = (*parsed)->render(messages);
  ASSERT_TRUE(rendered.ok()) << rendered.error().message;
  EXPECT_GT(rendered->text.size(), 2000u * 1200);
}

}  // namespace
}  // namespace sllm
