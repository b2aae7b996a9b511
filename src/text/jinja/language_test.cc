// The language beyond what chat_template_test.cc shows: what each line is to give is what Python's
// jinja2 3.1.6 gives with transformers' settings. tests/parity/templates.py asks jinja2 itself.
#include <gtest/gtest.h>

#include "text/chat_template.h"

namespace sllm {
namespace {

std::string render(const std::string& source) {
  auto parsed = ChatTemplate::parse(source, "<s>", "</s>");
  if (!parsed.ok()) return "refused: " + parsed.error().message;
  auto rendered = (*parsed)->render({{"user", "hi", {}}});
  return rendered.ok() ? rendered->text : "error: " + rendered.error().message;
}

struct Line {
  const char* source;
  const char* expected;
};
class Language : public testing::TestWithParam<Line> {};
TEST_P(Language, IsAsPythonHasIt) { EXPECT_EQ(render(GetParam().source), GetParam().expected); }

INSTANTIATE_TEST_SUITE_P(
    Statements, Language,
    testing::Values(
        Line{"{% set ns = namespace(a=1, b=2) %}{% set ns.a, ns.b = ns.b, ns.a %}{{ ns.a }}{{ ns.b "
             "}}",
             "21"},
        Line{"{% for i in range(3) %}{% set x %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% "
             "endset %}{{ x }}{% endfor %}",
             "0"},
        Line{"{% break %}", "refused: chat template: line 1: 'break' outside loop"},
        Line{"{% for i in [1] %}{% generation %}{% continue %}{% endgeneration %}{% endfor %}",
             "refused: chat template: line 1: 'continue' outside loop"},
        Line{"{% macro m(a, a) %}{% endmacro %}",
             "refused: chat template: line 1: duplicate argument 'a'"},
        Line{"{% macro m(a, b=1) %}{% endmacro %}{{ m.name }} {{ m.arguments }} {{ m.caller }}",
             "m ('a', 'b') False"},
        Line{"{% for i in [1, 2] %}{{ loop }}{% endfor %}", "<LoopContext 1/2><LoopContext 2/2>"},
        Line{"{% set j = joiner('; ') %}{% for i in 'abc' %}{{ j() }}{{ i }}{% endfor %}",
             "a; b; c"},
        Line{"{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}", "aba"},
        Line{"{{ dict.fromkeys('ab', 0) }} {{ range(1, 4) }} {{ {'a': 1}.keys() }}",
             "{'a': 0, 'b': 0} range(1, 4) dict_keys(['a'])"}));

INSTANTIATE_TEST_SUITE_P(
    Text, Language,
    testing::Values(
        Line{"{{ 'abcabc'.find('c', 0, 2) }} {{ 'abcabc'.rfind('a', 1, 3) }} {{ "
             "'abcabc'.count('a', 1) }}",
             "-1 -1 1"},
        Line{"{{ ' a b c '.split(none, 1) }} {{ ' a b c '.rsplit(none, 1) }}",
             "['a', 'b c '] [' a b', 'c']"},
        Line{"{{ 'a\nb'.splitlines(true) }} {{ 'a\tb'.expandtabs(4) }} {{ 'ß'.casefold() }}",
             "['a\\n', 'b'] a   b ss"},
        Line{"{{ 'Ab C'.istitle() }} {{ 'a_1'.isidentifier() }} {{ '한'.isascii() }}",
             "True True False"},
        Line{"{{ '{:>5}|{:<5}|{:^5}|{:05d}|{:,.2f}|{:x}|{:.1%}'.format('a', 'b', 'c', -42, "
             "1234.5, 255, 0.25) }}",
             "    a|b    |  c  |-0042|1,234.50|ff|25.0%"},
        Line{"{{ '{a[k]} {0[1]!r:>5} {:{w}}'.format([1, 'x'], a={'k': 2}, w=3) }}",
             "error: cannot switch from manual field numbering to automatic"},
        Line{"{{ '{a[k]} {0[1]!r:>5}'.format([1, 'x'], a={'k': 2}) }}", "2   'x'"},
        Line{"{{ '%c|%*d|%a' % ('x', 4, 7, '한') }}", "x|   7|'\\ud55c'"},
        Line{"{{ 'x'.center(5, 'ab') }}",
             "error: The fill character must be exactly one character long"},
        Line{"{{ ('<' | e) + '<' }} {{ ('<' | safe).upper() + '<' }} {{ ('<' | safe) ~ '<' }}",
             "&lt;&lt; <&lt; <<"},
        Line{"{{ 'ŉ' | capitalize }} {{ '\\N{DEGREE SIGN}' }}", "ʼN °"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, Language,
    testing::Values(
        Line{"{{ '0x1A' | int(0, 16) }} {{ '٣' | int }} {{ '1__0' | int(7) }} {{ '1e3' | int }}",
             "26 3 7 1000"},
        Line{"{{ '1_0.5' | float }} {{ '-inf' | float }} {{ '.5' | float }}", "10.5 -inf 0.5"},
        Line{"{{ 5 | round }} {{ 1250 | round(-2) }} {{ 1350 | round(-2) }} {{ 2.5 | round }}",
             "5 1200 1400 2.0"},
        Line{"{{ 2.0 is even }} {{ 1.5 is odd }} {{ 1500000 | filesizeformat }}",
             "True False 1.5 MB"},
        Line{"{{ 007 }}", "refused: chat template: line 1: a number cannot begin with zeros"},
        Line{"{{ 9223372036854775807 + 1 }}", "error: integer is too large"}));

// Where Python would not bind the arguments, neither do we.
INSTANTIATE_TEST_SUITE_P(
    Arguments, Language,
    testing::Values(
        Line{"{{ 'a' | replace('a') }}", "error: replace() misses argument 'new'"},
        Line{"{{ 'a' | upper(1) }}", "error: upper() takes at most 0 arguments (1 given)"},
        Line{"{{ 'a' | trim(x=1) }}", "error: trim() got an unexpected keyword argument 'x'"},
        Line{"{{ [] | join(',', d='x') }}", "error: join() got multiple values for argument 'd'"},
        Line{"{{ 1 is eq }}", "error: eq() misses argument 'other'"},
        Line{"{{ 'a'.strip('a', 'b') }}", "error: strip() takes at most 1 arguments (2 given)"},
        Line{"{{ none[1:] }}", "error: 'NoneType' object cannot be sliced"}));

}  // namespace
}  // namespace sllm
