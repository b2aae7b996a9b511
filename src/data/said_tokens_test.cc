#include "data/said_tokens.h"

#include <gmock/gmock.h>

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(SaidTokens, ReadBackAsWritten) {
  const std::vector<SaidToken> tokens = {{"안", -0.25, {{"안", -0.25}, {"\xec\x95", -1.5}}},
                                         {"\xeb\x85", -2, {}}};
  const Json json = to_json(tokens);
  EXPECT_EQ(json.dump(), R"([["안",-0.25,[["안",-0.25],[[236,149],-1.5]]],[[235,133],-2.0,[]]])");
  const auto read = said_tokens_from_json(Json::parse(json.dump())).value();
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].bytes, "안");
  EXPECT_THAT(read[0].top, ElementsAre(Pair("안", -0.25), Pair("\xec\x95", -1.5)));
  EXPECT_EQ(read[1].bytes, "\xeb\x85");
  EXPECT_EQ(read[1].logprob, -2);
}

TEST(SaidTokens, RefuseWhatIsNone) {
  for (const char* text :
       {R"(7)", R"([["a"]])", R"([["a","b",[]]])", R"([["a",-1,7]])", R"([[[256],-1,[]]])",
        R"([[["a"],-1,[]]])", R"([["a",0.5,[]]])", R"([["a",-1,[["b"]]]])", R"([[null,-1,[]]])"}) {
    const auto read = said_tokens_from_json(Json::parse(text));
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_THAT(read.error().message, HasSubstr("logprobs: ")) << text;
  }
}

TEST(SaidTokens, WhatIsBehindTheTextIsNoText) {
  std::vector<SaidToken> tokens = {{"Hi", -1, {{"Hi", -1}, {"<end>", -2}}},
                                   {"<end>", -0.1, {{"<end>", -0.1}, {"!", -3}}}};
  mark_ends(tokens, "Hi");
  EXPECT_EQ(tokens[0].bytes, "Hi");
  EXPECT_THAT(tokens[0].top, ElementsAre(Pair("Hi", -1.0), Pair("", -2.0)));
  EXPECT_EQ(tokens[1].bytes, "");
  EXPECT_THAT(tokens[1].top, ElementsAre(Pair("", -0.1), Pair("!", -3.0)));
}

TEST(SaidTokens, OfAServersReply) {
  const auto tokens = said_tokens_of_choice(Json::parse(R"({"logprobs":{"content":[
      {"token":"He","logprob":-0.5,"bytes":[72,101],
       "top_logprobs":[{"token":"He","logprob":-0.5,"bytes":[72,101]},{"token":"x","logprob":-1,"bytes":null}]},
      {"token":"\ufffd","logprob":-3,"bytes":[236,149]}]}})"));
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].bytes, "He");
  EXPECT_THAT(tokens[0].top, ElementsAre(Pair("He", -0.5), Pair("x", -1.0)));
  EXPECT_EQ(tokens[1].bytes, "\xec\x95");  // not what the replacement character would be
  EXPECT_TRUE(said_tokens_of_choice(Json::parse(R"({"logprobs":null})")).empty());
  EXPECT_TRUE(said_tokens_of_choice(Json::parse(R"({"logprobs":{"content":7}})")).empty());
}

}  // namespace
}  // namespace sllm
