// Answers that keep to a grammar, from a model that would say anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <nlohmann/json.hpp>

#include "grammar/grammar.h"
#include "infer/engine.h"
#include "support/fake_engine.h"
#include "support/tiny_model.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

std::shared_ptr<Engine> engine(int64_t lookup = 8, std::shared_ptr<Backend> backend = nullptr) {
  ModelConfig config = testing::tiny_config();
  config.V = 257;  // what ByteTokenizer can spell
  EngineOptions options;
  options.lookup = lookup, options.numerics = Numerics::kExact, options.guess_always = true;
  return Engine::create({std::make_shared<testing::TinyModel>(config),
                         std::make_shared<testing::ByteTokenizer>(),
                         std::make_shared<testing::PlainTemplate>(), std::move(backend)},
                        options)
      .value();
}

GenerateRequest request(std::shared_ptr<const Grammar> grammar, uint64_t seed) {
  GenerateRequest r;
  r.prompt = {'a', 'b', 'c'};
  r.max_tokens = 400;
  r.sampling.seed = seed;
  r.grammar = std::move(grammar);
  return r;
}

TEST(Constrained, EveryAnswerIsWhatTheSchemaAccepts) {
  const auto e = engine();
  const auto grammar = Grammar::from_json_schema(Json::parse(R"({
      "type": "object", "additionalProperties": false, "required": ["room", "on", "level"],
      "properties": {"room": {"enum": ["kitchen", "거실"]}, "on": {"type": "boolean"},
                     "level": {"type": "integer", "minimum": 0, "maximum": 100}}})"))
                           .value();
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const auto answer = e->generate(request(grammar, seed)).value();
    const Json got = Json::parse(answer.text, nullptr, false);
    ASSERT_TRUE(got.is_object()) << answer.text;
    EXPECT_EQ(answer.reason, FinishReason::kStop);
    EXPECT_EQ(got.size(), 3u);
    EXPECT_TRUE(got["room"] == "kitchen" || got["room"] == "거실") << answer.text;
    EXPECT_TRUE(got["on"].is_boolean());
    EXPECT_TRUE(got["level"].is_number_integer() && got["level"] >= 0 && got["level"] <= 100);
  }
}

TEST(Constrained, EndsWhereNothingMoreCanFollow) {
  const auto e = engine();
  const auto grammar = Grammar::from_gbnf("root ::= \"yes\" | \"no!\"").value();
  GenerateRequest r = request(grammar, 1);
  r.ignore_eos = true;
  const auto answer = e->generate(r).value();
  EXPECT_TRUE(answer.text == "yes" || answer.text == "no!") << answer.text;
  EXPECT_EQ(answer.tokens.size(), 3u);
  EXPECT_EQ(answer.reason, FinishReason::kStop);
}

TEST(Constrained, SaysTheSameWithAndWithoutGuesses) {
  const auto plain = engine(0), guessing = engine(8);
  const auto grammar = Grammar::from_gbnf("root ::= (\"left \" | \"right \")+").value();
  for (uint64_t seed = 0; seed < 4; ++seed) {
    GenerateRequest r = request(grammar, seed);
    r.max_tokens = 60, r.ignore_eos = true, r.sampling.temperature = seed == 0 ? 0.0f : 0.5f;
    const auto expected = plain->generate(r).value(), got = guessing->generate(r).value();
    EXPECT_EQ(got.text, expected.text);
    EXPECT_EQ(got.text.find_first_not_of("lefright "), std::string::npos) << got.text;
  }
  EXPECT_GT(guessing->stats().accepted_tokens, 0u);
}

TEST(Constrained, AGrammarThatNoTokenCanSpellEndsThatRequestAlone) {
  const auto e = engine();
  GenerateRequest r = request(Grammar::from_gbnf("root ::= \"x\"").value(), 0);
  for (const TokenId id : {'x'}) r.sampling.logit_bias[id] = -INFINITY;
  const auto failed = e->generate(r);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, ::testing::HasSubstr("grammar allows"));
  EXPECT_TRUE(e->generate(request(nullptr, 0)).ok());
}

// Also one special token more, "[CALL]".
class MarkTokenizer final : public testing::ByteTokenizer {
 public:
  static constexpr TokenId kMark = 257;
  std::string_view token_bytes(TokenId id) const override {
    return id == kMark ? "[CALL]" : ByteTokenizer::token_bytes(id);
  }
  bool is_special(TokenId id) const override { return id >= 256; }
  TokenId id_of(std::string_view text) const override {
    return text == "[CALL]" ? kMark : ByteTokenizer::id_of(text);
  }
  int64_t vocab_size() const override { return 258; }
};

TEST(Constrained, SpecialTokensAreTextWhereTheGrammarShowsThem) {
  ModelConfig config = testing::tiny_config();
  config.V = 258;
  EngineOptions options;
  options.numerics = Numerics::kExact;
  const auto e = Engine::create({std::make_shared<testing::TinyModel>(config),
                                 std::make_shared<MarkTokenizer>(),
                                 std::make_shared<testing::PlainTemplate>(), nullptr},
                                options)
                     .value();
  const auto plain = Grammar::from_gbnf("root ::= \"[CALL]a\"").value();
  const auto answer = [&](std::shared_ptr<const Grammar> grammar) {
    GenerateRequest r = request(std::move(grammar), 1);
    r.sampling.logit_bias[MarkTokenizer::kMark] = 100;
    return e->generate(r).value();
  };
  const auto spelled = answer(plain);  // in bytes, for the token is no text
  EXPECT_EQ(spelled.text, "[CALL]a");
  EXPECT_EQ(spelled.tokens.size(), 7u);
  const auto shown = answer(std::make_shared<const Grammar>(
      plain->program(), std::vector<std::string>{"[CALL]", "[OTHER]"}));
  EXPECT_EQ(shown.text, "[CALL]a");
  EXPECT_EQ(shown.tokens, (std::vector<TokenId>{MarkTokenizer::kMark, 'a'}));
  const auto hidden =
      answer(std::make_shared<const Grammar>(plain->program(), std::vector<std::string>{}));
  EXPECT_EQ(hidden.text, "a");
  EXPECT_EQ(hidden.tokens, shown.tokens);
}

// Runs something once, before the step that comes after so many others.
class CallingBackend : public Backend {
 public:
  void before_step(int step, std::function<void()> call) { step_ = step, call_ = std::move(call); }
  void embed(float* y, const Tensor& table, std::span<const int32_t> ids) override {
    if (steps_++ == step_) call_();
    Backend::embed(y, table, ids);
  }

 private:
  int steps_ = 0, step_ = -1;
  std::function<void()> call_;
};

// Cancelled while the model computed: the vocabulary is not walked through for it any more.
TEST(Constrained, AWalkEndsWithTheRequestThatItIsFor) {
  const auto backend = std::make_shared<CallingBackend>();
  const auto e = engine(0, backend);
  std::promise<Engine::RequestId> submitted;
  auto id = submitted.get_future();
  backend->before_step(2, [&] { e->cancel(id.get()); });
  std::promise<FinishReason> end;
  size_t tokens = 0;
  // Every letter leads to a state of its own.
  GenerateRequest r =
      request(Grammar::from_gbnf("root ::= [a-z] [b-z] [c-z] [d-z] [e-z]").value(), 1);
  submitted.set_value(e->submit(r, [&](const GenerateEvent& event) {
                         tokens += event.tokens.size();
                         if (event.done) end.set_value(event.reason);
                       }).value());
  EXPECT_EQ(end.get_future().get(), FinishReason::kCancelled);
  EXPECT_EQ(tokens, 2u);
  EXPECT_TRUE(e->generate(r).ok());
  EXPECT_EQ(e->stats().cancelled, 1u);
}

TEST(Constrained, ManyAtOnceAnswerAsAlone) {
  const std::string text = "root ::= (\"left \" | \"right \" | [0-9]{1,3} \" \")+";
  const auto together = engine(0);
  std::vector<GenerateRequest> requests;
  std::vector<std::future<GenerateResult>> answers;
  for (uint64_t seed = 0; seed < 12; ++seed) {  // more than there are slots
    GenerateRequest r = request(seed % 3 ? Grammar::from_gbnf(text).value() : nullptr, seed);
    r.max_tokens = 30, r.ignore_eos = true;
    requests.push_back(r);
    answers.push_back(
        std::async(std::launch::async, [&, r] { return together->generate(r).value(); }));
  }
  for (size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(answers[i].get().text, engine(0)->generate(requests[i]).value().text) << i;
}

}  // namespace
}  // namespace sllm
