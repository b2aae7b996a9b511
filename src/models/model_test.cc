// One forward, three users: whatever the cut into steps, batches and forks, the same bits.
#include "models/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "models/registry.h"
#include "models/rope.h"
#include "support/tiny_model.h"

namespace sllm {
namespace {

using testing::tiny_config;
using testing::TinyModel;

std::vector<int32_t> random_ids(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(rng.below(320)));
  return ids;
}

void expect_same_bits(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())), 0);
}

class ModelTest : public ::testing::Test {
 protected:
  std::shared_ptr<Model> load(ModelConfig config = tiny_config(), DType type = DType::kF32) {
    return Model::load(std::make_shared<TinyModel>(config, type)).value();
  }
  Tensor run(const Model& m, SequenceState& s, const std::vector<int32_t>& ids) {
    s.reserve(static_cast<int64_t>(ids.size())).value();
    return m.forward(ctx, Batch::single(ids, &s, s.length()));
  }
  Backend backend;
  Context ctx{backend};
};

TEST_F(ModelTest, PrefillThenDecodeEqualsOneForward) {
  const auto model = load();
  const auto ids = random_ids(150, 1);  // three pages
  StatePool pool(model->config(), DType::kF32, 1024);
  SequenceState whole(pool), steps(pool);
  const Tensor expected = run(*model, whole, ids);
  Tensor got = run(*model, steps, {ids.begin(), ids.begin() + 100});
  expect_same_bits(got, expected.slice_rows(0, 100));
  for (int64_t i = 100; i < 150; ++i) {
    got = run(*model, steps, {ids[static_cast<size_t>(i)]});
    expect_same_bits(got, expected.slice_rows(i, i + 1));
  }
}

TEST_F(ModelTest, TrainingFormEqualsInferenceForm) {
  ModelConfig config = tiny_config();
  config.sliding_window = 40;
  const auto model = load(config);
  const auto ids = random_ids(90, 2);
  StatePool pool(config, DType::kF32, 1024);
  SequenceState state(pool);
  expect_same_bits(model->forward(ctx, Batch::single(ids)), run(*model, state, ids));
}

TEST_F(ModelTest, RaggedBatchEqualsSingles) {
  const auto model = load(tiny_config(), DType::kQ8_0);
  StatePool pool(model->config(), DType::kF32, 4096);
  Batch batch;
  std::vector<SequenceState> states;
  states.reserve(8);
  std::vector<std::vector<int32_t>> prompts;
  for (uint64_t i = 0; i < 8; ++i)
    prompts.push_back(random_ids(static_cast<int64_t>(1 + 13 * i), i));
  for (const auto& ids : prompts) {
    const auto n = static_cast<int64_t>(ids.size());
    states.emplace_back(pool);
    states.back().reserve(n).value();
    batch.segments.push_back(
        {static_cast<int64_t>(batch.tokens.size()), n, 0, &states.back(), nullptr});
    batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.end());
  }
  const Tensor together = model->forward(ctx, batch);
  for (size_t i = 0; i < prompts.size(); ++i) {
    SequenceState alone(pool);
    const Segment& s = batch.segments[i];
    expect_same_bits(run(*model, alone, prompts[i]),
                     together.slice_rows(s.first_row, s.first_row + s.rows));
  }
}

TEST_F(ModelTest, ForksGoTheirOwnWayAndLeaveTheParentAlone) {
  const auto model = load();
  StatePool pool(model->config(), DType::kF32, 4096);
  const auto prefix = random_ids(70, 3), a = random_ids(5, 4), b = random_ids(5, 5);
  SequenceState parent(pool);
  run(*model, parent, prefix);
  SequenceState left = parent.fork(), right = parent.fork();
  const auto direct = [&](const std::vector<int32_t>& tail) {
    std::vector<int32_t> ids = prefix;
    ids.insert(ids.end(), tail.begin(), tail.end());
    SequenceState state(pool);
    return run(*model, state, ids).slice_rows(70, 75);
  };
  expect_same_bits(run(*model, left, a), direct(a));
  expect_same_bits(run(*model, right, b), direct(b));
  expect_same_bits(run(*model, parent, a), direct(a));
}

TEST_F(ModelTest, TruncatedStateContinuesAsIfNothingHadFollowed) {
  const auto model = load();
  StatePool pool(model->config(), DType::kF32, 4096);
  const auto prefix = random_ids(66, 6), wrong = random_ids(70, 7), right = random_ids(4, 8);
  SequenceState state(pool), clean(pool);
  run(*model, state, prefix);
  SequenceState shared = state.fork();  // truncating must not write into what a fork still reads
  run(*model, state, wrong);
  state.truncate(66);
  EXPECT_EQ(state.length(), 66);
  run(*model, clean, prefix);
  const Tensor expected = run(*model, clean, right);
  expect_same_bits(run(*model, state, right), expected);
  expect_same_bits(run(*model, shared, right), expected);
}

TEST_F(ModelTest, InterruptedForwardCanBeRunAgain) {
  const auto model = load();
  StatePool pool(model->config(), DType::kF32, 1024);
  const auto ids = random_ids(20, 9);
  SequenceState state(pool), clean(pool);
  state.reserve(20).value();
  std::atomic<bool> stop = true;
  Batch batch = Batch::single(ids, &state, 0);
  batch.interrupt = &stop;
  EXPECT_THROW(model->forward(ctx, batch), Interrupted);
  EXPECT_EQ(state.length(), 0);
  stop = false;
  expect_same_bits(model->forward(ctx, batch), run(*model, clean, ids));
}

TEST_F(ModelTest, ShorterNumbersInTheStateStayClose) {
  ModelConfig wide = tiny_config();
  wide.H = 2, wide.Hk = 1, wide.Dh = 32;  // Q8_0 has blocks of 32
  EXPECT_FALSE(StatePool::can_hold(tiny_config(), DType::kQ8_0));
  EXPECT_EQ(StatePool::bytes_per_token(wide, DType::kQ8_0), 2 * 2 * 34);
  const auto model = load(wide);
  const auto ids = random_ids(80, 10);
  StatePool exact(model->config(), DType::kF32, 1024);
  SequenceState reference(exact);
  const Tensor expected = run(*model, reference, ids);
  // Q8_0 rounds to 1/254 of the largest of 32, bf16 to 1/512 of each.
  for (const auto& [type, tolerance] :
       {std::pair{DType::kF16, 5e-3f}, {DType::kBF16, 5e-2f}, {DType::kQ8_0, 1e-1f}}) {
    ASSERT_TRUE(StatePool::can_hold(wide, type));
    StatePool pool(model->config(), type, 1024);
    SequenceState state(pool);
    const Tensor got = run(*model, state, ids);
    for (int64_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got.data<float>()[i], expected.data<float>()[i], tolerance);
  }
}

TEST_F(ModelTest, AdapterRowsAreTheirOwn) {
  const auto model = load();
  LoraAdapter adapter;
  adapter.rank = 4, adapter.alpha = 8;
  Rng rng(11);
  for (const auto& [name, w] : model->linears()) {
    Tensor A = Tensor::empty(DType::kF32, {4, w->K()}), B = Tensor::empty(DType::kF32, {w->N(), 4});
    for (Tensor* t : {&A, &B})
      for (int64_t i = 0; i < t->size(); ++i) t->data<float>()[i] = 0.1f * rng.normal();
    adapter.modules[name] = {A, B};
  }
  const BoundAdapter bound = model->bind(adapter).value();
  StatePool pool(model->config(), DType::kF32, 4096);
  const auto ids = random_ids(10, 12);
  const auto run_with = [&](std::vector<const BoundAdapter*> adapters) {
    Batch batch;
    std::vector<SequenceState> states;
    states.reserve(adapters.size());
    for (const BoundAdapter* a : adapters) {
      states.emplace_back(pool);
      states.back().reserve(10).value();
      batch.segments.push_back(
          {static_cast<int64_t>(batch.tokens.size()), 10, 0, &states.back(), a});
      batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.end());
    }
    return model->forward(ctx, batch);
  };
  const Tensor base = run_with({nullptr}), tuned = run_with({&bound});
  EXPECT_NE(std::memcmp(base.raw(), tuned.raw(), static_cast<size_t>(base.bytes())), 0);
  const Tensor mixed = run_with({nullptr, &bound, &bound, nullptr});
  expect_same_bits(mixed.slice_rows(0, 10), base);
  expect_same_bits(mixed.slice_rows(10, 20), tuned);
  expect_same_bits(mixed.slice_rows(20, 30), tuned);
  expect_same_bits(mixed.slice_rows(30, 40), base);
}

// A linear under DoRA is the linear of the matrix (W + s B A) magnitude / |W + s B A|, bias and
// all, and its rows do not care what lies beside them.
TEST_F(ModelTest, DoraIsItsMergedMatrix) {
  ModelConfig config = tiny_config();
  config.architecture = find_architecture("qwen2");
  config.qkv_bias = true;
  const std::string module = "model.layers.0.self_attn.q_proj";
  auto source = std::make_shared<TinyModel>(config), merged = std::make_shared<TinyModel>(config);
  const auto model = Model::load(source).value();
  LoraAdapter adapter;
  adapter.rank = 2, adapter.alpha = 4;
  Rng rng(3);
  const auto random = [&](Shape shape, float mean) {
    Tensor t = Tensor::empty(DType::kF32, std::move(shape));
    for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = mean + 0.2f * rng.normal();
    return t;
  };
  LoraAdapter::Pair& pair =
      adapter.modules[module] = {random({2, 64}, 0), random({64, 2}, 0), random({64}, 2)};
  Tensor w = source->tensor(module + ".weight").value().clone();
  for (int64_t n = 0; n < 64; ++n) {
    double norm = 0;
    for (int64_t k = 0; k < 64; ++k) {
      float& x = w.data<float>()[64 * n + k];
      for (int64_t r = 0; r < 2; ++r)
        x += 2 * pair.B.data<float>()[2 * n + r] * pair.A.data<float>()[64 * r + k];
      norm += double{x} * x;
    }
    for (int64_t k = 0; k < 64; ++k)
      w.data<float>()[64 * n + k] *= pair.magnitude.data<float>()[n] / std::sqrt(norm);
  }
  merged->replace(module + ".weight", w);
  const BoundAdapter bound = model->bind(adapter).value();
  StatePool pool(config, DType::kF32, 4096);
  const auto ids = random_ids(10, 12);
  const auto run_with = [&](const Model& m, std::vector<const BoundAdapter*> adapters) {
    Batch batch;
    std::vector<SequenceState> states;
    states.reserve(adapters.size());
    for (const BoundAdapter* a : adapters) {
      states.emplace_back(pool);
      states.back().reserve(10).value();
      batch.segments.push_back(
          {static_cast<int64_t>(batch.tokens.size()), 10, 0, &states.back(), a});
      batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.end());
    }
    return m.forward(ctx, batch);
  };
  const Tensor plain = run_with(*model, {nullptr}), dora = run_with(*model, {&bound}),
               wanted = run_with(*Model::load(merged).value(), {nullptr});
  // Both are sums of 64 products in f32, the same but for where the gain is multiplied in.
  for (int64_t i = 0; i < wanted.size(); ++i)
    ASSERT_NEAR(dora.data<float>()[i], wanted.data<float>()[i], 2e-5);
  EXPECT_NE(std::memcmp(plain.raw(), dora.raw(), static_cast<size_t>(plain.bytes())), 0);
  const Tensor mixed = run_with(*model, {nullptr, &bound, nullptr});
  expect_same_bits(mixed.slice_rows(0, 10), plain);
  expect_same_bits(mixed.slice_rows(10, 20), dora);
  expect_same_bits(mixed.slice_rows(20, 30), plain);
}

TEST_F(ModelTest, RefusesWhatDoesNotFit) {
  const Architecture foreign{"gpt9", "", "", nullptr, nullptr};
  ModelConfig config = tiny_config();
  config.architecture = &foreign;
  const auto unknown = Model::load(std::make_shared<TinyModel>(config));
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kBadInput);
  EXPECT_NE(unknown.error().message.find("gpt9"), std::string::npos);

  const std::string name = "model.layers.1.mlp.up_proj.weight";
  auto misshapen = std::make_shared<TinyModel>();
  misshapen->replace(name, Tensor::zeros(DType::kF32, {96, 63}));
  const auto bad = Model::load(misshapen);
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().message.find(name), std::string::npos);

  auto missing = std::make_shared<TinyModel>();
  missing->remove(name);
  EXPECT_FALSE(Model::load(missing).ok());

  LoraAdapter adapter;
  adapter.modules["model.layers.7.mlp.up_proj"] = {Tensor::zeros(DType::kF32, {4, 64}),
                                                   Tensor::zeros(DType::kF32, {96, 4})};
  EXPECT_FALSE(load()->bind(adapter).ok());
  adapter.modules = {{"model.layers.1.mlp.up_proj",
                      {Tensor::zeros(DType::kF32, {4, 65}), Tensor::zeros(DType::kF32, {96, 4})}}};
  EXPECT_FALSE(load()->bind(adapter).ok());
}

TEST_F(ModelTest, Qwen2NeedsItsBiases) {
  ModelConfig config = tiny_config();
  config.architecture = find_architecture("qwen2");
  config.qkv_bias = true;
  auto incomplete = std::make_shared<TinyModel>(config);
  incomplete->remove("model.layers.1.self_attn.k_proj.bias");
  EXPECT_FALSE(Model::load(incomplete).ok());
  const auto model = load(config);
  const auto parameters = model->parameters();
  EXPECT_TRUE(std::any_of(parameters.begin(), parameters.end(), [](const auto& p) {
    return p.first == "model.layers.0.self_attn.q_proj.bias";
  }));
  EXPECT_EQ(parameters.size(), 2u + 2u * (2 + 7 + 3));
}

TEST(StatePool, SaysWhenItIsFullAndTakesPagesBack) {
  StatePool pool(tiny_config(), DType::kF32, 128);
  EXPECT_EQ(pool.free_tokens(), 128);
  {
    SequenceState a(pool), b(pool);
    a.reserve(65).value();
    EXPECT_EQ(pool.free_tokens(), 0);
    const Status full = b.reserve(1);
    ASSERT_FALSE(full.ok());
    EXPECT_EQ(full.error().code, ErrorCode::kResource);
  }
  EXPECT_EQ(pool.free_tokens(), 128);
}

// transformers 5.23, LlamaRotaryEmbedding with Llama 3.1's parameters (theta 5e5, factor 8, low 1,
// high 4, original context 8192), head width 16.
TEST(RopeTable, ScalesFrequenciesAsLlama3) {
  ModelConfig config = tiny_config();
  const Rope rope{.theta = 500000, .type = "llama3", .factor = 8, .original_context = 8192};
  const auto f = RopeTable(rope, config.Dh).inverse_frequencies();
  const std::vector<float> expected = {1.0f,
                                       0.193922758f,
                                       0.0376060307f,
                                       0.00729266508f,
                                       0.000524846022f,
                                       3.42810235e-05f,
                                       6.64786967e-06f,
                                       1.28917316e-06f};
  ASSERT_EQ(f.size(), expected.size());
  for (size_t i = 0; i < f.size(); ++i) EXPECT_NEAR(f[i], expected[i], 1e-6f * expected[i]);
}

}  // namespace
}  // namespace sllm
