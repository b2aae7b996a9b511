// The short causal convolution: by hand, in pieces with a state, and its gradients.
#include <gmock/gmock.h>

#include "ops/gradient_check.h"

namespace sllm {
namespace {

TEST(ShortConv, LooksBackWithinItsSegment) {
  Backend backend;
  Context ctx{backend};
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5}, {5, 1}),
               w = Tensor::from(std::vector<float>{100, 10, 1}, {1, 3}),  // oldest first, as torch
      b = Tensor::from(std::vector<float>{0.5f}, {1});
  const StateSegment segments[] = {{0, 3}, {3, 2}};
  const Tensor y = ops::short_conv(ctx, x, w, b, segments);
  EXPECT_THAT(std::vector<float>(y.data<float>(), y.data<float>() + 5),
              testing::ElementsAre(1.5f, 12.5f, 123.5f, 4.5f, 45.5f));
}

TEST(ShortConv, GoesOnFromItsState) {
  Backend backend;
  Context ctx{backend};
  constexpr int64_t N = 11, C = 5;
  for (const int64_t K : {1, 2, 3, 4}) {
    const Tensor x = random({N, C}, 1), w = random({C, K}, 2), b = random({C}, 3);
    const StateSegment all{0, N};
    const Tensor whole = ops::short_conv(ctx, x, w, b, {&all, 1});
    Tensor state = Tensor::zeros(DType::kF32, {K, C});
    for (int64_t begin = 0, rows = 1; begin < N; begin += rows, rows = rows % 4 + 1) {
      rows = std::min(rows, N - begin);
      const StateSegment part{0, rows, state.data<float>()};
      const Tensor y =
          ops::short_conv(ctx, x.slice_rows(begin, begin + rows).clone(), w, b, {&part, 1});
      for (int64_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(y.data<float>()[i], whole.data<float>()[begin * C + i]) << K << " " << begin;
    }
  }
}

TEST(ShortConv, Gradients) {
  const std::vector<StateSegment> segments = {{0, 6}, {6, 1}, {7, 2}};
  for (const bool with_bias : {true, false}) {
    std::vector<Tensor> inputs = {random({9, 5}, 1), random({5, 4}, 2)};
    if (with_bias) inputs.push_back(random({5}, 3));
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) {
          return ops::short_conv(ctx, in[0], in[1], with_bias ? in[2] : Tensor(), segments);
        },
        inputs);
  }
}

}  // namespace
}  // namespace sllm
