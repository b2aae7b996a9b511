// The engine on a tiny random model: the same answer in any company, clean ends, honest scores.
#include "infer/engine.h"
#include "infer/prefix_cache.h"
#include "infer/sampler.h"
#include "infer/state_type.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <future>
#include <numeric>

#include "base/rng.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "support/fake_engine.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

using testing::ByteTokenizer;
using testing::PlainTemplate;
using testing::TinyModel;

std::vector<TokenId> random_ids(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<TokenId> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<TokenId>(rng.below(256)));
  return ids;
}

// Fails in every forward that carries the poisoned token.
class FailingBackend : public Backend {
 public:
  static constexpr int32_t kPoison = 255;
  void embed(float* y, const Tensor& table, std::span<const int32_t> ids) override {
    for (int32_t id : ids)
      if (id == kPoison) throw std::runtime_error("poisoned");
    Backend::embed(y, table, ids);
  }
};

class EngineTest : public ::testing::Test {
 protected:
  static ModelConfig config() {
    ModelConfig c = testing::tiny_config();
    c.V = 257;  // what ByteTokenizer can spell
    return c;
  }
  std::shared_ptr<Engine> engine(EngineOptions options = {},
                                 std::shared_ptr<Backend> backend = std::make_shared<Backend>(),
                                 const ModelConfig& model = config()) {
    options.numerics = Numerics::kExact;
    return Engine::create({std::make_shared<TinyModel>(model), std::make_shared<ByteTokenizer>(),
                           std::make_shared<PlainTemplate>(), std::move(backend)},
                          options)
        .value();
  }
  static GenerateRequest request(uint64_t i, float temperature = 0.8f) {
    GenerateRequest r;
    r.prompt = random_ids(static_cast<int64_t>(1 + 11 * i), 100 + i);
    r.max_tokens = 12 + static_cast<int64_t>(i);
    r.sampling.temperature = temperature;
    r.sampling.seed = i;
    r.ignore_eos = true;
    return r;
  }
};

// Prompts of which the first hundred tokens are the same.
std::vector<GenerateRequest> alike(int64_t n = 4) {
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < n; ++i) {
    GenerateRequest r;
    r.prompt = random_ids(100, 7);
    for (const TokenId id : random_ids(5 + i, 50 + static_cast<uint64_t>(i)))
      r.prompt.push_back(id);
    r.max_tokens = 8, r.sampling.temperature = 0, r.ignore_eos = true, r.top_logprobs = 0;
    requests.push_back(std::move(r));
  }
  return requests;
}

std::vector<GenerateResult> all_at_once(Engine& engine, std::vector<GenerateRequest> requests) {
  std::vector<std::future<GenerateResult>> answers;
  for (GenerateRequest& r : requests)
    answers.push_back(std::async(
        std::launch::async, [&engine, r = std::move(r)] { return engine.generate(r).value(); }));
  std::vector<GenerateResult> results;
  for (auto& answer : answers) results.push_back(answer.get());
  return results;
}

TEST_F(EngineTest, WhatPromptsBeginWithIsReadOnceToTheSameBits) {
  EngineOptions without;
  without.prefix_cache = 0;
  const auto plain = engine(without), cached = engine();
  for (int round = 0; round < 2; ++round) {  // beside each other, and after each other
    const auto expected = all_at_once(*plain, alike()), got = all_at_once(*cached, alike());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(got[i].tokens, expected[i].tokens);
      for (size_t t = 0; t < expected[i].logprobs.size(); ++t)
        EXPECT_EQ(got[i].logprobs[t].logprob, expected[i].logprobs[t].logprob);
    }
  }
  const EngineStats stats = cached->stats(), all = plain->stats();
  EXPECT_EQ(all.cached_tokens, 0u);
  EXPECT_EQ(stats.prompt_tokens + stats.cached_tokens, all.prompt_tokens);
  // The hundred once, the rest of each prompt in the first round, its last token in the second.
  EXPECT_EQ(stats.prompt_tokens, 100 + (5 + 6 + 7 + 8) + 4u);
}

TEST_F(EngineTest, BeginningsAreSharedWithNoOtherOwner) {
  const auto e = engine();
  std::vector<GenerateRequest> both = alike(2);
  both[1].owner = 2;
  for (int round = 0; round < 2; ++round) {
    const uint64_t before = e->stats().cached_tokens;
    all_at_once(*e, both);  // beside each other: neither waits for what the other reads
    const uint64_t own = round == 0 ? 0 : both[0].prompt.size() + both[1].prompt.size() - 2;
    EXPECT_EQ(e->stats().cached_tokens - before, own);
  }
}

TEST_F(EngineTest, KeptBeginningsGiveWay) {
  EngineOptions small;
  small.context = 256, small.max_sequences = 2;
  const auto e = engine(small);
  for (uint64_t i = 0; i < 6; ++i) {
    GenerateRequest r;
    r.prompt = random_ids(250, i);
    r.max_tokens = 6, r.ignore_eos = true;
    const auto pair = all_at_once(*e, {r, r});
    EXPECT_EQ(pair[0].tokens.size(), 6u);
    EXPECT_EQ(pair[1].tokens, pair[0].tokens);
  }
}

TEST_F(EngineTest, AFailedAnswerLeavesNoBeginning) {
  const auto e = engine({}, std::make_shared<FailingBackend>());
  GenerateRequest good = alike(1).front(), bad = good;
  bad.prompt.push_back(FailingBackend::kPoison);
  const auto before = e->generate(good).value();
  EXPECT_FALSE(e->generate(bad).ok());
  EXPECT_EQ(e->generate(good).value().tokens, before.tokens);
}

TEST(PrefixCache, ServesTheLongestBeginningAndDropsTheOldest) {
  const ModelConfig config = testing::tiny_config();
  StatePool pool(config, DType::kF32, 4096);
  const auto read = [&](int64_t n) {
    SequenceState state(pool);
    EXPECT_TRUE(state.reserve(n).ok());
    state.advance(n);
    return state;
  };
  const auto a = random_ids(200, 1);
  auto b = a;
  b[100] ^= 1;
  const auto length = [](const std::optional<SequenceState>& s) { return s ? s->length() : 0; };
  {
    PrefixCache cache(512, false);
    cache.keep({}, a, read(200));
    EXPECT_EQ(length(cache.find({}, b)), 100);
    EXPECT_EQ(length(cache.find({}, a)), 199);  // the last token's logits are wanted
    EXPECT_EQ(length(cache.find({.stretched = true}, a)), 0);
    EXPECT_EQ(length(cache.find({}, random_ids(200, 2))), 0);
    cache.keep({}, b, read(200));
    EXPECT_EQ(length(cache.find({}, a)), 199);  // a was used last: b goes
    cache.keep({}, random_ids(100, 3), read(100));
    EXPECT_EQ(length(cache.find({}, a)), 199);
    EXPECT_EQ(length(cache.find({}, b)), 100);
    // What goes on takes the place of its beginning.
    auto longer = a;
    longer.push_back(1);
    cache.keep({}, longer, read(201));
    EXPECT_TRUE(cache.drop_oldest());
    EXPECT_TRUE(cache.drop_oldest());
    EXPECT_FALSE(cache.drop_oldest());
  }
  {
    PrefixCache whole(1024, true);  // recurrent layers: only behind all of a kept text
    whole.keep({}, std::span(a).first(120), read(120));
    whole.keep({}, b, read(200));
    EXPECT_EQ(length(whole.find({}, a)), 120);
    EXPECT_EQ(length(whole.find({}, std::span(a).first(110))), 0);
  }
  EXPECT_EQ(pool.free_tokens(), 4096);
}

TEST_F(EngineTest, AnswerIsTheSameAloneInCompanyAndInChunks) {
  std::vector<std::vector<TokenId>> alone;
  {
    EngineOptions one;
    one.max_sequences = 1;
    const auto e = engine(one);
    for (uint64_t i = 0; i < 8; ++i) alone.push_back(e->generate(request(i)).value().tokens);
  }
  EngineOptions many;
  many.prefill_chunk = 5;
  const auto e = engine(many);
  std::vector<std::future<Result<GenerateResult>>> answers;
  for (uint64_t i = 0; i < 8; ++i)
    answers.push_back(std::async(std::launch::async, [&, i] { return e->generate(request(i)); }));
  for (uint64_t i = 0; i < 8; ++i) {
    const auto result = answers[i].get().value();
    EXPECT_EQ(result.tokens, alone[i]);
    EXPECT_EQ(result.reason, FinishReason::kLength);
  }
}

TEST_F(EngineTest, KeysAndValuesOfEightBitsAreTheSameInCompanyAndInChunks) {
  ModelConfig wide = config();
  wide.H = 2, wide.Hk = 1, wide.Dh = 32;
  EngineOptions one, many;
  one.max_sequences = 1, many.prefill_chunk = 5;
  one.kv = many.kv = DType::kQ8_0;
  const auto alone = engine(one, std::make_shared<Backend>(), wide),
             busy = engine(many, std::make_shared<Backend>(), wide);
  std::vector<std::future<Result<GenerateResult>>> answers;
  for (uint64_t i = 0; i < 4; ++i)
    answers.push_back(
        std::async(std::launch::async, [&, i] { return busy->generate(request(i)); }));
  for (uint64_t i = 0; i < 4; ++i)
    EXPECT_EQ(answers[i].get().value().tokens, alone->generate(request(i)).value().tokens);
  const auto refused =
      Engine::create({std::make_shared<TinyModel>(config()), nullptr, nullptr}, one);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("keys and values cannot be stored as Q8_0"),
            std::string::npos)
      << refused.error().message;
}

TEST_F(EngineTest, SeedDecidesTheAnswer) {
  const auto e = engine();
  GenerateRequest r = request(3, 1.5f);
  const auto first = e->generate(r).value().tokens;
  EXPECT_EQ(e->generate(r).value().tokens, first);
  r.sampling.seed = 99;
  EXPECT_NE(e->generate(r).value().tokens, first);
}

TEST_F(EngineTest, StopStringEndsTheAnswerAndIsNotShown) {
  const auto e = engine();
  GenerateRequest r = request(2, 0);
  r.max_tokens = 40;
  const std::string full = e->generate(r).value().text;
  ASSERT_GT(full.size(), 12u);
  r.stop = {full.substr(6, 3)};
  const auto stopped = e->generate(r).value();
  EXPECT_EQ(stopped.text, full.substr(0, full.find(r.stop[0])));
  EXPECT_EQ(stopped.reason, FinishReason::kStop);
}

TEST_F(EngineTest, CancelFreesTheSlotWhileAnsweringAndWhileWaiting) {
  EngineOptions options;
  options.max_sequences = 1;
  const auto e = engine(options);
  std::promise<void> started;
  std::promise<FinishReason> running_end, waiting_end;
  GenerateRequest endless = request(1);
  endless.max_tokens = 500;
  const auto running = e->submit(endless, [&, told = false](const GenerateEvent& event) mutable {
    if (!std::exchange(told, true)) started.set_value();
    if (event.done) running_end.set_value(event.reason);
  });
  started.get_future().wait();
  const auto waiting = e->submit(endless, [&](const GenerateEvent& event) {
    if (event.done) waiting_end.set_value(event.reason);
  });
  e->cancel(waiting.value());
  EXPECT_EQ(waiting_end.get_future().get(), FinishReason::kCancelled);
  e->cancel(running.value());
  EXPECT_EQ(running_end.get_future().get(), FinishReason::kCancelled);
  EXPECT_EQ(e->generate(request(1)).value().reason, FinishReason::kLength);
  EXPECT_EQ(e->stats().cancelled, 2u);
}

TEST_F(EngineTest, StopRequestEndsAnAnswerThatIsWaitedFor) {
  const auto e = engine();
  GenerateRequest endless = request(0);
  endless.max_tokens = 100'000'000;  // the context's end comes first
  endless.ignore_eos = true;
  request_stop(15);
  const auto result = e->generate(endless);
  clear_stop();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kTerminated);
}

TEST_F(EngineTest, FullQueueRefuses) {
  EngineOptions options;
  options.max_sequences = 1;
  options.queue_limit = 0;
  const auto e = engine(options);
  std::promise<void> seen;
  const auto first = e->submit(
      request(1), [until = seen.get_future().share()](const GenerateEvent&) { until.wait(); });
  EXPECT_TRUE(first.ok());  // it takes the free slot
  const auto refused = e->submit(request(1), [](const GenerateEvent&) {});
  seen.set_value();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kLocked);
}

TEST_F(EngineTest, RefusesPromptsThatCannotBe) {
  const auto e = engine();
  GenerateRequest r;
  EXPECT_EQ(e->generate(r).error().code, ErrorCode::kUsage);
  r.prompt = {0, 257};
  EXPECT_EQ(e->generate(r).error().code, ErrorCode::kUsage);
  r.prompt.assign(513, 1);
  const Error long_prompt = e->generate(r).error();
  EXPECT_NE(long_prompt.message.find("513"), std::string::npos);
  EXPECT_NE(long_prompt.message.find("512"), std::string::npos);
  r.prompt = {1};
  r.adapter = "none";
  EXPECT_EQ(e->generate(r).error().code, ErrorCode::kUsage);
}

TEST_F(EngineTest, AnswerEndsWhereTheContextEnds) {
  const auto e = engine();
  GenerateRequest r = request(1);
  r.prompt = random_ids(500, 1);
  r.max_tokens = 1000;
  const auto result = e->generate(r).value();
  EXPECT_EQ(result.tokens.size(), 12u);
  EXPECT_EQ(result.reason, FinishReason::kLength);
}

TEST_F(EngineTest, FailureOfOneRequestLeavesTheOthersAlone) {
  const auto e = engine({}, std::make_shared<FailingBackend>());
  const auto expected = engine()->generate(request(4, 0)).value().tokens;
  const auto clean = [&] { return e->generate(request(4, 0)); };
  auto first = std::async(std::launch::async, clean);
  GenerateRequest poisoned = request(5);
  poisoned.prompt.push_back(FailingBackend::kPoison);
  const auto failed = e->generate(poisoned);
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("poisoned"), std::string::npos);
  const bool unpoisoned = !std::count(expected.begin(), expected.end(), FailingBackend::kPoison);
  if (unpoisoned) {
    EXPECT_EQ(first.get().value().tokens, expected);
    EXPECT_EQ(clean().value().tokens, expected);
  }
}

TEST_F(EngineTest, LogprobsAreTheModelsOwn) {
  const auto e = engine();
  GenerateRequest r = request(2);
  r.top_logprobs = 3;
  r.echo_logprobs = true;
  r.sampling.logit_bias[7] = 100;  // bends the choice, not what is reported
  const auto result = e->generate(r).value();
  ASSERT_EQ(result.logprobs.size(), result.tokens.size());
  ASSERT_EQ(result.prompt_logprobs.size(), r.prompt.size() - 1);
  std::vector<TokenId> ids = r.prompt;
  ids.insert(ids.end(), result.tokens.begin(), result.tokens.end());
  const auto direct = e->token_logprobs(ids, 1).value();
  for (size_t i = 0; i < direct.size(); ++i) {
    const TokenLogprob& got = i < result.prompt_logprobs.size()
                                  ? result.prompt_logprobs[i]
                                  : result.logprobs[i - result.prompt_logprobs.size()];
    EXPECT_EQ(got.id, ids[i + 1]);
    EXPECT_NEAR(got.logprob, direct[i], 1e-5f);
    ASSERT_EQ(got.top.size(), 3u);
    EXPECT_GE(got.top[0].second, got.top[1].second);
  }
}

TEST_F(EngineTest, NoTokensAskedStillEchoes) {
  GenerateRequest r = request(2);
  r.max_tokens = 0;
  r.top_logprobs = 0;
  r.echo_logprobs = true;
  const auto result = engine()->generate(r).value();
  EXPECT_TRUE(result.tokens.empty());
  EXPECT_EQ(result.prompt_logprobs.size(), r.prompt.size() - 1);
}

TEST_F(EngineTest, ScoresEqualDirectLogitsWhateverIsShared) {
  const auto e = engine();
  std::vector<ScoreRequest> requests;
  for (uint64_t c = 0; c < 4; ++c)
    for (uint64_t k = 0; k < 3; ++k)
      requests.push_back({random_ids(static_cast<int64_t>(60 + 3 * c), c),
                          random_ids(static_cast<int64_t>(1 + 2 * k), 50 + k), ""});
  const auto together = e->score(requests).value();
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = e->score({requests[i]}).value()[0];
    EXPECT_EQ(together[i].token_logprobs, alone.token_logprobs);
    EXPECT_EQ(together[i].logprob, alone.logprob);
    EXPECT_EQ(together[i].greedy, alone.greedy);
    std::vector<TokenId> ids = requests[i].context;
    double sum = 0;
    bool greedy = true;
    for (TokenId id : requests[i].continuation) {
      const auto logits = e->logits(ids).value();
      const float most = *std::max_element(logits.begin(), logits.end());
      double total = 0;
      for (float x : logits) total += std::exp(static_cast<double>(x - most));
      sum += logits[static_cast<size_t>(id)] - most - std::log(total);
      greedy &= logits[static_cast<size_t>(id)] == most;
      ids.push_back(id);
    }
    EXPECT_NEAR(together[i].logprob, sum, 1e-5);
    EXPECT_EQ(together[i].greedy, greedy);
  }
}

TEST_F(EngineTest, LongContextIsCutOnItsLeft) {
  const auto e = engine();
  const auto ids = random_ids(700, 1);
  const std::vector<TokenId> continuation = {1, 2, 3};
  const auto cut = e->score({{ids, continuation, ""}}).value()[0];
  // 512 + 1 tokens stay, the last of which is only predicted.
  const auto kept =
      e->score({{std::vector<TokenId>(ids.end() - 510, ids.end()), continuation, ""}}).value()[0];
  EXPECT_EQ(cut.token_logprobs, kept.token_logprobs);
}

TEST_F(EngineTest, LogitsAreTheSameBitsInABatchAndInChunks) {
  std::vector<std::vector<TokenId>> prompts;
  for (uint64_t i = 0; i < 8; ++i)
    prompts.push_back(random_ids(static_cast<int64_t>(1 + 9 * i), i));
  EngineOptions small;
  small.prefill_chunk = 7;
  const auto whole = engine(), chunked = engine(small);
  const auto batch = whole->logits(prompts).value();
  EXPECT_EQ(chunked->logits(prompts).value(), batch);
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(whole->logits(prompts[i]).value(), batch[i]);
}

TEST_F(EngineTest, EmbeddingHasUnitLength) {
  const auto x = engine()->embed(random_ids(20, 1)).value();
  EXPECT_EQ(x.size(), 64u);
  EXPECT_NEAR(std::inner_product(x.begin(), x.end(), x.begin(), 0.0), 1, 1e-5);
}

TEST(EncoderEngine, EmbedsAsItsPoolingSaysAndRefusesToGenerate) {
  const fs::path folder = fs::path(SLLM_SOURCE_DIR) / "tests/golden/architectures/gemma3_embedding";
  const auto golden = read_safetensors(folder / "golden.safetensors").value();
  const Tensor ids = golden.tensors.at("ids"), pooled = golden.tensors.at("pooled");
  EngineOptions options;
  options.numerics = Numerics::kExact;
  const auto engine = Engine::open(folder, options).value();
  const std::vector<TokenId> text(ids.data<int32_t>(), ids.data<int32_t>() + ids.size());
  const auto vector = engine->embed(text).value();
  ASSERT_EQ(std::ssize(vector), pooled.size());
  for (size_t i = 0; i < vector.size(); ++i)  // of unit length: 1e-5 of a range of about 1
    EXPECT_NEAR(vector[i], pooled.data<float>()[i], 1e-5);
  GenerateRequest request;
  request.prompt = text;
  const auto refused = engine->generate(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_NE(refused.error().message.find("encoder"), std::string::npos);
  EXPECT_EQ(engine->logits(text).error().code, ErrorCode::kUsage);
}

// phi3_long turns texts of more than 24 tokens by other factors, from their first token on. An
// answer that grows past that border goes on as if it had been read so; scores know it beforehand.
TEST(LongRope, TextsAreReadAgainWhereTheyGrowPastTheBorder) {
  const auto source =
      open_model(fs::path(SLLM_SOURCE_DIR) / "tests/golden/architectures/phi3_long").value();
  EngineOptions options;
  options.numerics = Numerics::kExact;
  options.prefill_chunk = 6;
  const auto e = Engine::create({source, std::make_shared<ByteTokenizer>(),
                                 std::make_shared<PlainTemplate>(), std::make_shared<Backend>()},
                                options)
                     .value();
  GenerateRequest r;
  r.max_tokens = 16, r.sampling.temperature = 0, r.ignore_eos = true;
  for (const TokenId first : {3, 11, 19}) {
    r.prompt.resize(20);
    std::iota(r.prompt.begin(), r.prompt.end(), first);
    const auto answer = e->generate(r).value().tokens;
    std::vector<TokenId> text = r.prompt;
    for (const TokenId token : answer) {
      EXPECT_EQ(token, argmax(e->logits(text).value())) << text.size();
      text.push_back(token);
    }
    // One text ends at the border, one beyond it, one context is shared.
    std::vector<ScoreRequest> requests;
    for (const size_t end : {22, 25, 26, 30})
      requests.push_back({{text.begin(), text.begin() + 20},
                          {text.begin() + 20, text.begin() + static_cast<int64_t>(end)}});
    const auto scores = e->score(requests).value();
    for (size_t i = 0; i < requests.size(); ++i) {
      std::vector<TokenId> ids = requests[i].context;
      ids.insert(ids.end(), requests[i].continuation.begin(), requests[i].continuation.end());
      EXPECT_EQ(scores[i].token_logprobs, e->token_logprobs(ids, 20).value()) << i;
    }
  }
  EXPECT_EQ(e->stats().generated_tokens, 3u * 15u);  // what is read again was not generated
}

// Every text would begin with a token that the embedding has no row for.
TEST(EngineOpen, RefusesATokenizerThatAddsWhatTheEmbeddingLacks) {
  testing::TemporaryFolder folder;
  const fs::path model = folder / "model";
  fs::copy(fs::path(SLLM_SOURCE_DIR) / "tests/golden/architectures/llama", model);
  auto tokenizer = parse_json(read_file(model / "tokenizer.json").value(), "").value();
  tokenizer["added_tokens"] = {{{"id", 48}, {"content", "<x>"}, {"special", true}}};
  std::ofstream(model / "tokenizer.json") << tokenizer;
  EXPECT_TRUE(Engine::open(model).ok());  // a token that nothing adds may lie behind the rows
  tokenizer["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<x>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"<x>", {{"id", "<x>"}, {"ids", {48}}, {"tokens", {"<x>"}}}}}}};
  std::ofstream(model / "tokenizer.json") << tokenizer;
  const auto refused = Engine::open(model);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("adds <x> (id 48) to every text"), std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find(model.string()), std::string::npos);
}

TEST_F(EngineTest, FastLosesNothingOfAModelInF32) {
  const TinyModel model(config());
  EXPECT_EQ(state_type(Numerics::kFast, model), DType::kF32);
  EXPECT_EQ(state_type(Numerics::kFast, TinyModel(config(), DType::kBF16)), DType::kF16);
  EXPECT_EQ(state_type(Numerics::kBf16, model), DType::kBF16);
  EXPECT_EQ(for_weight(Numerics::kFast, DType::kF32), Numerics::kExact);
  EXPECT_EQ(for_weight(Numerics::kFast, DType::kF16), Numerics::kExact);
  EXPECT_EQ(for_weight(Numerics::kFast, DType::kBF16), Numerics::kBf16);
  EXPECT_EQ(for_weight(Numerics::kFast, DType::kQ4_K), Numerics::kFast);
}

TEST_F(EngineTest, GoingAwayEndsWhatIsRunning) {
  std::promise<FinishReason> end;
  {
    const auto e = engine();
    GenerateRequest r = request(1);
    r.max_tokens = 500;
    e->submit(r, [&](const GenerateEvent& event) {
       if (event.done) end.set_value(event.reason);
     }).value();
  }
  EXPECT_EQ(end.get_future().get(), FinishReason::kCancelled);
}

}  // namespace
}  // namespace sllm
