// Requests of several adapters and of none share their steps, and each is answered as if alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "base/rng.h"
#include "infer/engine.h"
#include "io/peft.h"
#include "support/fake_engine.h"
#include "support/guessed_answers.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

LoraAdapter random_adapter(uint64_t seed) {
  const auto random = [&](Shape shape) {
    Tensor t = Tensor::empty(DType::kF32, std::move(shape));
    Rng rng(++seed);
    for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = 0.3f * rng.normal();
    return t;
  };
  LoraAdapter adapter;
  adapter.rank = 4, adapter.alpha = 8;
  for (const char* layer : {"model.layers.0.", "model.layers.1."})
    for (const auto& [name, rows] : {std::pair("self_attn.q_proj", 64), {"mlp.up_proj", 96}})
      adapter.modules[layer + std::string(name)] = {random({4, 64}), random({rows, 4})};
  return adapter;
}

// Holds the first step until it is let go, and counts the rows of each.
class HeldBackend : public Backend {
 public:
  void let_go() { may_go_.set_value(); }
  void embed(float* y, const Tensor& table, std::span<const int32_t> ids) override {
    if (rows.empty()) gate_.wait();
    rows.push_back(ids.size());
    Backend::embed(y, table, ids);
  }
  std::vector<size_t> rows;

 private:
  std::promise<void> may_go_;
  std::shared_future<void> gate_ = may_go_.get_future().share();
};

class AdapterBatch : public ::testing::TestWithParam<Numerics> {
 protected:
  std::shared_ptr<Engine> engine(std::shared_ptr<HeldBackend> backend) {
    ModelConfig config = testing::tiny_config();
    config.V = 257;  // what ByteTokenizer can spell
    // Matrices in F32 would be multiplied exactly in every mode.
    const DType type = GetParam() == Numerics::kExact  ? DType::kF32
                       : GetParam() == Numerics::kBf16 ? DType::kBF16
                                                       : DType::kQ8_0;
    EngineOptions options;
    options.numerics = GetParam(), options.lookup = 0;
    for (const char* name : {"a", "b"}) options.adapters.push_back(folder_ / name);
    return Engine::create({std::make_shared<testing::TinyModel>(config, type),
                           std::make_shared<testing::ByteTokenizer>(),
                           std::make_shared<testing::PlainTemplate>(), std::move(backend)},
                          options)
        .value();
  }
  AdapterBatch() {
    write_peft_adapter(folder_ / "a", random_adapter(10)).value();
    write_peft_adapter(folder_ / "b", random_adapter(50)).value();
  }

  testing::TemporaryFolder folder_;
};

TEST_P(AdapterBatch, GivesEachTheBitsThatItHasAlone) {
  constexpr size_t kTokens = 30;
  std::vector<GenerateRequest> requests;
  for (const char* adapter : {"a", "", "b", "a", ""}) {
    GenerateRequest r;
    r.prompt = {5, 6, 7, 8, 9};
    r.prompt.resize(5 + 3 * requests.size(), 44);
    r.adapter = adapter;
    r.max_tokens = kTokens, r.ignore_eos = true, r.top_logprobs = 2, r.sampling.temperature = 0;
    requests.push_back(std::move(r));
  }
  std::vector<GenerateResult> alone;
  for (const GenerateRequest& r : requests) {
    const auto backend = std::make_shared<HeldBackend>();
    backend->let_go();
    alone.push_back(engine(backend)->generate(r).value());
  }
  const auto backend = std::make_shared<HeldBackend>();
  const auto together = engine(backend);
  std::vector<std::future<GenerateResult>> asked;
  for (const GenerateRequest& r : requests)
    asked.push_back(
        std::async(std::launch::async, [&, r] { return together->generate(r).value(); }));
  // The first step is held, so the others have come when it ends.
  while (together->stats().requests < requests.size()) std::this_thread::yield();
  backend->let_go();
  std::vector<GenerateResult> got;
  for (auto& a : asked) got.push_back(a.get());
  testing::expect_same_bits(got, alone);
  testing::settled(*together);
  // A row of each: in all steps but those that read a prompt.
  EXPECT_GE(std::ranges::count(backend->rows, requests.size()), kTokens - 5);
}

TEST_P(AdapterBatch, AdaptersAnswerInTheirOwnWay) {
  const auto backend = std::make_shared<HeldBackend>();
  backend->let_go();
  const auto e = engine(backend);
  std::vector<std::vector<TokenId>> answers;
  for (const char* adapter : {"", "a", "b"}) {
    GenerateRequest r;
    r.prompt = {5, 6, 7}, r.adapter = adapter;
    r.max_tokens = 30, r.ignore_eos = true, r.sampling.temperature = 0;
    answers.push_back(e->generate(r).value().tokens);
  }
  EXPECT_NE(answers[0], answers[1]);
  EXPECT_NE(answers[0], answers[2]);
  EXPECT_NE(answers[1], answers[2]);
}

INSTANTIATE_TEST_SUITE_P(Modes, AdapterBatch,
                         ::testing::Values(Numerics::kExact, Numerics::kBf16, Numerics::kFast));

}  // namespace
}  // namespace sllm
