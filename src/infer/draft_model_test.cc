// A draft model beside the engine's: answers keep their bits, right guesses are used, and what ends
// in the midst of them leaves nothing wrong behind.
#include "infer/draft_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "grammar/grammar.h"
#include "infer/engine.h"
#include "support/fake_engine.h"
#include "support/guessed_answers.h"
#include "support/tiny_model.h"

namespace sllm {
namespace {

using testing::at_once;
using testing::ByteTokenizer;
using testing::expect_same_bits;
using ::testing::HasSubstr;
using testing::PlainTemplate;
using testing::repetitive_requests;
using testing::settled;
using ::testing::TestWithParam;
using testing::TinyModel;

ModelConfig config(int64_t layers) {
  ModelConfig c = testing::tiny_config();
  c.V = 257;  // what ByteTokenizer can spell
  c.L = layers;
  return c;
}

constexpr const char* kNorm = "model.norm.weight";

// Two layers that say something and others that add nothing: the first two alone say the same in a
// part of the time.
std::shared_ptr<TinyModel> slow_model(DType type = DType::kF32) {
  constexpr int64_t kLayers = 8;
  auto model = std::make_shared<TinyModel>(config(kLayers), type);
  for (int64_t i = 2; i < kLayers; ++i)
    for (const char* name : {"self_attn.o_proj", "mlp.down_proj"}) {
      const std::string weight = fmt::format("model.layers.{}.{}.weight", i, name);
      const Tensor like = model->tensor(weight).value();
      Tensor zeros = Tensor::empty(like.dtype(), like.shape());
      std::memset(zeros.raw(), 0, static_cast<size_t>(bytes_of(like.dtype(), like.size())));
      model->replace(weight, zeros);
    }
  return model;
}
std::shared_ptr<TinyModel> same_model(const TinyModel& slow, DType type = DType::kF32) {
  auto model = std::make_shared<TinyModel>(config(2), type);
  model->replace(kNorm, slow.tensor(kNorm).value());
  return model;
}
// Says the same only now and then.
std::shared_ptr<TinyModel> similar_model(const TinyModel& slow, DType type = DType::kF32) {
  auto model = same_model(slow, type);
  const std::string weight = "model.layers.1.mlp.down_proj.weight";
  model->replace(weight, TinyModel(config(2), type, 2).tensor(weight).value());
  return model;
}

// Looks at what is read of each model, by its embedding.
class WatchingBackend : public Backend {
 public:
  using Look = std::function<void(std::span<const int32_t> ids)>;
  void watch(const TinyModel& model, Look look) {
    looks_[model.tensor("model.embed_tokens.weight").value().raw()] = std::move(look);
  }
  void embed(float* y, const Tensor& table, std::span<const int32_t> ids) override {
    if (const auto look = looks_.find(table.raw()); look != looks_.end()) look->second(ids);
    Backend::embed(y, table, ids);
  }

 private:
  std::map<const void*, Look> looks_;
};

std::shared_ptr<Engine> engine(const std::shared_ptr<TinyModel>& model,
                               const std::shared_ptr<TinyModel>& draft, EngineOptions options,
                               std::shared_ptr<Backend> backend = nullptr) {
  const auto tokenizer = std::make_shared<ByteTokenizer>();
  EngineParts parts{model, tokenizer, std::make_shared<PlainTemplate>(), std::move(backend)};
  if (draft) parts.draft = draft, parts.draft_tokenizer = tokenizer;
  return Engine::create(std::move(parts), std::move(options)).value();
}
EngineOptions exact(int64_t lookup = 0) {
  EngineOptions options;
  options.numerics = Numerics::kExact, options.lookup = lookup;
  options.threads = 1, options.guess_always = true;
  return options;
}

GenerateRequest greedy(int64_t n, int64_t max_tokens = 40) {
  GenerateRequest r;
  for (int64_t i = 0; i < n; ++i) r.prompt.push_back(static_cast<TokenId>((i * i + n) % 251));
  r.max_tokens = max_tokens, r.ignore_eos = true, r.sampling.temperature = 0, r.top_logprobs = 2;
  return r;
}
std::vector<GenerateRequest> greedy_ones() { return {greedy(3), greedy(30), greedy(77)}; }

class Drafting : public TestWithParam<std::tuple<Numerics, int64_t>> {};

TEST_P(Drafting, ChangesNoBitOfAnyAnswer) {
  const auto [numerics, lookup] = GetParam();
  // Matrices in F32 would be multiplied exactly in every mode.
  const DType type = numerics == Numerics::kExact  ? DType::kF32
                     : numerics == Numerics::kBf16 ? DType::kBF16
                                                   : DType::kQ8_0;
  const auto model = slow_model(type);
  EngineOptions options;
  options.numerics = numerics, options.lookup = lookup;
  options.threads = 1, options.guess_always = true;
  EngineOptions without = options;
  without.lookup = 0;
  const auto plain = engine(model, nullptr, without);
  const auto drafted = engine(model, similar_model(*model, type), options);
  for (const float temperature : {0.0f, 0.7f}) {
    auto requests = repetitive_requests(temperature);
    for (auto& r : greedy_ones()) requests.push_back(std::move(r));
    expect_same_bits(at_once(*drafted, requests), at_once(*plain, requests));
  }
  const EngineStats got = settled(*drafted), expected = settled(*plain);
  EXPECT_GT(got.accepted_drafts, 0u);
  EXPECT_GT(got.drafted_tokens, got.accepted_drafts);
  EXPECT_EQ(got.guessed_tokens > 0, lookup > 0);
  EXPECT_EQ(got.generated_tokens, expected.generated_tokens);
  EXPECT_EQ(expected.drafted_tokens, 0u);
}

INSTANTIATE_TEST_SUITE_P(Modes, Drafting,
                         ::testing::Combine(::testing::Values(Numerics::kExact, Numerics::kBf16,
                                                              Numerics::kFast),
                                            ::testing::Values(0, 8)));

TEST(DraftModelOfAnEngine, IsAlwaysRightWhereItSaysTheSameAndSparesSteps) {
  const auto model = slow_model();
  const auto steps_of = [&](const std::shared_ptr<TinyModel>& draft, EngineStats& stats) {
    const auto backend = std::make_shared<WatchingBackend>();
    uint64_t steps = 0;
    backend->watch(*model, [&](auto) { ++steps; });
    const auto e = engine(model, draft, exact(), backend);
    EXPECT_EQ(e->generate(greedy(20, 100)).value().tokens.size(), 100u);
    stats = settled(*e);
    return steps;
  };
  EngineStats plain, drafted;
  EXPECT_EQ(steps_of(nullptr, plain), 100u);
  const uint64_t steps = steps_of(same_model(*model), drafted);
  EXPECT_GT(drafted.drafted_tokens, 0u);
  EXPECT_EQ(drafted.accepted_drafts, drafted.drafted_tokens);
  EXPECT_EQ(steps, 100 - drafted.accepted_drafts);
}

TEST(DraftModelOfAnEngine, ReadsPromptsInPiecesAndWhatTheyShareOnce) {
  const auto model = slow_model(), draft = same_model(*model);
  const auto backend = std::make_shared<WatchingBackend>();
  size_t most = 0, read = 0;
  backend->watch(*draft, [&](std::span<const int32_t> ids) {
    most = std::max(most, ids.size()), read += ids.size();
  });
  EngineOptions options = exact();
  options.prefill_chunk = 7;
  const auto e = engine(model, draft, options, backend);
  const auto plain = engine(model, nullptr, options, std::make_shared<Backend>());
  const GenerateRequest r = greedy(200, 100);
  const auto first = e->generate(r).value();
  EXPECT_EQ(first.tokens, plain->generate(r).value().tokens);
  EXPECT_GT(settled(*e).accepted_drafts, 0u);
  EXPECT_EQ(most, 7u);
  EXPECT_GE(read, 200u);
  read = 0;
  EXPECT_EQ(e->generate(r).value().tokens, first.tokens);
  settled(*e);
  EXPECT_LE(read, 100u + 8u);  // the answer, and what is guessed beyond it
}

TEST(DraftModelOfAnEngine, KeepsToAGrammar) {
  const auto model = slow_model();
  const auto plain = engine(model, nullptr, exact());
  const auto drafted = engine(model, same_model(*model), exact());
  const auto grammar = Grammar::from_gbnf("root ::= [^a-m]+").value();
  for (uint64_t seed = 0; seed < 4; ++seed) {
    GenerateRequest r = greedy(10, 60);
    r.grammar = grammar, r.sampling.seed = seed;
    r.sampling.temperature = seed == 0 ? 0.0f : 0.5f;
    const auto expected = plain->generate(r).value(), got = drafted->generate(r).value();
    expect_same_bits({got}, {expected});
  }
  EXPECT_GT(settled(*drafted).accepted_drafts, 0u);
}

// A vocabulary that differs from ByteTokenizer's in one place.
class OtherTokenizer : public ByteTokenizer {
 public:
  OtherTokenizer(TokenId id, std::string text, bool special)
      : id_(id), text_(std::move(text)), special_(special) {}
  std::string_view token_text(TokenId id) const override {
    return id == id_ ? std::string_view(text_) : ByteTokenizer::token_text(id);
  }
  bool is_special(TokenId id) const override {
    return id == id_ ? special_ : ByteTokenizer::is_special(id);
  }
  int64_t vocab_size() const override { return std::max<int64_t>(257, id_ + 1); }

 private:
  TokenId id_;
  std::string text_;
  bool special_;
};

TEST(SameVocabulary, IsTheSameTokensAsFarAsBothReach) {
  const ByteTokenizer bytes;
  const auto difference = [&](const OtherTokenizer& other) {
    const Status there = check_same_vocabulary(bytes, other);
    EXPECT_EQ(there.ok(), check_same_vocabulary(other, bytes).ok());
    if (there.ok()) return std::string();
    EXPECT_EQ(there.error().code, ErrorCode::kUsage);
    return there.error().message;
  };
  EXPECT_EQ(difference({65, "A", false}), "");
  EXPECT_THAT(difference({65, "x", false}), HasSubstr("its token 65 is \"x\", the model's \"A\""));
  EXPECT_THAT(difference({65, "A", true}), HasSubstr("its token 65 is the special \"A\""));
  EXPECT_EQ(difference({257, "<pad>", false}), "");
  EXPECT_THAT(difference({257, "<end>", true}),
              HasSubstr("token 257 is the special \"<end>\" in it, and the model has only 257"));
}

TEST(EngineOpen, RefusesADraftThatCannotGuess) {
  const auto model = slow_model();
  const auto refused = [&](std::shared_ptr<ModelSource> of, std::shared_ptr<ModelSource> draft,
                           std::shared_ptr<const Tokenizer> tokenizer) {
    EngineParts parts{std::move(of), std::make_shared<ByteTokenizer>(),
                      std::make_shared<PlainTemplate>(), nullptr};
    parts.draft = std::move(draft), parts.draft_tokenizer = std::move(tokenizer);
    const auto e = Engine::create(std::move(parts), exact());
    EXPECT_FALSE(e.ok());
    if (e.ok()) return std::string();
    EXPECT_EQ(e.error().code, ErrorCode::kUsage);
    return e.error().message;
  };
  const auto golden = [](const char* name) {
    return open_model(fs::path(SLLM_SOURCE_DIR) / "tests/golden/architectures" / name).value();
  };
  const auto bytes = std::make_shared<ByteTokenizer>();
  EXPECT_THAT(refused(model, model, std::make_shared<OtherTokenizer>(7, "seven", false)),
              HasSubstr("another vocabulary"));
  EXPECT_THAT(refused(model, golden("lfm2"), bytes), HasSubstr("lfm2: a model with recurrent"));
  EXPECT_THAT(refused(golden("lfm2"), model, bytes), HasSubstr("lfm2: a model with recurrent"));
  EXPECT_THAT(refused(model, golden("gemma3_embedding"), bytes), HasSubstr("encoder"));
}

// What ends in the midst of guesses, looked up or drafted.
class AmongGuesses : public TestWithParam<bool> {
 protected:
  AmongGuesses() {
    backend_->watch(*model_, [this](std::span<const int32_t> ids) {
      if (armed_ && ids.size() > 1 && ++steps_ % 3 == 0 && on_guesses_) on_guesses_();
    });
    guessing_ = engine(model_, GetParam() ? draft_ : nullptr, exact(GetParam() ? 0 : 8), backend_);
  }
  // One that repeats itself, so that there is something to look up.
  static GenerateRequest request() {
    GenerateRequest r = greedy(1, 80);
    r.prompt.clear();
    for (int i = 0; i < 60; ++i) r.prompt.push_back(i % 12 + 40);
    return r;
  }
  // Of one request alone: steps of more than one row hold guesses once its prompt is read.
  GenerateResult ask(const GenerateRequest& r) {
    GenerateResult result;
    std::promise<void> done;
    armed_ = false;
    id_ = guessing_
              ->submit(r,
                       [&](const GenerateEvent& e) {
                         armed_ = true;
                         const auto add = [](auto& to, const auto& from) {
                           to.insert(to.end(), from.begin(), from.end());
                         };
                         result.text += e.text;
                         add(result.tokens, e.tokens), add(result.logprobs, e.logprobs);
                         if (e.done) result.reason = e.reason, done.set_value();
                       })
              .value();
    done.get_future().wait();
    return result;
  }

  std::shared_ptr<TinyModel> model_ = slow_model(), draft_ = similar_model(*model_);
  std::shared_ptr<WatchingBackend> backend_ = std::make_shared<WatchingBackend>();
  std::atomic<bool> armed_ = false;
  std::atomic<Engine::RequestId> id_ = 0;
  uint64_t steps_ = 0;
  std::function<void()> on_guesses_;
  std::shared_ptr<Engine> guessing_,
      plain_ = engine(model_, nullptr, exact(), std::make_shared<Backend>());
};

TEST_P(AmongGuesses, AStepThatFailsIsRunAgainWithoutThem) {
  int failed = 0;
  on_guesses_ = [&] {
    ++failed;
    throw std::runtime_error("failed among guesses");
  };
  expect_same_bits({ask(request())}, {plain_->generate(request()).value()});
  EXPECT_GT(failed, 0);
  EXPECT_EQ(settled(*guessing_).generated_tokens, 79u);
  // The state that is left behind holds right tokens only.
  on_guesses_ = nullptr;
  GenerateRequest more = request();
  const auto text = plain_->generate(more).value().tokens;
  more.prompt.insert(more.prompt.end(), text.begin(), text.end());
  expect_same_bits({ask(more)}, {plain_->generate(more).value()});
}

TEST_P(AmongGuesses, AnAnswerThatIsCancelledLeavesRightTokensOnly) {
  int cancelled = 0;
  on_guesses_ = [&] {
    if (cancelled++ == 0) guessing_->cancel(id_);
  };
  const auto cut = ask(request());
  EXPECT_EQ(cut.reason, FinishReason::kCancelled);
  EXPECT_GT(cancelled, 0);
  const auto whole = plain_->generate(request()).value();
  ASSERT_LT(cut.tokens.size(), whole.tokens.size());
  EXPECT_TRUE(std::equal(cut.tokens.begin(), cut.tokens.end(), whole.tokens.begin()));
  on_guesses_ = nullptr;
  GenerateRequest more = request();
  more.prompt.insert(more.prompt.end(), cut.tokens.begin(), cut.tokens.end());
  expect_same_bits({ask(more)}, {plain_->generate(more).value()});
  EXPECT_GT(settled(*guessing_).cached_tokens, 0u);
}

INSTANTIATE_TEST_SUITE_P(LookedUpAndDrafted, AmongGuesses, ::testing::Bool());

TEST(DraftModelOfAnEngine, MayFailWithoutHarm) {
  const auto model = slow_model(), draft = same_model(*model);
  const auto backend = std::make_shared<WatchingBackend>();
  int steps = 0;
  backend->watch(*draft, [&](auto) {
    if (++steps % 5 == 4) throw std::runtime_error("the draft fails");
  });
  const auto e = engine(model, draft, exact(), backend);
  const auto plain = engine(model, nullptr, exact(), std::make_shared<Backend>());
  expect_same_bits(at_once(*e, greedy_ones()), at_once(*plain, greedy_ones()));
  EXPECT_GT(steps, 5);
  EXPECT_GT(settled(*e).accepted_drafts, 0u);
}

}  // namespace
}  // namespace sllm
