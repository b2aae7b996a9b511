#include "eval/answer_rules.h"

#include <gmock/gmock.h>

namespace sllm::eval {
namespace {

using ::testing::HasSubstr;

bool holds(const std::string& rule, const std::string& answer, const std::string& reference = "") {
  return find_answer_rule(rule).value().holds(answer, reference);
}

TEST(AnswerRules, SayWhatAnAnswerMustBe) {
  EXPECT_TRUE(holds("json", " {\"a\": [1]}\n"));
  EXPECT_FALSE(holds("json", "{\"a\": [1]} done"));
  EXPECT_TRUE(holds("exact", "yes\n", "yes"));
  EXPECT_FALSE(holds("exact", "Yes", "yes"));
  EXPECT_TRUE(holds("json-equal", "{\"b\":1.0,\"a\":2}", "{\"a\":2,\"b\":1}"));
  EXPECT_TRUE(holds("contains", "It is 15 days.", " 15 days\n"));
  EXPECT_FALSE(holds("contains", "It is 14 days.", "15 days"));
  EXPECT_TRUE(holds("contains:15: days", "15: days"));
  EXPECT_FALSE(holds("excludes:sorry", "I am sorry"));
  EXPECT_TRUE(holds("matches:^\\d+$", "15"));
  EXPECT_FALSE(holds("matches:^\\d+$", "15 days"));
  EXPECT_TRUE(holds("longest:2", "십오"));  // characters, not bytes
  EXPECT_FALSE(holds("longest:1", "십오"));
  EXPECT_FALSE(holds("shortest:3", "십오"));
  EXPECT_TRUE(holds("f1:0.6", "fifteen days of leave", "fifteen days"));
  EXPECT_FALSE(holds("f1:0.7", "fifteen days of leave", "fifteen days"));
}

TEST(AnswerRules, KnowWhetherTheyNeedAReference) {
  EXPECT_TRUE(find_answer_rule("contains")->needs_reference);
  EXPECT_FALSE(find_answer_rule("contains:x")->needs_reference);
  EXPECT_EQ(find_answer_rule("contains:x")->name, "contains:x");
}

TEST(AnswerRules, ThatAreNotThereGetASentence) {
  for (const char* rule : {"jsno", "json:x", "longest", "longest:many", "f1:2", "matches:("}) {
    const Error error = find_answer_rule(rule).error();
    EXPECT_EQ(error.code, ErrorCode::kUsage) << rule;
    EXPECT_THAT(error.message, HasSubstr(rule));
  }
  EXPECT_THAT(find_answer_rule("jsno").error().hint,
              HasSubstr("json, exact, json-equal, f1:SHARE"));
}

}  // namespace
}  // namespace sllm::eval
