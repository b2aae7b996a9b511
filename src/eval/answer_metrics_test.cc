#include "eval/answer_metrics.h"

#include <gtest/gtest.h>

namespace sllm::eval {
namespace {

TEST(AnswerMetrics, JsonIsComparedAsValues) {
  EXPECT_TRUE(json_equal("{\"b\": [1, 2.0], \"a\": \"x\"}\n", "{\"a\":\"x\",\"b\":[1.0,2]}"));
  EXPECT_FALSE(json_equal("{\"a\":1}", "{\"a\":2}"));
  EXPECT_FALSE(json_equal("[2,1]", "[1,2]"));
  EXPECT_FALSE(json_equal("Sure: {\"a\":1}", "{\"a\":1}"));
  EXPECT_FALSE(json_equal("", ""));
}

TEST(AnswerMetrics, EnglishOverlapIgnoresArticlesCaseAndPunctuation) {
  EXPECT_DOUBLE_EQ(token_f1("The Eiffel Tower!", "eiffel tower"), 1.0);
  EXPECT_DOUBLE_EQ(token_f1("tower", "eiffel tower"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(token_f1("", "x"), 0.0);
  EXPECT_DOUBLE_EQ(token_f1("a a b", "a b b"), 2.0 * 1 / 3);  // "a" is an article
}

TEST(AnswerMetrics, KoreanOverlapCountsCharactersSoParticlesCostLittle) {
  EXPECT_DOUBLE_EQ(token_f1("「서울특별시」", "서울특별시"), 1.0);
  EXPECT_DOUBLE_EQ(token_f1("연차는", "연차"), 0.8);
}

TEST(AnswerMetrics, EveryFactMustOccurAndAlternativesCountOnce) {
  const Json facts = Json::parse(R"(["port 8080", ["loopback", "127.0.0.1"]])");
  EXPECT_TRUE(holds_facts("It listens on 127.0.0.1,  PORT\n8080.", facts));
  EXPECT_FALSE(holds_facts("It listens on port 8080.", facts));
}

TEST(AnswerMetrics, LanguageFollowsTheScript) {
  EXPECT_EQ(guess_language("TV 켜줘"), "ko");
  EXPECT_EQ(guess_language("turn on the TV (티비)"), "en");
  EXPECT_EQ(guess_language("テレビをつけて"), "ja");
  EXPECT_EQ(guess_language("123"), "en");
}

}  // namespace
}  // namespace sllm::eval
