// Everything but matrix products against the reference, at odd sizes, and against itself on other
// numbers of threads. Runs once per instruction set (SLLM_ISA).
#include <gmock/gmock.h>

#include "cpu/compare.h"

namespace sllm {
namespace {

TEST_F(CpuOps, Elementwise) {
  for (int64_t n : {1, 15, 33, 70001}) {
    const Tensor a = random({n}, 1), b = random({n}, 2), c = random({n}, 3);
    const auto f = [&](auto op) {
      compare([&](Backend& backend) {
        Tensor y = c.clone(), z = b.clone();
        op(backend, y.data<float>(), z.data<float>());
        return std::vector{y, z};
      });
    };
    const float *pa = a.data<float>(), *pb = b.data<float>();
    f([&](Backend& k, float* y, float*) { k.add(y, pa, pb, n); });
    f([&](Backend& k, float* y, float*) { k.axpy(y, 0.3f, pa, n); });
    f([&](Backend& k, float* y, float*) { k.scale(y, 0.3f, n); });
    const float* pc = c.data<float>();
    for (const Activation g :
         {Activation::kIdentity, Activation::kSilu, Activation::kGelu, Activation::kGeluTanh,
          Activation::kRelu, Activation::kSigmoid, Activation::kTanh}) {
      SCOPED_TRACE(static_cast<int>(g));
      f([&](Backend& k, float* y, float*) { k.glu(y, pa, pb, n, g); });
      f([&](Backend& k, float* y, float*) { k.glu(y, pa, nullptr, n, g); });
      f([&](Backend& k, float* y, float* z) { k.glu_backward(y, z, pc, pa, pb, n, g); });
      f([&](Backend& k, float* y, float*) { k.glu_backward(y, nullptr, pc, pa, nullptr, n, g); });
    }
    EXPECT_NEAR(cpu->sum_squares(pa, n) / reference.sum_squares(pa, n), 1, 1e-6);
    EXPECT_EQ(cpu->sum_squares(pa, n), alone->sum_squares(pa, n));
  }
}

TEST_F(CpuOps, ActivationsAtExtremes) {
  const std::vector<float> x = {-1e4f, -90, -0.0f, 90, 1e4f};
  const auto expect = [&](Activation f, const std::vector<float>& expected) {
    float y[5];
    cpu->glu(y, x.data(), nullptr, 5, f);
    EXPECT_THAT(y, testing::Pointwise(testing::FloatNear(1e-30f), expected)) << int(f);
  };
  for (const Activation f : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh})
    expect(f, {0.0f, 0.0f, 0.0f, 90.0f, 1e4f});
  expect(Activation::kTanh, {-1, -1, 0, 1, 1});
}

// Element by element, not only in the mean: near zero, where tanh cancels, and in gelu's tails.
TEST_F(CpuOps, TanhAndGeluAreCloseEverywhere) {
  for (float x = -5.5f; x < 5.5f; x += 1.0f / 512) {
    float y;
    cpu->glu(&y, &x, nullptr, 1, Activation::kTanh);
    EXPECT_NEAR(y, std::tanh(double{x}), 2.5e-7 * std::abs(x)) << x;
    // exp(-x²/2) from an f32 x²/2 is off by half a unit in the last place of it, 15 at most.
    cpu->glu(&y, &x, nullptr, 1, Activation::kGelu);
    const double expected = 0.5 * x * std::erfc(-x * std::sqrt(0.5));
    EXPECT_NEAR(y, expected, 2.5e-6 * std::abs(expected)) << x;
  }
}

TEST_F(CpuOps, CopyColumns) {
  const int64_t N = 700, ldx = 50, ldy = 41;
  const Tensor x = random({N, ldx}, 1), before = random({N, ldy}, 2);
  for (const bool accumulate : {false, true})
    compare([&](Backend& backend) {
      Tensor y = before.clone();
      backend.copy_columns(y.data<float>() + 3, ldy, x.data<float>() + 11, ldx, N, 37, accumulate);
      return std::vector{y};
    });
}

TEST_F(CpuOps, AdamWStepsLikeTheReference) {
  const int64_t n = 40003;
  const Tensor g = random({n}, 1), p = random({n}, 2), m = random({n}, 3), v = random({n}, 4);
  compare([&](Backend& backend) {
    Tensor p1 = p.clone(), m1 = m.clone(), v1 = Tensor::empty(DType::kF32, {n});
    for (int64_t i = 0; i < n; ++i) v1.data<float>()[i] = std::abs(v.data<float>()[i]);
    for (int64_t step : {1, 2, 100})
      backend.adamw(p1.data<float>(), g.data<float>(), m1.data<float>(), v1.data<float>(), n,
                    {.lr = 1e-2,
                     .beta1 = 0.9,
                     .beta2 = 0.999,
                     .eps = 1e-8,
                     .weight_decay = 0.1,
                     .grad_scale = 0.5f,
                     .step = step});
    return std::vector{p1, m1, v1};
  });
}

TEST_F(CpuOps, RmsNorm) {
  for (auto [N, D] : {std::pair<int64_t, int64_t>{1, 7}, {37, 576}, {5, 900}, {3, 1}}) {
    const Tensor x = random({N, D}, 1), w = random({D}, 2), dy = random({N, D}, 3),
                 sums = random({N, D}, 4);
    compare([&](Backend& backend) {
      Tensor y = Tensor::empty(DType::kF32, {N, D}), r = Tensor::empty(DType::kF32, {N}),
             dx = sums.clone(), dw = w.clone();
      backend.rms_norm(y.data<float>(), r.data<float>(), x.data<float>(), w.data<float>(), N, D,
                       1e-5f);
      backend.rms_norm_backward(dx.data<float>(), dw.data<float>(), dy.data<float>(),
                                x.data<float>(), w.data<float>(), r.data<float>(), N, D);
      return std::vector{y, r, dx, dw};
    });
  }
}

TEST_F(CpuOps, LayerNorm) {
  for (auto [N, D] : {std::pair<int64_t, int64_t>{1, 7}, {37, 576}, {5, 900}, {9, 2100}}) {
    const Tensor x = random({N, D}, 1), w = random({D}, 2), b = random({D}, 3),
                 dy = random({N, D}, 4), sums = random({N, D}, 5);
    for (const bool with_bias : {true, false})
      compare([&](Backend& backend) {
        Tensor y = Tensor::empty(DType::kF32, {N, D}), stats = Tensor::empty(DType::kF32, {N, 2}),
               dx = sums.clone(), dw = w.clone(), db = b.clone();
        backend.layer_norm(y.data<float>(), stats.data<float>(), x.data<float>(), w.data<float>(),
                           with_bias ? b.data<float>() : nullptr, N, D, 1e-5f);
        backend.layer_norm_backward(dx.data<float>(), dw.data<float>(),
                                    with_bias ? db.data<float>() : nullptr, dy.data<float>(),
                                    x.data<float>(), w.data<float>(), stats.data<float>(), N, D);
        return std::vector{y, dx, dw, db};
      });
  }
}

TEST_F(CpuOps, RopeTurnsAndTurnsBack) {
  for (auto [N, heads, Dh, R] : {std::array<int64_t, 4>{1, 1, 2, 2},
                                 {5, 3, 64, 64},
                                 {3, 2, 36, 36},
                                 {5, 3, 80, 20},
                                 {2, 2, 7, 6}}) {
    const Tensor x = random({N, heads * Dh}, 1), cos = random({N, R / 2}, 2),
                 sin = random({N, R / 2}, 3);
    for (bool inverse : {false, true})
      compare([&](Backend& backend) {
        Tensor y = x.clone();
        backend.rope(y.data<float>(), cos.data<float>(), sin.data<float>(), N, heads, Dh, R,
                     inverse);
        return std::vector{y};
      });
  }
}

TEST_F(CpuOps, CrossEntropy) {
  for (int64_t V : {3, 1000, 49155}) {
    const Tensor logits = random({5, V}, 1), weight = random({5}, 2);
    const std::vector<int32_t> targets = {0, 2, 1, static_cast<int32_t>(V - 1), 2};
    compare([&](Backend& backend) {
      Tensor loss = Tensor::empty(DType::kF32, {5}), d = logits.clone(), only = loss.clone();
      backend.cross_entropy(loss.data<float>(), d.data<float>(), d.data<float>(), targets,
                            weight.data<float>(), V);
      backend.cross_entropy(only.data<float>(), nullptr, logits.data<float>(), targets, nullptr, V);
      return std::vector{loss, d, only};
    });
  }
}

TEST_F(CpuOps, Embed) {
  const Tensor table = random({10, 256}, 1), dy = random({4, 256}, 2);
  const std::vector<int32_t> ids = {3, 9, 3, 0};
  for (DType type : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_K}) {
    const Tensor stored = encoded(table, type);
    compare([&](Backend& backend) {
      Tensor y = Tensor::empty(DType::kF32, {4, 256}), d = table.clone();
      backend.embed(y.data<float>(), stored, ids);
      backend.embed_backward(d.data<float>(), dy.data<float>(), ids, 256);
      return std::vector{y, d};
    });
  }
}

TEST_F(CpuOps, ConvertsToBf16AndBack) {
  const Tensor x = random({3, 33}, 1);
  compare([&](Backend& backend) {
    Tensor h = Tensor::empty(DType::kBF16, x.shape()), y = Tensor::empty(DType::kF32, x.shape());
    backend.to_bf16(h.data<bf16>(), x.data<float>(), x.size());
    backend.from_bf16(y.data<float>(), h.data<bf16>(), x.size());
    return std::vector{y};
  });
}

// Keys and values of one sequence in blocks, as the models' state keeps them.
struct Cache {
  Tensor k, v;  // [blocks, Hk, 64, Dh]
  std::vector<const void*> k_blocks, v_blocks;
  Cache(const Tensor& keys, const Tensor& values, int64_t first, int64_t rows,
        const AttentionShape& s, DType type) {
    const int64_t blocks = (rows + 63) / 64;
    const auto lay = [&](const Tensor& from, std::vector<const void*>& pointers) {
      Tensor f = Tensor::zeros(DType::kF32, {blocks, s.Hk, 64, s.Dh});
      for (int64_t t = 0; t < rows; ++t)
        for (int64_t h = 0; h < s.Hk; ++h)
          std::memcpy(f.data<float>() + (((t / 64) * s.Hk + h) * 64 + t % 64) * s.Dh,
                      from.data<float>() + ((first + t) * s.Hk + h) * s.Dh,
                      static_cast<size_t>(s.Dh) * 4);
      Tensor stored = encoded(f, type);
      for (int64_t b = 0; b < blocks; ++b)
        pointers.push_back(static_cast<char*>(stored.raw()) + b * bytes_of(type, s.Hk * 64 * s.Dh));
      return stored;
    };
    k = lay(keys, k_blocks);
    v = lay(values, v_blocks);
  }
  KvView view() const { return {k_blocks.data(), v_blocks.data(), k.dtype()}; }
};

std::vector<AttentionShape> shapes() {
  return {{.H = 4, .Hk = 2, .Dh = 64, .scale = 0.125f},
          {.H = 3, .Hk = 3, .Dh = 20, .scale = 0.2f},
          {.H = 7, .Hk = 1, .Dh = 48, .scale = 0.1f, .window = 70},
          {.H = 4, .Hk = 1, .Dh = 8, .scale = 0.3f, .window = 70, .softcap = 2},
          {.H = 2, .Hk = 1, .Dh = 80, .scale = 0.1f, .softcap = 50},
          {.H = 2, .Hk = 2, .Dh = 16, .scale = 0.25f, .causal = false},
          {.H = 2, .Hk = 1, .Dh = 24, .scale = 0.2f, .window = 40, .causal = false}};
}

// Head widths of the models there are, and of tiny ones for tests.
TEST_F(CpuOps, AttentionOfEveryHeadWidth) {
  for (const int64_t Dh : {4, 8, 12, 16, 20, 24, 96, 128, 256, 512}) {
    const AttentionShape s{.H = 2, .Hk = 1, .Dh = Dh, .scale = 1 / std::sqrt(float(Dh))};
    const std::vector<AttentionSegment> segments = {{.first_row = 0, .rows = 67}};
    const Tensor q = random({67, 2 * Dh}, 1), k = random({67, Dh}, 2), v = random({67, Dh}, 3),
                 dout = random({67, 2 * Dh}, 4);
    SCOPED_TRACE(Dh);
    compare([&](Backend& backend) {
      Tensor out = Tensor::empty(DType::kF32, q.shape()), dq = out.clone(),
             lse = Tensor::empty(DType::kF32, {67, 2}), dk = k.clone(), dv = v.clone();
      backend.attention_train(out.data<float>(), lse.data<float>(), q.data<float>(),
                              k.data<float>(), v.data<float>(), segments, s);
      backend.attention_backward(
          dq.data<float>(), dk.data<float>(), dv.data<float>(), dout.data<float>(), q.data<float>(),
          k.data<float>(), v.data<float>(), out.data<float>(), lse.data<float>(), segments, s);
      return std::vector{out, lse, dq, dk, dv};
    });
  }
}

TEST_F(CpuOps, AttentionTrainForwardAndBackward) {
  const std::vector<AttentionSegment> apart = {
      {.first_row = 0, .rows = 65}, {.first_row = 65, .rows = 1}, {.first_row = 66, .rows = 203}};
  // Texts that begin alike, their borders within and between chunks of keys.
  const std::vector<AttentionSegment> trees = {
      {.first_row = 0, .rows = 85},
      {.first_row = 85, .rows = 30, .position = 85, .before = 0},
      {.first_row = 115, .rows = 70, .position = 115, .before = 1},
      {.first_row = 185, .rows = 1, .position = 115, .before = 1},
      {.first_row = 186, .rows = 3},
      {.first_row = 189, .rows = 80, .position = 85, .before = 0}};
  const int64_t N = 269;
  const auto compare_on = [&](std::span<const AttentionSegment> segments, const AttentionShape& s) {
    const Tensor q = random({N, s.H * s.Dh}, 1), k = random({N, s.Hk * s.Dh}, 2),
                 v = random({N, s.Hk * s.Dh}, 3), dout = random({N, s.H * s.Dh}, 4);
    compare([&](Backend& backend) {
      Tensor out = Tensor::empty(DType::kF32, q.shape()), dq = out.clone(),
             lse = Tensor::empty(DType::kF32, {N, s.H}), dk = k.clone(), dv = v.clone();
      backend.attention_train(out.data<float>(), lse.data<float>(), q.data<float>(),
                              k.data<float>(), v.data<float>(), segments, s);
      backend.attention_backward(
          dq.data<float>(), dk.data<float>(), dv.data<float>(), dout.data<float>(), q.data<float>(),
          k.data<float>(), v.data<float>(), out.data<float>(), lse.data<float>(), segments, s);
      return std::vector{out, lse, dq, dk, dv};
    });
  };
  for (const AttentionShape& s : shapes()) {
    compare_on(apart, s);
    if (s.causal) compare_on(trees, s);
  }
}

TEST_F(CpuOps, AttentionReadsPagesOfEveryType) {
  for (const AttentionShape& s : shapes())
    for (DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
      const Tensor q = random({80, s.H * s.Dh}, 1), k = random({300, s.Hk * s.Dh}, 2),
                   v = random({300, s.Hk * s.Dh}, 3);
      const Cache a(k, v, 0, 130, s, type), b(k, v, 100, 200, s, type);
      const std::vector<AttentionSegment> segments = {
          {.first_row = 0, .rows = 1, .position = 129, .kv = a.view()},
          {.first_row = 1, .rows = 79, .position = 121, .kv = b.view()}};
      compare([&](Backend& backend) {
        Tensor out = Tensor::empty(DType::kF32, q.shape());
        backend.attention(out.data<float>(), q.data<float>(), segments, s);
        return std::vector{out};
      });
    }
}

TEST_F(CpuOps, AttentionHasTheSameBitsInChunksAndInTraining) {
  for (const AttentionShape& s : shapes()) {
    const int64_t N = 203;
    const Tensor q = random({N, s.H * s.Dh}, 1), k = random({N, s.Hk * s.Dh}, 2),
                 v = random({N, s.Hk * s.Dh}, 3);
    const Cache cache(k, v, 0, N, s, DType::kF32);
    Tensor whole = Tensor::empty(DType::kF32, q.shape()), pieces = whole.clone(),
           trained = whole.clone(), lse = Tensor::empty(DType::kF32, {N, s.H});
    const AttentionSegment all{.first_row = 0, .rows = N, .position = 0, .kv = cache.view()};
    cpu->attention(whole.data<float>(), q.data<float>(), {&all, 1}, s);
    cpu->attention_train(trained.data<float>(), lse.data<float>(), q.data<float>(), k.data<float>(),
                         v.data<float>(), {&all, 1}, s);
    EXPECT_TRUE(same_bits(whole.raw(), trained.raw(), whole.size()));
    if (!s.causal) continue;  // what comes later counts: there are no pieces
    for (int64_t begin = 0, rows = 1; begin < N; begin += rows, rows = rows * 3 % 40 + 1) {
      const AttentionSegment part{.first_row = begin,
                                  .rows = std::min(rows, N - begin),
                                  .position = begin,
                                  .kv = cache.view()};
      alone->attention(pieces.data<float>(), q.data<float>(), {&part, 1}, s);
    }
    EXPECT_TRUE(same_bits(whole.raw(), pieces.raw(), whole.size()));
  }
}

}  // namespace
}  // namespace sllm
