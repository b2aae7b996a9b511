// Every operation's gradients against finite differences, in exact numerics on the reference.
#include "ops/ops.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace sllm {
namespace {

Tensor random(Shape shape, uint64_t seed, float size = 1.0f) {
  Rng rng(seed);
  Tensor t = Tensor::empty(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = size * rng.normal();
  return t;
}

double inner(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) sum += double{a.data<float>()[i]} * b.data<float>()[i];
  return sum;
}

// The scalar <seed, f(inputs)>: its slope along a random direction by central differences must be
// the inner product of that direction with the gradient.
using Function = std::function<Tensor(Context&, std::vector<Tensor>&)>;

void expect_gradients(const Function& f, std::vector<Tensor> inputs, double tolerance = 2e-3) {
  Backend backend;
  Tape tape;
  for (const Tensor& x : inputs) tape.watch(x);
  Context ctx{backend, Numerics::kExact, &tape};
  const Tensor y = f(ctx, inputs);
  const Tensor seed = random(y.shape(), 99);
  tape.add_grad(backend, y, seed.clone());
  tape.backward();
  const auto value = [&](std::vector<Tensor> at) {
    Context plain{backend, Numerics::kExact, nullptr};
    return inner(seed, f(plain, at));
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor direction = random(inputs[i].shape(), 100 + i);
    const float step = 1e-2f;
    auto plus = inputs, minus = inputs;
    plus[i] = inputs[i].clone(), minus[i] = inputs[i].clone();
    backend.axpy(plus[i].data<float>(), step, direction.data<float>(), direction.size());
    backend.axpy(minus[i].data<float>(), -step, direction.data<float>(), direction.size());
    const double slope = (value(plus) - value(minus)) / (2.0 * step);
    const double predicted = inner(direction, tape.grad(inputs[i]));
    EXPECT_NEAR(predicted, slope, tolerance * std::max(1.0, std::abs(slope))) << "input " << i;
    EXPECT_GT(std::abs(slope), 1e-3) << "input " << i << " has no influence";
  }
}

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
}

TEST(Ops, AttentionGradientsWithGroupsWindowAndSegments) {
  for (const int64_t window : {0, 40}) {
    const AttentionShape shape{4, 2, 8, 0.35f, window};
    const std::vector<AttentionSegment> segments = {{0, 90, 0, {}}, {90, 6, 0, {}}};
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) {
          return ops::attention_train(ctx, in[0], in[1], in[2], segments, shape);
        },
        {random({96, 32}, 1), random({96, 16}, 2), random({96, 16}, 3)});
  }
}

TEST(Ops, SwigluGradients) {
  expect_gradients(
      [](Context& ctx, std::vector<Tensor>& in) { return ops::swiglu(ctx, in[0], in[1]); },
      {random({3, 16}, 1), random({3, 16}, 2)});
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

TEST(Attention, TrainingEqualsInferenceBitForBit) {
  constexpr int64_t T = 150, H = 4, Hk = 2, Dh = 8, block = KvView::kBlockTokens;
  const AttentionShape shape{H, Hk, Dh, 0.35f, 0};
  const Tensor q = random({T, H * Dh}, 1), k = random({T, Hk * Dh}, 2), v = random({T, Hk * Dh}, 3);
  std::vector<std::vector<float>> kb(3), vb(3);
  std::vector<const void*> kp, vp;
  for (int b = 0; b < 3; ++b) {
    kb[b].resize(Hk * block * Dh), vb[b].resize(Hk * block * Dh);
    for (int64_t t = b * block; t < std::min<int64_t>(T, (b + 1) * block); ++t)
      for (int64_t h = 0; h < Hk; ++h)
        for (int64_t d = 0; d < Dh; ++d) {
          const int64_t to = (h * block + t - b * block) * Dh + d;
          kb[b][to] = k.data<float>()[t * Hk * Dh + h * Dh + d];
          vb[b][to] = v.data<float>()[t * Hk * Dh + h * Dh + d];
        }
    kp.push_back(kb[b].data()), vp.push_back(vb[b].data());
  }
  Backend backend;
  Context ctx{backend};
  const KvView view{kp.data(), vp.data(), DType::kF32};
  const std::vector<AttentionSegment> chunks = {{0, 70, 0, view}, {70, 80, 70, view}};
  const std::vector<AttentionSegment> whole = {{0, T, 0, {}}};
  const Tensor a = ops::attention(ctx, q, chunks, shape);
  const Tensor b = ops::attention_train(ctx, q, k, v, whole, shape);
  for (int64_t i = 0; i < a.size(); ++i) ASSERT_EQ(a.data<float>()[i], b.data<float>()[i]) << i;
}

TEST(Bf16, LinearKeepsOnlyRoundedRowsForBackward) {
  Backend backend;
  Tape tape;
  const Tensor w = random({4, 8}, 2);
  tape.watch(w);
  Context ctx{backend, Numerics::kBf16, &tape};
  const Tensor x = random({3, 8}, 1);
  const auto operand = std::make_shared<Operand>(x);
  const Tensor y = ops::linear(ctx, operand, Weight(w));
  EXPECT_FALSE(operand->has_f32());
  // A second product still reads the shared rounded form, and the backward does.
  const Tensor again = ops::linear(ctx, operand, Weight(w));
  EXPECT_EQ(inner(y, y), inner(again, again));
  tape.add_grad(backend, y, random({3, 4}, 3));
  tape.backward();
  EXPECT_TRUE(tape.has_grad(w.id()));
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
