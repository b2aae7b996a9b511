#include "train/fresh_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "models/registry.h"
#include "support/tiny_tokenizer.h"
#include "text/tokenizer_trainer.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

class FreshModelTest : public ::testing::Test {
 protected:
  FreshModelTest() {
    const auto trainer =
        TokenizerTrainer::create({.vocab_size = 300, .chatml = true}, pool_).value();
    EXPECT_TRUE(trainer->add("a text, and a text again, and a text").ok());
    EXPECT_TRUE(write_trained_tokenizer(folder_ / "tok", trainer->train().value()).ok());
    options_ = {.tokenizer = folder_ / "tok",
                .hidden = 64,
                .layers = 2,
                .heads = 4,
                .kv_heads = 2,
                .context = 256};
  }
  std::string error(const FreshModelOptions& options) {
    const auto made = fresh_model(options, pool_);
    EXPECT_FALSE(made.ok());
    if (made.ok()) return {};
    EXPECT_EQ(made.error().code, ErrorCode::kUsage);
    return made.error().to_string();
  }
  Tensor tensor(const FreshModelOptions& options, const std::string& name, ThreadPool& pool) {
    const FreshModel fresh = fresh_model(options, pool).value();
    for (const TensorInfo& t : fresh.model.tensors)
      if (t.name == name) return fresh.model.tensor(t).value();
    ADD_FAILURE() << name;
    return {};
  }
  testing::TemporaryFolder folder_;
  ThreadPool pool_{1};
  FreshModelOptions options_;
};

std::vector<float> values(const Tensor& t) { return {t.data<float>(), t.data<float>() + t.size()}; }

TEST_F(FreshModelTest, IsAFolderThatOpensWithTheSizesAskedFor) {
  const FreshModel fresh = fresh_model(options_, pool_).value();
  ASSERT_TRUE(write_hf_folder(folder_ / "m", fresh.model).ok());
  const auto source = open_model(folder_ / "m").value();
  const ModelConfig& c = source->config();
  const int64_t V = c.V, D = 64, F = 192;  // 8/3 of 64, up to a multiple of 64
  EXPECT_EQ(c.F, F);
  EXPECT_EQ(c.Hk, 2);
  EXPECT_EQ(c.max_context, 256);
  EXPECT_FALSE(c.tied_embeddings);
  EXPECT_EQ(c.eos_ids, (std::vector<int32_t>{0, 2}));  // <|endoftext|>, <|im_end|>
  EXPECT_THAT(source->chat_template(), HasSubstr("<|im_start|>"));
  EXPECT_EQ(fresh.embedding_parameters, 2 * V * D);
  EXPECT_EQ(fresh.parameters, 2 * V * D + D + 2 * (2 * D + 2 * D * D + 2 * D * D / 2 + 3 * D * F));
  options_.tied = true;
  EXPECT_EQ(fresh_model(options_, pool_).value().parameters, fresh.parameters - V * D);
}

TEST_F(FreshModelTest, DrawsMatricesAroundZeroAndNormsAsOne) {
  const std::vector<float> w =
      values(tensor(options_, "model.layers.1.mlp.gate_proj.weight", pool_));
  const auto n = static_cast<double>(w.size());
  double sum = 0, squares = 0;
  for (const float x : w) sum += x, squares += double{x} * x;
  EXPECT_NEAR(sum / n, 0, 5 * .02 / std::sqrt(n));  // five standard errors
  EXPECT_NEAR(std::sqrt(squares / n), .02, 5 * .02 / std::sqrt(2 * n));
  for (const float x : values(tensor(options_, "model.norm.weight", pool_))) EXPECT_EQ(x, 1);
}

TEST_F(FreshModelTest, TheSeedDecidesTheWeightsAndThreadsDoNot) {
  const std::string up = "model.layers.0.mlp.up_proj.weight";
  ThreadPool three(3);
  const std::vector<float> once = values(tensor(options_, up, pool_));
  EXPECT_EQ(values(tensor(options_, up, three)), once);
  EXPECT_NE(values(tensor(options_, "model.layers.1.mlp.up_proj.weight", pool_)), once);
  options_.seed = 1;
  EXPECT_NE(values(tensor(options_, up, pool_)), once);
}

TEST_F(FreshModelTest, RefusesSizesThatDoNotFitTogether) {
  const auto with = [&](auto change) {
    FreshModelOptions o = options_;
    change(o);
    return error(o);
  };
  EXPECT_THAT(with([](auto& o) { o.heads = 5; }), HasSubstr("--hidden 64 is not a multiple"));
  EXPECT_THAT(with([](auto& o) { o.heads = 64; }), HasSubstr("even"));
  EXPECT_THAT(with([](auto& o) { o.kv_heads = 3; }), HasSubstr("--kv-heads 3"));
  EXPECT_THAT(with([](auto& o) { o.layers = 100'000; }), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(with([](auto& o) { o.type = DType::kQ8_0; }), HasSubstr("expected f32"));
  options_.tokenizer = folder_ / "none";
  EXPECT_EQ(fresh_model(options_, pool_).error().code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace sllm
