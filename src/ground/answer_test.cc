// Prompts and the check of replies.
#include "ground/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sllm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SearchHit passage(std::string heading, std::string text, double coverage = 0.9) {
  Chunk chunk;
  chunk.document = "guide.md";
  chunk.title = "Guide";
  chunk.heading = std::move(heading);
  chunk.text = std::move(text);
  return {std::move(chunk), 10, coverage};
}

const std::vector<SearchHit> kPassages = {
    passage("Backup", "Backups run every night at 02:30 and are kept for 14 days."),
    passage("Network", "The office network is reached through the gateway berlin-3."),
};

TEST(GroundPrompt, AsksInTheLanguageOfTheQuestion) {
  const auto english = ground_prompt("When do backups run?", kPassages);
  EXPECT_FALSE(english.korean);
  EXPECT_TRUE(english.supported);
  ASSERT_EQ(english.messages.size(), 2u);
  EXPECT_THAT(english.messages[1].content, HasSubstr("[1] Guide > Backup\nBackups run"));
  EXPECT_THAT(english.messages[1].content, HasSubstr("[2] "));
  EXPECT_THAT(english.messages[1].content, HasSubstr("Question: When do backups run?"));
  const auto korean = ground_prompt("백업은 언제 하나요?", kPassages);
  EXPECT_TRUE(korean.korean);
  EXPECT_THAT(korean.messages[0].content, HasSubstr("모르겠습니다"));
  EXPECT_THAT(korean.messages[1].content, HasSubstr("질문: 백업은"));
}

TEST(GroundPrompt, GivesUpOnWeakRetrievalAndKeepsToItsLength) {
  EXPECT_FALSE(ground_prompt("Who won?", {passage("x", "y", 0.1)}).supported);
  EXPECT_FALSE(ground_prompt("Who won?", {}).supported);
  GroundOptions options;
  options.max_characters = 300;
  const auto prompt =
      ground_prompt("q?", {passage("a", std::string(1000, 'x')), kPassages[0]}, options);
  EXPECT_LT(prompt.messages[1].content.size(), 400u);
  EXPECT_EQ(prompt.passages.size(), 1u);
}

TEST(CheckReply, KeepsCitationsThatSupportTheAnswer) {
  const auto prompt = ground_prompt("When do backups run?", kPassages);
  const auto answer = check_reply(prompt, "They run every night at 02:30 [1].");
  EXPECT_TRUE(answer.known);
  EXPECT_EQ(answer.text, "They run every night at 02:30. [1]");
  ASSERT_EQ(answer.citations.size(), 1u);
  EXPECT_EQ(answer.citations[0].number, 1);
  EXPECT_GT(answer.support, 0.8);
  EXPECT_EQ(answer.to_json()["citations"][0]["document"], "guide.md");
}

TEST(CheckReply, ReplacesWrongAndMissingCitations) {
  const auto prompt = ground_prompt("When do backups run?", kPassages);
  for (const char* reply :
       {"Every night at 02:30, kept for 14 days [2].", "Every night at 02:30, kept for 14 days."}) {
    const auto answer = check_reply(prompt, reply);
    EXPECT_TRUE(answer.known) << reply;
    ASSERT_EQ(answer.citations.size(), 1u) << reply;
    EXPECT_EQ(answer.citations[0].number, 1) << reply;
  }
  const auto missing = check_reply(prompt, "Every night at 02:30 [1][7].");
  EXPECT_TRUE(missing.known);
  EXPECT_THAT(missing.warning, HasSubstr("7 does not exist"));
  EXPECT_THAT(missing.text, Not(HasSubstr("[7]")));
}

TEST(CheckReply, WithholdsWhatNoPassageSays) {
  const auto prompt = ground_prompt("When do backups run?", kPassages);
  const auto answer = check_reply(prompt, "Weekly on Sundays at noon in Tokyo [1].");
  EXPECT_FALSE(answer.known);
  EXPECT_EQ(answer.text, refusal(false));
  EXPECT_TRUE(answer.citations.empty());
  EXPECT_THAT(answer.warning, HasSubstr("not supported"));
  EXPECT_THAT(answer.warning, HasSubstr("Tokyo"));
}

TEST(CheckReply, PassesOnThatTheModelDoesNotKnow) {
  const auto korean = ground_prompt("백업 담당자는 누구인가요?", kPassages);
  const auto answer = check_reply(korean, "모르겠습니다");
  EXPECT_FALSE(answer.known);
  EXPECT_EQ(answer.text, refusal(true));
  EXPECT_TRUE(is_refusal(refusal(true)) && is_refusal(refusal(false)) && is_refusal(""));
  EXPECT_FALSE(is_refusal("GGUF files do not contain Python code [1]."));
}

TEST(CheckReply, ChecksKoreanWhateverTheEndings) {
  const auto prompt =
      ground_prompt("연차는 며칠인가요?",
                    {passage("휴가", "입사 후 1년이 지난 직원에게는 연차 15일이 주어집니다.")});
  EXPECT_TRUE(check_reply(prompt, "연차는 15일입니다 [1].").known);
  EXPECT_FALSE(check_reply(prompt, "연차는 30일이며 급여도 오릅니다 [1].").known);
}

}  // namespace
}  // namespace sllm
