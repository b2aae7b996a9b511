// JSON schemas: documents that each keyword allows and rules out, and what is refused.
#include <gmock/gmock.h>

#include "grammar/grammar.h"
#include "grammar/test_data.h"

namespace sllm {
namespace {

using testing::accepts;
using testing::Fits;
using testing::fits;
using testing::GrammarPtr;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

GrammarPtr grammar_of(std::string_view schema) {
  return Grammar::from_json_schema(Json::parse(schema)).value();
}

std::string error_of(const Json& schema) {
  const auto refused = Grammar::from_json_schema(schema);
  if (refused.ok()) return "no error";
  EXPECT_EQ(refused.error().code, ErrorCode::kBadInput);
  return refused.error().message;
}

struct Case {
  const char* schema;
  std::vector<const char*> valid, invalid;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.schema);
    const GrammarPtr grammar = grammar_of(c.schema);
    for (const char* text : c.valid) {
      EXPECT_TRUE(accepts(grammar, text)) << text;
      EXPECT_TRUE(Json::accept(text)) << text;
    }
    for (const char* text : c.invalid) EXPECT_FALSE(accepts(grammar, text)) << text;
  }
}

TEST(JsonSchema, Types) {
  check({
      {"{}",
       {"null", "true", "-1.5e+10", "\"x\"", "[]", "[1, {\"a\":[]}]", "{}"},
       {"", " 1", "1 "}},
      {"true", {"null", "[{\"a\": 1}]"}, {"nul"}},
      {R"({"type":"null"})", {"null"}, {"0"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"null", "True"}},
      {R"({"type":["string","null"]})", {"\"a\"", "null"}, {"1"}},
      {R"({"type":"integer"})", {"0", "-7", "1234567890123456"}, {"01", "-0", "1.0", "1e3", "+1"}},
      {R"({"type":"number"})",
       {"0", "-0.5", "12.25", "1e5", "2E-9"},
       {"01", ".5", "1.", "1e", "-"}},
      {R"({"type":["integer","number"]})", {"1", "1.5"}, {"x"}},
      {R"({"type":"array"})", {"[]", "[1,\"a\",null]"}, {"{}", "[1,]", "[,1]"}},
      {R"({"type":"object"})", {"{}", "{\"a\":1,\"a\":[]}"}, {"[]", "{\"a\"}", "{a:1}"}},
      // Annotations and extensions say nothing.
      {R"({"$schema":"x","title":"t","description":"d","default":1,"x-order":3,"type":"null",
           "examples":[1],"$comment":"c","deprecated":true,"nullable":false,"minProperties":0})",
       {"null"},
       {"1"}},
      // The type is told by other keywords.
      {R"({"properties":{"a":{"type":"null"}}})", {"{}", "{\"a\":null}"}, {"1", "{\"a\":1}"}},
      {R"({"items":{"type":"null"}})", {"[]", "[null]"}, {"1", "[1]"}},
      {R"({"maxLength":1})", {"\"\"", "\"a\""}, {"1", "\"ab\""}},
      {R"({"minimum":3})", {"3", "4.5"}, {"2", "\"a\""}},
  });
}

TEST(JsonSchema, Blanks) {
  const char* const schema =
      R"({"type":"object","properties":{"a":{"type":"array"},"b":{}},"required":["a"]})";
  check({{schema,
          {"{\"a\":[]}", "{ \"a\": [ 1, 2 ], \"b\": {} }", "{\n  \"a\": [\n    1,\n    2\n  ]\n}",
           "{\n\t\"a\": []}"},
          {"{  \"a\":[]}", "{\n\n\"a\":[]}", "{\"a\" :[]}", "{\"a\":[] ,\"b\":1}", "{\"a\":  []}",
           "{\r\n\"a\":[]}", "{\"a\":\n[]}", " {\"a\":[]}", "{\"a\":[]}\n",
           "{\n                     \"a\":[]}"}}});
}

TEST(JsonSchema, Strings) {
  check({
      {R"({"type":"string"})",
       {R"("")", R"("a 가 😀 \" \\ \/ \b\f\n\r\t")", R"("\u00e9\uD83D\uDE00\ud7ff\uE000")"},
       {"\"\n\"", "\"\x7F\"", R"("\x")", R"("\u12")", R"("\ud83d")", R"("\uDE00")", R"("\ud83dx")",
        R"("\ud83d\u0041")", "\"\xFF\"", "\"\xC0\xAF\"", "\"\xED\xA0\x80\"", "\"a"}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("한국어")", R"("\n\ud83d\ude00")"},
       {R"("")", R"("a")", R"("abcd")", R"("\u00e9")"}},
      {R"({"type":"string","minLength":1})", {R"("a")", R"("abcdefgh")"}, {R"("")"}},
      {R"({"type":"string","maxLength":0})", {R"("")"}, {R"("a")"}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-02-29")", R"("2000-02-29")", R"("2023-12-31")", R"("1999-04-30")"},
       {R"("2023-02-29")", R"("1900-02-29")", R"("2023-04-31")", R"("2023-13-01")",
        R"("2023-00-10")", R"("2023-1-01")", R"("2023-01-00")"}},
      {R"({"type":"string","format":"time"})",
       {R"("23:59:59Z")", R"("00:00:00.123+09:00")"},
       {R"("24:00:00Z")", R"("12:60:00Z")", R"("12:00:00")", R"("12:00:00+24:00")"}},
      {R"({"type":"string","format":"date-time"})",
       {R"("2024-02-29T12:30:00Z")", R"("2025-01-31T00:00:00.5-05:30")"},
       {R"("2025-02-29T12:30:00Z")", R"("2025-01-31 00:00:00Z")"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("123e4567-e89b-12d3-A456-426614174000")"},
       {R"("123e4567e89b12d3a456426614174000")", R"("g23e4567-e89b-12d3-a456-426614174000")"}},
      {R"({"type":"integer","format":"int32"})", {"5"}, {"\"5\""}},
  });
}

TEST(JsonSchema, Patterns) {
  check({
      {R"({"pattern":"^[a-c]+$"})", {R"("abc")"}, {R"("")", R"("abd")", R"("a\n")"}},
      {R"({"pattern":"b"})", {R"("b")", R"("abc")", R"("\n\u0001b\"")"}, {R"("")", R"("ac")"}},
      {R"({"pattern":"^a|b$"})", {R"("ac")", R"("cb")"}, {R"("ba")", R"("")"}},
      {R"({"pattern":"^(?:ab|c(d)?){2,3}$"})", {R"("abab")", R"("ccdab")"}, {R"("ab")", R"("d")"}},
      {R"({"pattern":"^(?<year>\\d{4})-\\d+?$"})", {R"("2024-5")"}, {R"("2024-")", R"("24-5")"}},
      {R"({"pattern":"^\\w\\W\\s\\S\\D$"})", {R"("a- bc")", R"("_가\t\"x")"}, {R"("--aab")"}},
      {R"({"pattern":"^.$"})", {R"("a")", R"("가")", R"("\"")", R"("\\")"}, {R"("\n")", R"("ab")"}},
      {R"({"pattern":"^[^\\n]$"})",
       {R"("\r")", R"("\u0000")", R"("]")"},
       {R"("\n")", R"("\u000A")"}},
      {R"({"pattern":"^[\\]\\d_-]{3}$"})", {R"("]5-")", R"("_-_")"}, {R"("a--")"}},
      {R"({"pattern":"^[\\w-.]$"})", {R"("-")", R"(".")"}, {R"("!")"}},
      {R"({"pattern":"^\\x41\\u00e9\\.\\/\\t\\0$"})", {R"("Aé./\t\u0000")"}, {R"("Aéx/\t\u0000")"}},
      {R"({"pattern":"^[가-힣]{2}$"})", {R"("한국")"}, {R"("한")", R"("漢字")"}},
      {R"({"pattern":"^$"})", {R"("")"}, {R"("a")"}},
      {R"({"pattern":""})", {R"("")", R"("a")"}, {"1"}},
  });
  const std::pair<const char*, const char*> refused[] = {
      {"(?<=x)*", "a lookbehind (?<=...), which is not supported"},
      {"^(?<!x)a$", "a negative lookbehind"},
      {"^(?=x)a$", "a lookahead"},
      {"^a(?!x)$", "a negative lookahead"},
      {"^(?i)a$", "flags or another extension"},
      {"^(a)\\1$", "a back reference"},
      {"^\\bword\\b$", "a word boundary"},
      {"^\\p{L}+$", "the escape \\p"},
      {"a^b", "a ^ that is not at the beginning"},
      {"a$b", "a $ that is not at the end"},
      {"(a$)", "a $ that is not at the end"},
      {"^a++$", "a possessive repetition"},
      {"^a**$", "repeats a repetition"},
      {"^*$", "a repetition of nothing, at byte 1"},
      {"^(a$", "a $ that"},
      {"^(a", "\"(\" without"},
      {"^a)$", "\")\" without"},
      {"^[a$", "ends too early"},
      {"^[]$", "a class that no character fits"},
      {"^a\\", "ends too early"},
      {"^[b-a]$", "a range that ends before it begins"},
      {"^a{2$", "without its \"}\""},
      {"^a{3,2}$", "reversed bounds"},
      {"^a{x}$", "without a number"},
      {"^a{1000000}$", "more than 100000"},
      {"^\\u12$", "hexadecimal digits"},
      {"^[^\\s\\S]$", "a class that no character fits"},
  };
  for (const auto& [pattern, message] : refused) {
    const std::string error = error_of({{"type", "string"}, {"pattern", pattern}});
    EXPECT_THAT(error, HasSubstr(message)) << pattern;
    EXPECT_THAT(error, HasSubstr("the schema, at \"#\": the pattern \""));
  }
}

TEST(JsonSchema, IntegerBoundsAreExact) {
  const std::pair<int64_t, int64_t> bounds[] = {{0, 0},       {0, 9},     {5, 12},      {-3, 4},
                                                {-120, -7},   {99, 1001}, {-1000, 999}, {17, 17},
                                                {1000, 1099}, {-15, -15}};
  for (const auto& [min, max] : bounds) {
    const auto inside =
        Grammar::from_json_schema({{"type", "integer"}, {"minimum", min}, {"maximum", max}})
            .value();
    const auto between =
        Grammar::from_json_schema({{"type", "integer"},
                                   {"exclusiveMinimum", min - 1},
                                   {"exclusiveMaximum", static_cast<double>(max) + 0.5}})
            .value();
    const auto numbers =
        Grammar::from_json_schema({{"type", "number"}, {"minimum", min}, {"maximum", max}}).value();
    const auto within =
        Grammar::from_json_schema(
            {{"type", "number"}, {"exclusiveMinimum", min - 1}, {"exclusiveMaximum", max + 1}})
            .value();
    GrammarAutomaton in(inside), bet(between), num(numbers), wit(within);
    for (int64_t n = -1300; n <= 1300; ++n) {
      const bool expected = min <= n && n <= max;
      EXPECT_EQ(accepts(in, std::to_string(n)), expected) << n << " " << min << " " << max;
      EXPECT_EQ(accepts(bet, std::to_string(n)), expected) << n;
      for (const char* fraction : {"", ".0", ".5", ".05", ".000"}) {
        const std::string text = std::to_string(n) + fraction;
        const double x = std::stod(text);
        if (x == 0 && text[0] == '-') continue;
        EXPECT_EQ(accepts(num, text), x >= double(min) && x <= double(max)) << text;
        EXPECT_EQ(accepts(wit, text), x > double(min - 1) && x < double(max + 1)) << text;
      }
    }
  }
  check({
      {R"({"type":"integer","minimum":10})", {"10", "9999999999999999"}, {"9", "-10", "0"}},
      {R"({"type":"integer","maximum":-10})", {"-10", "-123456"}, {"-9", "0", "10"}},
      {R"({"type":"integer","minimum":-9223372036854775808,"maximum":9223372036854775807})",
       {"9223372036854775807", "-9223372036854775808", "0"},
       {"9223372036854775808", "-9223372036854775809"}},
      {R"({"type":"integer","minimum":1.5,"exclusiveMaximum":3})", {"2"}, {"1", "3"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "0.25", "1", "1.0"},
       {"-0.5", "1.5", "1e-1", "-0"}},
      {R"({"type":"number","exclusiveMinimum":0})", {"0.001", "12"}, {"0", "0.0", "-1"}},
      {R"({"type":"number","exclusiveMaximum":0})", {"-0.001", "-12"}, {"0", "-0.0", "1"}},
  });
}

TEST(JsonSchema, Arrays) {
  check({
      {R"({"items":{"type":"integer"}})", {"[]", "[1]", "[1, 2,3]"}, {"[\"a\"]", "[1,null]"}},
      {R"({"items":{"type":"integer"},"minItems":2,"maxItems":3})",
       {"[1,2]", "[1,2,3]"},
       {"[]", "[1]", "[1,2,3,4]"}},
      {R"({"items":{"type":"integer"},"minItems":1})", {"[1]", "[1,2,3]"}, {"[]", "[ ]"}},
      {R"({"type":"array","maxItems":1})", {"[]", "[{}]"}, {"[1,2]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"items":false})", {"[]", "[ ]"}, {"[1]"}},
      {R"({"prefixItems":[{"type":"integer"},{"type":"string"}]})",
       {"[]", "[1]", "[1,\"a\"]"},
       {"[\"a\"]", "[1,\"a\",2]"}},
      {R"({"prefixItems":[{"type":"integer"},{"type":"string"}],"minItems":2})",
       {"[1,\"a\"]"},
       {"[]", "[1]", "[1,\"a\",2]"}},
      {R"({"prefixItems":[{"type":"integer"}],"items":{"type":"null"},"minItems":2,"maxItems":3})",
       {"[1,null]", "[1,null,null]"},
       {"[1]", "[1,1]", "[1,null,null,null]"}},
      {R"({"items":[{"type":"integer"}],"additionalItems":{"type":"null"}})",
       {"[]", "[1]", "[1,null]"},
       {"[null]", "[1,1]"}},
      {R"({"prefixItems":[],"items":{"type":"null"}})", {"[]", "[null]"}, {"[1]"}},
      {R"({"type":"array","items":{"type":"array","items":{"enum":[0,1]}}})",
       {"[[],[0,1],[1]]"},
       {"[0]", "[[2]]"}},
  });
}

TEST(JsonSchema, Objects) {
  check({
      {R"({"properties":{"a":{"type":"integer"},"b":{"type":"null"},"c":{}},"required":["b"]})",
       {R"({"b":null})", R"({"a":1,"b":null})", R"({"a":1,"b":null,"c":[1]})",
        R"({"b":null, "c":0})"},
       {R"({})", R"({"a":1})", R"({"b":null,"a":1})", R"({"b":1})", R"({"b":null,"d":1})",
        R"({"a":1 "b":null})", R"({"b":null,})", R"({,"b":null})", R"({"b":null,"b":null})"}},
      {R"({"properties":{"a":{},"b":{},"c":{}}})",
       {"{}", R"({"c":1})", R"({"a":1,"c":1})", R"({"a":1,"b":2,"c":3})"},
       {R"({"c":1,"a":1})"}},
      {R"({"properties":{"a\"/\\한":{}},"required":["a\"/\\한"]})",
       {R"({"a\"/\\한":1})"},
       {R"({"a":1})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})",
       {"{}", R"({"x":1,"y":2})"},
       {R"({"x":"a"})"}},
      {R"({"type":"object","additionalProperties":false})", {"{}", "{ }"}, {R"({"x":1})"}},
      {R"({"properties":{"ab":{"type":"null"},"ac":{},"\n":{}},"additionalProperties":{"type":"integer"},
           "required":["ab"]})",
       {R"({"ab":null})", R"({"ab":null,"a":1,"abc":2,"":3,"x":4,"\"":5})",
        R"({"ab":null,"ac":"x","b":1})"},
       {R"({"ab":1})", R"({"a":1})", R"({"ab":null,"x":null})", R"({"ab":null,"ac":1,"ab":2})",
        R"({"ab":null,"\u0061b":2})", R"({"ab":null,"x":1,"ac":2})",
        R"({"ab":null,"x":1,"\n":2})"}},
      {R"({"properties":{"a":{}},"additionalProperties":true})",
       {R"({"a":1,"b":[]})", R"({"b":{}})"},
       {R"({"b":1,"a":2})"}},
      {R"({"type":"object","required":["a","b"]})",
       {R"({"a":1,"b":2,"c":3})"},
       {"{}", R"({"a":1})"}},
      {R"({"properties":{"a":{}},"required":["b"]})", {R"({"a":1,"b":2})", R"({"b":2})"}, {"{}"}},
      {R"({"properties":{"a":{},"b":false}})", {"{}", R"({"a":1})"}, {R"({"b":1})"}},
  });
}

TEST(JsonSchema, Values) {
  check({
      {R"({"enum":["a","ab","b\n",1,1.5,null,true,["x",{"y":[]}]]})",
       {R"("a")", R"("ab")", R"("b\n")", "1", "1.5", "null", "true", R"(["x",{"y":[]}])",
        R"([ "x", { "y": [] } ])"},
       {R"("b")", R"("abc")", "11", "false", R"(["x"])"}},
      {R"({"const":{"a":1,"b":[]}})",
       {R"({"a":1,"b":[]})", R"({ "a": 1, "b": [] })"},
       {R"({"a":1})"}},
      {R"({"const":null})", {"null"}, {"1"}},
      {R"({"type":"string","enum":["a",1,null]})", {R"("a")"}, {"1", "null"}},
      {R"({"type":"integer","enum":[1,2.0,2.5]})", {"1", "2.0"}, {"2.5"}},
      {R"({"enum":["a","b"],"const":"b"})", {R"("b")"}, {R"("a")"}},
      {R"({"enum":["한국","한글"]})", {R"("한국")"}, {R"("한")"}},
      {R"({"enum":[1,2],"minLength":3})", {"1"}, {"3"}},
  });
}

TEST(JsonSchema, Combinations) {
  check({
      {R"({"anyOf":[{"type":"integer"},{"type":"string"}]})", {"1", R"("a")"}, {"null"}},
      {R"({"oneOf":[{"const":1},{"type":"null"},false]})", {"1", "null"}, {"2"}},
      {R"({"anyOf":[{"minimum":5},{"maximum":2}],"type":"integer","maximum":9})",
       {"5", "9", "2", "-1"},
       {"3", "10"}},
      {R"({"type":"object","properties":{"a":{},"b":{}},
           "anyOf":[{"required":["a"]},{"required":["b"]}]})",
       {R"({"a":1})", R"({"b":1})", R"({"a":1,"b":1})"},
       {"{}"}},
      {R"({"anyOf":[{"type":"string"},{"type":"integer"}],"oneOf":[{"type":"integer"},{"type":"null"}]})",
       {"1"},
       {R"("a")", "null"}},
      {R"({"enum":["a",1],"anyOf":[{"type":"string"},{"type":"null"}]})",
       {R"("a")"},
       {"1", "null"}},
      {R"({"allOf":[{"$ref":"#/$defs/s"}],"description":"d","$defs":{"s":{"type":"string"}}})",
       {R"("a")"},
       {"1"}},
      {R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},
                    {"properties":{"b":{"type":"null"},"a":{"minimum":3}}}]})",
       {R"({"a":3})", R"({"a":3,"b":null})"},
       {R"({"a":2})", R"({"b":null})", R"({"a":3,"c":1})"}},
      {R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]})",
       {"{}", R"({"a":1})"},
       {R"({"b":1})", R"({"a":1,"b":1})"}},
      {R"({"allOf":[{"minLength":2},{"maxLength":3},{"type":"string"}]})",
       {R"("ab")"},
       {R"("a")", R"("abcd")"}},
      {R"({"allOf":[{"type":["string","null"]},{"type":["null","integer"]}]})", {"null"}, {"1"}},
      {R"({"allOf":[{"anyOf":[{"const":1},{"const":2}]},{"anyOf":[{"const":2},{"const":3}]}]})",
       {"2"},
       {"1", "3"}},
  });
}

TEST(JsonSchema, References) {
  check({
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"null"}}})", {"null"}, {"1"}},
      {R"({"$ref":"#/definitions/a~1b%20c/items","definitions":{"a/b c":{"items":{"const":1}}}})",
       {"1"},
       {"[1]"}},
      {R"({"properties":{"next":{"$ref":"#"},"v":{"const":1}},"required":["v"]})",
       {R"({"v":1})", R"({"next":{"next":{"v":1},"v":1},"v":1})"},
       {R"({"next":{}})", R"({"next":{"v":2},"v":1})"}},
      {R"({"$ref":"#/$defs/tree","$defs":{"tree":{"anyOf":[{"type":"integer"},
           {"type":"array","items":{"$ref":"#/$defs/tree"}}]}}})",
       {"1", "[]", "[1,[2,[3]],[]]"},
       {"null", "[null]"}},
      {R"({"properties":{"a":{"$ref":"#/$defs/s","maxLength":2}},"$defs":{"s":{"minLength":2}}})",
       {R"({"a":"xy"})"},
       {R"({"a":"x"})", R"({"a":"xyz"})"}},
      // What two recursive schemas ask for together.
      {R"({"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}],"$defs":{
           "a":{"properties":{"c":{"$ref":"#/$defs/a"},"x":{"type":"integer"}},"required":["x"]},
           "b":{"properties":{"c":{"$ref":"#/$defs/b"},"x":{"minimum":5}}}}})",
       {R"({"x":5})", R"({"c":{"c":{"x":6},"x":5},"x":7})"},
       {R"({"x":4})", R"({"c":{"x":4},"x":5})", R"({"c":{},"x":5})"}},
  });
}

TEST(JsonSchema, ErrorsSayWhatAndWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"properties":{"a/b":{"multipleOf":2}}})",
       "the schema, at \"#/properties/a~1b/multipleOf\": \"multipleOf\" is a keyword that is not "
       "supported"},
      {R"({"items":{"not":{}}})", "\"#/items/not\": \"not\" is a keyword that is not supported"},
      {R"({"type":"string","minimun":1})", "\"minimun\" is a keyword"},
      {R"({"if":{}})", "\"if\" is a keyword"},
      {R"({"patternProperties":{"a":{}}})", "\"patternProperties\" is a keyword"},
      {R"({"nullable":true})", "\"nullable\" is a keyword"},
      {R"({"uniqueItems":true})", "\"uniqueItems\" is not supported"},
      {R"({"type":"text"})", "at \"#/type\": \"type\" must be"},
      {R"({"type":5})", "\"type\" must be"},
      {R"(5)", "a schema must be an object, true or false"},
      {R"({"items":5})", "at \"#/items\": a schema must be"},
      {R"({"properties":[]})", "\"properties\" must be an object"},
      {R"({"required":"a"})", "\"required\" must be a list of names"},
      {R"({"required":[1]})", "\"required\" must be a list of names"},
      {R"({"properties":{},"required":["a"],"additionalProperties":false})",
       "\"required\" \"a\" is not among the properties"},
      {R"({"enum":5})", "\"enum\" must be a list"},
      {R"({"enum":[]})", "no text fits the schema"},
      {R"(false)", "no text fits the schema"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "no text fits the schema"},
      {R"({"type":"integer","minimum":"5"})", "\"minimum\" must be a number"},
      {R"({"type":"integer","minimum":1e300})", "beyond what 64 bits hold"},
      {R"({"type":"number","minimum":0.5})", "\"minimum\" must be whole"},
      {R"({"type":"string","minLength":-1})", "\"minLength\" must be a number of things"},
      {R"({"type":"string","maxLength":1.5})", "\"maxLength\" must be a number of things"},
      {R"({"type":"array","maxItems":1000000})", "is beyond 100000"},
      {R"({"type":"string","format":"email"})", "\"format\" \"email\" is not supported"},
      {R"({"type":"string","pattern":"^a$","minLength":1})", "cannot be combined with minLength"},
      {R"({"type":"string","pattern":"^a$","format":"date"})", "cannot be combined with another"},
      {R"({"enum":["a"],"pattern":"^a$"})", "enum and const cannot be combined"},
      {R"({"anyOf":[]})", "\"anyOf\" must be a list of schemas, not an empty one"},
      {R"({"allOf":{}})", "\"allOf\" must be a list of schemas"},
      {R"({"$ref":"other.json"})", "\"$ref\" must point into the schema itself"},
      {R"({"$ref":"#/$defs/a"})", "\"$ref\" points to \"#/$defs/a\", which is not there"},
      {R"({"$ref":5})", "\"$ref\" must be a string"},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}})",
       "at \"#/$defs/a\": the schema refers to itself without content between"},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}})",
       "refers to itself without content"},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}}})",
       "the schema at \"#/$defs/a\" refers to itself before any text"},
      {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", "no text fits the schema"},
  };
  for (const auto& [schema, message] : cases)
    EXPECT_THAT(error_of(Json::parse(schema)), HasSubstr(message)) << schema;
}

TEST(JsonSchema, WhatMakesMuchOfLittleEnds) {
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += R"({"items":)";
  deep += "{}" + std::string(10'000, '}');
  EXPECT_THAT(error_of(Json::parse(deep)), HasSubstr("nested deeper than 64"));
  const std::string value = std::string(10'000, '[') + std::string(10'000, ']');
  EXPECT_THAT(error_of(Json::parse("{\"const\":" + value + "}")), HasSubstr("deeper than 64"));
  EXPECT_THAT(error_of(Json::parse("{\"type\":" + value + "}")), HasSubstr("\"type\" must be"));

  Json names = Json::array(), properties = Json::object(), definitions, chain;
  for (int i = 0; i < 100'000; ++i) names.push_back(fmt::format("value {}", i));
  const GrammarPtr many = Grammar::from_json_schema({{"enum", names}}).value();
  EXPECT_TRUE(accepts(many, "\"value 99999\""));
  EXPECT_FALSE(accepts(many, "\"value 100000\""));

  for (int i = 0; i < 3000; ++i) properties[fmt::format("p{}", i)] = {{"type", "null"}};
  const GrammarPtr wide =
      Grammar::from_json_schema({{"properties", properties}, {"additionalProperties", true}})
          .value();
  EXPECT_TRUE(accepts(wide, R"({"p7":null,"p2999":null,"p":1})"));
  EXPECT_FALSE(accepts(wide, R"({"p2999":null,"p7":null})"));

  // A long chain of definitions is no deep schema.
  for (int i = 0; i < 1000; ++i)
    definitions[fmt::format("d{}", i)] = {{"items", {{"$ref", fmt::format("#/$defs/d{}", i + 1)}}}};
  definitions["d1000"] = {{"type", "null"}};
  EXPECT_TRUE(accepts(
      Grammar::from_json_schema({{"$ref", "#/$defs/d0"}, {"$defs", definitions}}).value(), "[[]]"));

  // Alternatives of alternatives: 4^60 lists.
  Json parts = Json::array();
  for (int i = 0; i < 60; ++i)
    parts.push_back({{"anyOf",
                      {{{"minLength", i}},
                       {{"maxLength", 100 + i}},
                       {{"minLength", 2}},
                       {{"maxLength", 1000}}}}});
  EXPECT_THAT(error_of({{"type", "string"}, {"allOf", parts}}), HasSubstr("too "));
}

TEST(JsonSchema, AnyJsonIsAnObject) {
  const GrammarPtr any = Grammar::any_json();
  EXPECT_TRUE(accepts(any, R"({"a": [1, {"b": "한국"}], "c": null})"));
  EXPECT_FALSE(accepts(any, "[1]"));
  EXPECT_EQ(fits(any, "{\"a\": \""), Fits::kBegins);
}

}  // namespace
}  // namespace sllm
