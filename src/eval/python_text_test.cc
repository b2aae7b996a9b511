// Values checked against CPython 3.
#include "eval/python_text.h"

#include <gtest/gtest.h>

#include "eval/python_random.h"

namespace sllm::eval {
namespace {

TEST(PythonText, CountsCharactersNotBytes) {
  EXPECT_EQ(character_count("연차 휴가"), 5);
  EXPECT_EQ(character_count(""), 0);
}

TEST(PythonText, StripsWhatPythonCallsSpace) {
  EXPECT_EQ(strip(" \t\xE3\x80\x80글\xC2\xA0\x1f\n"), "글");
  EXPECT_EQ(rstrip("a\xE2\x80\x8B"), "a\xE2\x80\x8B");  // zero-width space is not space
}

TEST(PythonText, CapitalizesOnlyTheFirstCharacter) {
  EXPECT_EQ(capitalize("he IS Nice."), "He is nice.");
  EXPECT_EQ(capitalize("é"), "É");
}

TEST(PythonLiteral, ReadsWhatReprWrites) {
  const auto value = parse_python_literal(
      R"(['it\'s', "a\"b", '\u00e9\n', 1, -2.5, True, None, ('x',), {'k': []}])");
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ(value->dump(), R"(["it's","a\"b","é\n",1,-2.5,true,null,["x"],{"k":[]}])");
}

TEST(PythonLiteral, RefusesWhatIsNotALiteral) {
  for (const char* text :
       {"", "[", "['a'", "[1 2]", "foo()", "'a", "[1,2] x", "\"\\u12", "1e", "-"})
    EXPECT_FALSE(parse_python_literal(text).ok()) << text;
  EXPECT_FALSE(parse_python_literal(std::string(100'000, '[')).ok());
}

TEST(PythonStr, PrintsAsPython) {
  using Json = nlohmann::ordered_json;
  EXPECT_EQ(python_str(Json(true)), "True");
  EXPECT_EQ(python_str(Json(1.0)), "1.0");
  EXPECT_EQ(python_str(Json::array({"it's", 1, nullptr})), "[\"it's\", 1, None]");
}

TEST(PythonRandom, DrawsWhatCPythonDraws) {
  PythonRandom random(1234);  // random.Random(1234).random() twice
  EXPECT_DOUBLE_EQ(random.random(), 0.9664535356921388);
  EXPECT_DOUBLE_EQ(random.random(), 0.4407325991753527);
}

TEST(PythonRandom, SamplesAsRandomSample) {
  PythonRandom random(1234);
  EXPECT_EQ(random.sample(10, 4), (std::vector<int64_t>{7, 1, 0, 9}));
  EXPECT_EQ(random.sample(1000, 5), (std::vector<int64_t>{932, 965, 961, 826, 596}));
}

}  // namespace
}  // namespace sllm::eval
