// Activations: values known from torch, and gradients.
#include <gmock/gmock.h>

#include "ops/gradient_check.h"

namespace sllm {
namespace {

constexpr Activation kAll[] = {Activation::kIdentity, Activation::kSilu, Activation::kGelu,
                               Activation::kGeluTanh, Activation::kRelu, Activation::kSigmoid,
                               Activation::kTanh};

TEST(Activation, PlainAndGatedGradients) {
  for (const Activation f : kAll) {
    SCOPED_TRACE(static_cast<int>(f));
    // Relu has a kink: inputs away from it by more than the step.
    Tensor x = random({3, 16}, 1);
    for (int64_t i = 0; i < x.size(); ++i)
      x.data<float>()[i] += x.data<float>()[i] < 0 ? -0.1f : 0.1f;
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) { return ops::activate(ctx, in[0], f); }, {x});
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) { return ops::glu(ctx, in[0], in[1], f); },
        {x, random({3, 16}, 2)});
  }
}

TEST(Activation, ValuesAreTorchs) {
  // torch.nn.functional: silu, gelu, gelu(approximate="tanh"), relu, sigmoid, tanh in float64.
  const std::vector<float> x = {-3.0f, -0.5f, 0.25f, 2.0f};
  const std::vector<std::vector<float>> expected = {
      {-3.0f, -0.5f, 0.25f, 2.0f},
      {-0.14227762f, -0.188770334f, 0.140544125f, 1.76159416f},
      {-0.00404969409f, -0.154268769f, 0.149676581f, 1.95449974f},
      {-0.00363739208f, -0.15428599f, 0.149675351f, 1.95459769f},
      {0.0f, 0.0f, 0.25f, 2.0f},
      {0.0474258732f, 0.377540669f, 0.562176501f, 0.880797078f},
      {-0.995054754f, -0.462117157f, 0.244918662f, 0.96402758f}};
  Backend backend;
  Context ctx{backend};
  for (size_t f = 0; f < expected.size(); ++f) {
    const Tensor y = ops::activate(ctx, Tensor::from(x, {4}), static_cast<Activation>(f));
    EXPECT_THAT(std::vector<float>(y.data<float>(), y.data<float>() + 4),
                testing::Pointwise(testing::FloatNear(3e-7f), expected[f]))  // a few f32 roundings
        << f;
  }
}

}  // namespace
}  // namespace sllm
