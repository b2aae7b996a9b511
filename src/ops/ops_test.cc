// Every operation's gradients against finite differences, in exact numerics on the reference.
#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "ops/gradient_check.h"

namespace sllm {
namespace {

TEST(Ops, LinearGradients) {
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) {
        return ops::linear(ctx, std::make_shared<Operand>(in[0]), Weight(in[1]), &in[2]);
      },
      {random({5, 19}, 1), random({7, 19}, 2), random({7}, 3)});
}

TEST(Ops, LoraGradientsOnSomeRows) {
  std::vector<std::unique_ptr<Lora>> alive;  // a tape refers to its adapters
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) {
        alive.push_back(std::make_unique<Lora>(Lora{Weight(in[1]), Weight(in[2]), 2.0f}));
        const Lora* lora = alive.back().get();
        const LoraRows rows[] = {{0, 1, lora}, {1, 2, lora}, {4, 1, lora}};
        return ops::linear(ctx, std::make_shared<Operand>(in[0]), Weight(random({7, 19}, 4)),
                           nullptr, rows);
      },
      {random({5, 19}, 1), random({3, 19}, 2), random({7, 3}, 3)});
}

TEST(Ops, LoraWithAGainGradients) {
  std::vector<std::unique_ptr<Lora>> alive;
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) {
        alive.push_back(std::make_unique<Lora>(Lora{Weight(in[1]), Weight(in[2]), 2.0f, in[3]}));
        const LoraRows rows[] = {{1, 2, alive.back().get()}, {4, 1, alive.back().get()}};
        return ops::linear(ctx, std::make_shared<Operand>(in[0]), Weight(in[5]), &in[4], rows);
      },
      {random({5, 19}, 1), random({3, 19}, 2), random({7, 3}, 3), random({7}, 4), random({7}, 5),
       random({7, 19}, 6)});
}

TEST(Ops, LoraLeavesOtherRowsAlone) {
  Backend backend;
  Context ctx{backend};
  const auto x = std::make_shared<Operand>(random({3, 8}, 1));
  const Weight w(random({4, 8}, 2));
  const Lora lora{Weight(random({2, 8}, 3)), Weight(random({4, 2}, 4)), 0.5f};
  const LoraRows rows[] = {{1, 1, &lora}};
  const Tensor without = ops::linear(ctx, x, w), with = ops::linear(ctx, x, w, nullptr, rows);
  for (int64_t i = 0; i < 12; ++i)
    EXPECT_EQ(without.data<float>()[i] == with.data<float>()[i], i / 4 != 1) << i;
}

TEST(Ops, EmbedGradients) {
  const std::vector<int32_t> ids = {3, 0, 3, 5};
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) { return ops::embed(ctx, Weight(in[0]), ids); },
      {random({6, 8}, 1)});
}

TEST(Ops, RmsNormGradients) {
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) { return ops::rms_norm(ctx, in[0], in[1], 1e-5f); },
      {random({4, 24}, 1), random({24}, 2)});
}

TEST(Ops, RmsNormOfHeadsGradients) {
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) { return ops::rms_norm(ctx, in[0], in[1], 1e-5f); },
      {random({4, 24}, 1), random({8}, 2)});
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) { return ops::rms_norm(ctx, in[0], 8, 1e-5f); },
      {random({4, 24}, 1)});
}

TEST(Ops, NormsOfHeadsAreWhatTheySay) {
  Backend backend;
  Context ctx{backend};
  const Tensor x = random({3, 12}, 1), w = random({4}, 2);
  const float eps = 0.25f;
  const Tensor rms = ops::rms_norm(ctx, x, w, eps), plain = ops::rms_norm(ctx, x, 4, eps),
               l2 = ops::l2_norm(ctx, x, 4, eps);
  for (int head = 0; head < 9; ++head) {
    const float* in = x.data<float>() + head * 4;
    double squares = 0;
    for (int i = 0; i < 4; ++i) squares += double{in[i]} * in[i];
    for (int i = 0; i < 4; ++i) {
      const double unit = in[i] / std::sqrt(squares / 4 + eps);
      EXPECT_NEAR(plain.data<float>()[head * 4 + i], unit, 1e-6);
      EXPECT_NEAR(rms.data<float>()[head * 4 + i], unit * w.data<float>()[i], 1e-6);
      EXPECT_NEAR(l2.data<float>()[head * 4 + i], in[i] / std::sqrt(squares + eps), 1e-6);
    }
  }
}

TEST(Ops, L2NormGradients) {
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) { return ops::l2_norm(ctx, in[0], 8, 1e-6f); },
      {random({4, 24}, 1)});
}

TEST(Ops, LayerNormGradients) {
  for (const bool with_bias : {true, false})
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) {
          return ops::layer_norm(ctx, in[0], in[1], with_bias ? in[2] : Tensor(), 1e-5f);
        },
        with_bias ? std::vector{random({4, 24}, 1), random({24}, 2), random({24}, 3)}
                  : std::vector{random({4, 24}, 1), random({24}, 2)});
}

TEST(Ops, LayerNormCentresAndScales) {
  Backend backend;
  Context ctx{backend};
  const Tensor x = Tensor::from(std::vector<float>{1, 3, 1001, 1003}, {2, 2}),
               w = Tensor::from(std::vector<float>{1, 2}, {2}),
               b = Tensor::from(std::vector<float>{0, 5}, {2});
  const Tensor y = ops::layer_norm(ctx, x, w, b, 0.0f);
  EXPECT_THAT(std::vector<float>(y.data<float>(), y.data<float>() + 4),
              testing::ElementsAre(-1, 7, -1, 7));
}

TEST(Ops, RopeGradients) {
  Tensor cos = Tensor::empty(DType::kF32, {5, 4}), sin = Tensor::empty(DType::kF32, {5, 4});
  for (int i = 0; i < 20; ++i) {
    cos.data<float>()[i] = std::cos(0.3f * static_cast<float>(i));
    sin.data<float>()[i] = std::sin(0.3f * static_cast<float>(i));
  }
  const Tensor zero = Tensor::zeros(DType::kF32, {5, 24});
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) {
        Tensor x = ops::add(ctx, in[0], zero);
        ops::rope(ctx, x, cos, sin, 3);
        return x;
      },
      {random({5, 24}, 1)});
  const Tensor wide = Tensor::zeros(DType::kF32, {5, 30});
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) {
        Tensor x = ops::add(ctx, in[0], wide);
        ops::rope(ctx, x, cos, sin, 3);  // 8 of 10 columns
        return x;
      },
      {random({5, 30}, 1)});
}

TEST(Ops, RopeLeavesTheLaterColumnsOfEachHead) {
  Backend backend;
  Context ctx{backend};
  Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {1, 6});  // 2 heads of 3
  ops::rope(ctx, x, Tensor::from(std::vector<float>{0}, {1, 1}),
            Tensor::from(std::vector<float>{1}, {1, 1}), 2);  // a quarter turn
  EXPECT_THAT(std::vector<float>(x.data<float>(), x.data<float>() + 6),
              testing::ElementsAre(-2, 1, 3, -5, 4, 6));
}

TEST(Ops, AddAndGatherGradients) {
  const std::vector<int32_t> rows = {2, 0, 2};
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) {
        const Tensor sum = ops::add(ctx, in[0], ops::add(ctx, in[1], in[0]));
        return ops::gather_rows(ctx, sum, rows);
      },
      {random({4, 5}, 1), random({4, 5}, 2)});
}

TEST(Ops, MeanRowsOfSegments) {
  const std::vector<AttentionSegment> segments = {{0, 3, 0, {}}, {3, 1, 0, {}}};
  Backend backend;
  Context plain{backend};
  const Tensor y = ops::mean_rows(
      plain, Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 9, 7, 8}, {4, 2}), segments);
  EXPECT_THAT(std::vector<float>(y.data<float>(), y.data<float>() + 4),
              testing::ElementsAre(3, 5, 7, 8));
  expect_gradients(
      [&](Context& ctx, std::vector<Tensor>& in) { return ops::mean_rows(ctx, in[0], segments); },
      {random({4, 5}, 1)});
}

TEST(Ops, ScaleGradients) {
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) { return ops::scale(ctx, in[0], -2.5f); },
      {random({4, 5}, 1)});
}

TEST(Ops, MulGradientsOfEveryShape) {
  for (const Shape& shape : {Shape{4, 6}, Shape{4, 3}, Shape{4, 1}, Shape{6}})
    expect_gradients(
        [](Context& ctx, std::vector<Tensor>& in) { return ops::mul(ctx, in[0], in[1]); },
        {random({4, 6}, 1), random(shape, 2)});
}

TEST(Ops, MulSpreadsItsFactors) {
  Backend backend;
  Context ctx{backend};
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3, 4}, {1, 4});
  const auto by = [&](std::vector<float> b, Shape shape) {
    const Tensor y = ops::mul(ctx, a, Tensor::from(b, std::move(shape)));
    return std::vector<float>(y.data<float>(), y.data<float>() + 4);
  };
  EXPECT_THAT(by({2}, {1, 1}), testing::ElementsAre(2, 4, 6, 8));
  EXPECT_THAT(by({2, 10}, {1, 2}), testing::ElementsAre(2, 4, 30, 40));
  EXPECT_THAT(by({1, 2, 3, 4}, {4}), testing::ElementsAre(1, 4, 9, 16));
}

TEST(Ops, SplitColumnsTakesApartByHead) {
  Backend backend;
  Context ctx{backend};
  std::vector<float> numbers(12);
  std::iota(numbers.begin(), numbers.end(), 0.0f);
  const Tensor x = Tensor::from(numbers, {1, 12});
  const int64_t widths[] = {1, 2};
  const auto heads = ops::split_columns(ctx, x, widths, 4);
  EXPECT_THAT(std::vector<float>(heads[0].data<float>(), heads[0].data<float>() + 4),
              testing::ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(std::vector<float>(heads[1].data<float>(), heads[1].data<float>() + 8),
              testing::ElementsAre(1, 2, 4, 5, 7, 8, 10, 11));
}

TEST(Ops, SplitColumnsGradients) {
  for (const int64_t groups : {1, 2})
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) {
          const std::vector<int64_t> widths = {4 / groups, 2 / groups, 6 / groups, 4 / groups};
          const auto parts = ops::split_columns(ctx, in[0], widths, groups);  // the third is unused
          return ops::mul(ctx, ops::mul(ctx, parts[0], parts[3]), parts[1]);
        },
        {random({3, 16}, 1)});
}

TEST(Ops, LinearCrossEntropyGradientsInSeveralChunks) {
  // A vocabulary this large makes chunks of 48 rows, so 66 supervised rows need two.
  constexpr int64_t N = 100, D = 4, V = 200000;
  Backend backend;
  std::vector<int32_t> targets;
  std::vector<float> weight;
  for (int i = 0; i < N; ++i)
    targets.push_back((i * 7919) % V), weight.push_back(i % 3 ? 0.25f : 0);
  const Tensor x = random({N, D}, 1, 0.5f), w = random({V, D}, 2, 0.5f);
  Tape tape;
  tape.watch(x);
  tape.watch(w);
  Context ctx{backend, Numerics::kExact, &tape};
  std::vector<float> losses;
  const double loss = ops::linear_cross_entropy(ctx, x, Weight(w), targets, weight, &losses);
  tape.backward();
  double sum = 0;
  for (int i = 0; i < N; ++i) {
    sum += double{weight[i]} * losses[i];
    EXPECT_EQ(losses[i] == 0, i % 3 == 0);
  }
  EXPECT_NEAR(loss, sum, 1e-9);
  Context plain{backend};
  for (int input = 0; input < 2; ++input) {
    const Tensor direction = random(input ? w.shape() : x.shape(), 3);
    double values[2];
    for (int side : {0, 1}) {
      const Tensor moved = (input ? w : x).clone();
      Tensor at = moved;
      backend.axpy(at.data<float>(), side ? 1e-2f : -1e-2f, direction.data<float>(), at.size());
      values[side] =
          ops::linear_cross_entropy(plain, input ? x : at, Weight(input ? at : w), targets, weight);
    }
    const double slope = (values[1] - values[0]) / 2e-2;
    EXPECT_NEAR(inner(direction, tape.grad(input ? w : x)), slope, 2e-3 * std::abs(slope));
  }
}

TEST(Ops, LinearCrossEntropyOfShapedLogits) {
  constexpr int64_t N = 6, D = 5, V = 11;
  Backend backend;
  const std::vector<int32_t> targets = {3, 0, 10, 4, 4, 7};
  const std::vector<float> weight = {1, 0.5f, 0, 2, 1, 1};
  const Tensor x = random({N, D}, 1), w = random({V, D}, 2);
  for (const LogitShape shape : {LogitShape{0.25f, 0}, LogitShape{1, 1.5f}, LogitShape{3, 2}}) {
    Tape tape;
    tape.watch(x);
    tape.watch(w);
    Context ctx{backend, Numerics::kExact, &tape}, plain{backend};
    std::vector<float> losses;
    ops::linear_cross_entropy(ctx, x, Weight(w), targets, weight, &losses, shape);
    tape.backward();

    // The loss is that of the logits a user sees, which are what the shape says.
    const Tensor products = ops::linear(plain, std::make_shared<Operand>(x), Weight(w)),
                 logits = ops::shape_logits(plain, products, shape);
    for (int64_t i = 0; i < N; ++i) {
      double sum = 0;
      for (int64_t v = 0; v < V; ++v) {
        const double product = shape.scale * products.data<float>()[i * V + v];
        EXPECT_NEAR(
            logits.data<float>()[i * V + v],
            shape.softcap > 0 ? shape.softcap * std::tanh(product / shape.softcap) : product,
            1e-6 * std::max(1.0, std::abs(product)));
        sum += std::exp(double{logits.data<float>()[i * V + v]});
      }
      const double loss = std::log(sum) - logits.data<float>()[i * V + targets[i]];
      EXPECT_NEAR(losses[i], weight[i] == 0 ? 0 : loss, 1e-6 * std::max(1.0, loss));
    }

    for (const Tensor& input : {x, w}) {
      const Tensor direction = random(input.shape(), 3);
      double values[2];
      for (int side : {0, 1}) {
        Tensor at = input.clone();
        backend.axpy(at.data<float>(), side ? 1e-2f : -1e-2f, direction.data<float>(), at.size());
        const bool head = input.id() == w.id();
        values[side] = ops::linear_cross_entropy(plain, head ? x : at, Weight(head ? at : w),
                                                 targets, weight, nullptr, shape);
      }
      const double slope = (values[1] - values[0]) / 2e-2;
      EXPECT_NEAR(inner(direction, tape.grad(input)), slope, 2e-3 * std::max(1.0, std::abs(slope)));
    }
  }
}

TEST(Ops, ShapedLogitsGradients) {
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) {
        return ops::shape_logits(ctx, in[0], {0.5f, 1.5f});
      },
      {random({3, 7}, 1)});
}

// What backward reads of x is its rounded form: the f32 rows are freed with the last of the
// products that share them.
TEST(Bf16, LinearKeepsOnlyRoundedRowsForBackward) {
  Backend backend;
  for (const Numerics numerics : {Numerics::kBf16, Numerics::kFast}) {
    Tape tape;
    const Tensor w = random({4, 32}, 2);
    tape.watch(w);
    Context ctx{backend, numerics, &tape};
    auto rows = std::make_shared<Tensor>(random({3, 32}, 1));
    const std::weak_ptr<Tensor> alive = rows;
    auto operand =
        std::make_shared<Operand>(Tensor::borrow(DType::kF32, {3, 32}, rows->raw(), rows));
    const Tensor y = ops::linear(ctx, operand, Weight(w));
    const Tensor again = ops::linear(ctx, operand, Weight(w));
    EXPECT_EQ(inner(y, y), inner(again, again));
    rows.reset();
    EXPECT_FALSE(alive.expired());
    operand.reset();
    EXPECT_TRUE(alive.expired());
    tape.add_grad(backend, y, random({3, 4}, 3));
    tape.backward();
    EXPECT_TRUE(tape.has_grad(w.id()));
  }
}

TEST(Bf16, RoundsBothSidesOfAProduct) {
  Backend backend;
  const float third = 1.0f / 3;
  Operand x(Tensor::from(std::vector<float>{third}, {1, 1}));
  float y = 0;
  backend.linear(&y, x, Weight(Tensor::from(std::vector<float>{third}, {1, 1})), Numerics::kBf16);
  const float rounded = to_float(to_bf16(third));
  EXPECT_EQ(y, rounded * rounded);
}

TEST(Tape, ReportsALeafOnceItsLastUseIsDone) {
  Backend backend;
  Tape tape;
  const Tensor w = random({4, 4}, 1), early = random({4, 4}, 2), unused = random({2}, 3);
  for (const Tensor& t : {w, early, unused}) tape.watch(t);
  Context ctx{backend, Numerics::kExact, &tape};
  Tensor x = random({2, 4}, 4);
  x = ops::linear(ctx, std::make_shared<Operand>(x), Weight(early));
  for (int i = 0; i < 2; ++i) x = ops::linear(ctx, std::make_shared<Operand>(x), Weight(w));
  tape.add_grad(backend, x, random({2, 4}, 5));
  std::vector<uint64_t> order;
  tape.backward([&](const Tensor& leaf) { order.push_back(leaf.id()); });
  EXPECT_THAT(order, testing::ElementsAre(w.id(), early.id()));
}

TEST(Tape, RecordsNothingWhereNoGradientFlows) {
  Backend backend;
  Tape tape;
  Context ctx{backend, Numerics::kExact, &tape};
  const Tensor y =
      ops::linear(ctx, std::make_shared<Operand>(random({2, 4}, 1)), Weight(random({3, 4}, 2)));
  EXPECT_FALSE(tape.needs(y.id()));
}

TEST(Tape, KeepsNoMemoryOfOutputsItDoesNotRead) {
  Backend backend;
  Tape tape;
  const auto memory = std::make_shared<int>(0);
  const std::vector<float> values = {1, 2};
  const Tensor leaf = random({1, 2}, 1);
  tape.watch(leaf);
  Context ctx{backend, Numerics::kExact, &tape};
  {
    const Tensor other = Tensor::borrow(DType::kF32, {1, 2}, values.data(), memory);
    ops::add(ctx, leaf, other);
  }
  EXPECT_EQ(memory.use_count(), 1);
}

TEST(AdamW, FollowsTorch) {
  // torch.optim.AdamW(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1), p = [1, -2], grads
  // [0.5, -0.25], [0.1, 0.2]; by tests/golden/make_train_golden.py.
  Backend backend;
  float p[2] = {1, -2}, m[2] = {}, v[2] = {};
  const float grads[2][2] = {{0.5f, -0.25f}, {0.1f, 0.2f}};
  for (int step = 1; step <= 2; ++step)
    backend.adamw(p, grads[step - 1], m, v, 2, {0.1, 0.9, 0.999, 1e-8, 0.1, 1.0f, step});
  EXPECT_NEAR(p[0], 0.8007959723472595, 1e-6);
  EXPECT_NEAR(p[1], -1.8553874492645264, 1e-6);
}

}  // namespace
}  // namespace sllm
