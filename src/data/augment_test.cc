#include "data/augment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace sllm {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kGrammar = R"(
system = "S"
share = {en = 2, ko = 1}
[slot.room]
kitchen = {en = ["kitchen", "galley"], ko = ["부엌"]}
office = {en = ["office"], ko = ["서재"]}
[slot.level]
numbers = {from = 10, to = 100, step = 10}
[[rule]]
answer = '{"place": "{room}", "value": {level}}'
en = ["set the {room} (light|lamp) to {level}"]
ko = ["{room}{을/를} {level}{으로/로} 맞춰줘"]
)";

TEST(PairGrammar, ExpandsDifferentPairsInTheSharesAskedFor) {
  const auto grammar = PairGrammar::parse(kGrammar, "g").value();
  const auto pairs = grammar.expand({30, 7}).value();
  ASSERT_EQ(pairs.size(), 30u);
  std::set<std::string> commands;
  int korean = 0;
  for (const auto& p : pairs) commands.insert(p.command), korean += p.language == "ko";
  EXPECT_EQ(commands.size(), 30u);
  EXPECT_EQ(korean, 10);
}

TEST(PairGrammar, AnswersHoldTheCanonicalValueOfWhatWasSaid) {
  const auto pairs = PairGrammar::parse(kGrammar, "g").value().expand({30, 7}).value();
  for (const auto& p : pairs) {
    const bool kitchen = p.command.find("kitchen") != std::string::npos ||
                         p.command.find("galley") != std::string::npos ||
                         p.command.find("부엌") != std::string::npos;
    EXPECT_THAT(p.answer, HasSubstr(kitchen ? "\"kitchen\"" : "\"office\"")) << p.command;
  }
}

TEST(PairGrammar, ParticleFitsTheSyllableBeforeIt) {
  const auto pairs = PairGrammar::parse(kGrammar, "g").value().expand({30, 7}).value();
  for (const auto& p : pairs) {
    if (p.language != "ko") continue;
    EXPECT_TRUE(p.command.find("부엌을") != std::string::npos ||
                p.command.find("서재를") != std::string::npos)
        << p.command;
    EXPECT_EQ(p.command.find("10로"), std::string::npos) << p.command;  // 십으로
  }
}

TEST(PairGrammar, TheSeedDecidesThePairs) {
  const auto grammar = PairGrammar::parse(kGrammar, "g").value();
  EXPECT_EQ(to_jsonl(grammar.expand({20, 1}).value()), to_jsonl(grammar.expand({20, 1}).value()));
  EXPECT_NE(to_jsonl(grammar.expand({20, 1}).value()), to_jsonl(grammar.expand({20, 2}).value()));
}

TEST(PairGrammar, SaysWhatIsWrongAndWhere) {
  const auto message = [](std::string_view text) {
    return PairGrammar::parse(text, "g.toml").error().message;
  };
  EXPECT_THAT(message("x = 1"), HasSubstr("unknown key \"x\""));
  EXPECT_THAT(message("[[rule]]\nanswer='a'\nen=['{nothing}']"),
              HasSubstr("slot \"nothing\" is not defined"));
  EXPECT_THAT(message("[[rule]]\nanswer='a'\nen=['(a|b']"), HasSubstr("'(' is not closed"));
  EXPECT_THAT(message("[[rule]]\nen=['a']"), HasSubstr("line 1"));
  EXPECT_THAT(message("[slot.s]\na = {en = ['b']}\n[[rule]]\nanswer='{s}'\nen=['hm']"),
              HasSubstr("does not say"));
  EXPECT_THAT(PairGrammar::parse("[[rule]]\nanswer='a'\nen=['one']", "g")
                  .value()
                  .expand({50, 1})
                  .error()
                  .message,
              HasSubstr("different commands"));
}

}  // namespace
}  // namespace sllm
