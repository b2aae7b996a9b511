// The gated delta rule: transformers' numbers, in pieces with a state, and its gradients.
#include <gmock/gmock.h>

#include "ops/gradient_check.h"

namespace sllm {
namespace {

TEST(DeltaRule, IsTransformers) {
  // torch_recurrent_gated_delta_rule of modeling_qwen3_5.py, with its l2norm of q and k.
  Backend backend;
  Context ctx{backend};
  const auto rows = [](std::vector<float> values) {
    return Tensor::from(values, {3, static_cast<int64_t>(values.size()) / 3});
  };
  const Tensor q = ops::l2_norm(ctx, rows({0.5f, 1, 0.25f, 2, 1, 0.75f}), 2, 1e-6f),
               k = ops::l2_norm(ctx, rows({1, 0.5f, -0.5f, 0.25f, 0.75f, -1}), 2, 1e-6f),
               v = rows({1, 2, 3, 4, -1, 0.5f, 0.25f, -2, 2, 1, -0.5f, 0.75f}),
               g = rows({-0.1f, -0.2f, -0.5f, -0.05f, -1, -0.3f}),
               beta = rows({0.5f, 0.9f, 0.25f, 0.6f, 0.8f, 0.4f});
  Tensor state = Tensor::zeros(DType::kF32, {2, 2, 2});
  const StateSegment segment{0, 3, state.data<float>()};
  const DeltaShape shape{.H = 2, .Hk = 1, .Dk = 2, .Dv = 2, .scale = std::sqrt(0.5f)};
  const Tensor out = ops::delta_rule(ctx, q, k, v, g, beta, {&segment, 1}, shape);
  const std::vector<float> expected = {0.282842547f,  0.565685093f, 1.52734959f, 2.03646612f,
                                       0.0708211586f, 0.288729161f, 1.26027107f, 1.35088682f,
                                       0.10140729f,   0.130106166f, 1.07193875f, 1.75722516f},
                           expected_state = {1.085199f,     0.623460054f, -1.20791268f,
                                             -0.524616838f, 0.958957374f, 2.32362366f,
                                             1.24797451f,   1.04365575f};
  const auto near = testing::FloatNear(1e-6f);  // a few f32 roundings of numbers up to 4
  EXPECT_THAT(std::vector<float>(out.data<float>(), out.data<float>() + 12),
              testing::Pointwise(near, expected));
  EXPECT_THAT(std::vector<float>(state.data<float>(), state.data<float>() + 8),
              testing::Pointwise(near, expected_state));
}

struct Inputs {
  static constexpr DeltaShape kShape{.H = 4, .Hk = 2, .Dk = 6, .Dv = 5, .scale = 0.4f};
  static constexpr int64_t kRows = 13;
  // Log decays below 0; inputs small, so that a finite step stays in the linear part.
  std::vector<Tensor> all = {random({kRows, 12}, 1, 0.5f), random({kRows, 12}, 2, 0.5f),
                             random({kRows, 20}, 3), random({kRows, 4}, 4, 0.2f),
                             random({kRows, 4}, 5, 0.5f)};
  Inputs() {
    for (int64_t i = 0; i < all[3].size(); ++i) all[3].data<float>()[i] -= 0.3f;
  }
};

TEST(DeltaRule, Gradients) {
  const std::vector<StateSegment> segments = {{0, 8}, {8, 1}, {9, 4}};
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) {
        return ops::delta_rule(ctx, in[0], in[1], in[2], in[3], in[4], segments, Inputs::kShape);
      },
      Inputs().all);
}

TEST(DeltaRule, GoesOnFromItsState) {
  Backend backend;
  Context ctx{backend};
  const auto in = Inputs().all;
  const StateSegment all{0, Inputs::kRows};
  const Tensor whole =
      ops::delta_rule(ctx, in[0], in[1], in[2], in[3], in[4], {&all, 1}, Inputs::kShape);
  Tensor state = Tensor::zeros(DType::kF32, {4, 6, 5});
  for (int64_t begin = 0, rows = 1; begin < Inputs::kRows; begin += rows, rows = rows % 5 + 1) {
    rows = std::min(rows, Inputs::kRows - begin);
    std::vector<Tensor> part;
    for (const Tensor& t : in) part.push_back(t.slice_rows(begin, begin + rows).clone());
    const StateSegment here{0, rows, state.data<float>()};
    const Tensor y = ops::delta_rule(ctx, part[0], part[1], part[2], part[3], part[4], {&here, 1},
                                     Inputs::kShape);
    for (int64_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(y.data<float>()[i], whole.data<float>()[begin * 20 + i]) << begin;
  }
}

TEST(DecayGate, FollowsItsFormulaAndGradients) {
  Backend backend;
  Context ctx{backend};
  const Tensor a = Tensor::from(std::vector<float>{-50, 0, 2, 50}, {2, 2}),
               A_log = Tensor::from(std::vector<float>{0, 1}, {2});
  const Tensor g = ops::decay_gate(ctx, a, A_log);
  const std::vector<float> expected = {0.0f, -1.88416936f, -2.12692801f, -135.914091f};
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(g.data<float>()[i], expected[i], 3e-7 * std::abs(expected[i]) + 1e-20) << i;
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) { return ops::decay_gate(ctx, in[0], in[1]); },
      {random({5, 3}, 1), random({3}, 2)});
}

}  // namespace
}  // namespace sllm
