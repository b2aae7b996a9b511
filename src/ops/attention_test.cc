// Attention against the formula written out: caps, windows, both directions; and its gradients.
#include <gmock/gmock.h>

#include "ops/gradient_check.h"

namespace sllm {
namespace {

std::vector<AttentionShape> variants() {
  std::vector<AttentionShape> all;
  for (const int64_t window : {0, 40})
    for (const float softcap : {0.0f, 1.5f})
      for (const bool causal : {true, false})
        all.push_back({.H = 4,
                       .Hk = 2,
                       .Dh = 8,
                       .scale = 0.35f,
                       .window = window,
                       .softcap = softcap,
                       .causal = causal});
  return all;
}

std::string describe(const AttentionShape& s) {
  return fmt::format("window {} softcap {} causal {}", s.window, s.softcap, s.causal);
}

TEST(Attention, IsTheFormulaOfItsShape) {
  const std::vector<AttentionSegment> segments = {{0, 90, 0, {}}, {90, 6, 0, {}}};
  const Tensor q = random({96, 32}, 1), k = random({96, 16}, 2), v = random({96, 16}, 3);
  Backend backend;
  Context ctx{backend};
  for (const AttentionShape& s : variants()) {
    SCOPED_TRACE(describe(s));
    const Tensor out = ops::attention_train(ctx, q, k, v, segments, s);
    for (const AttentionSegment& segment : segments)
      for (int64_t i = 0; i < segment.rows; ++i)
        for (int64_t h = 0; h < s.H; ++h) {
          double sum = 0, expected[8] = {};
          for (int64_t j = 0; j < segment.rows; ++j) {
            if (s.causal && j > i) continue;
            if (s.window > 0 && std::abs(i - j) >= s.window) continue;
            const int64_t key = (segment.first_row + j) * 16 + h / 2 * 8;
            double score = 0;
            for (int64_t d = 0; d < 8; ++d)
              score += double{q.data<float>()[(segment.first_row + i) * 32 + h * 8 + d]} *
                       k.data<float>()[key + d];
            score *= 0.35;
            if (s.softcap > 0) score = s.softcap * std::tanh(score / s.softcap);
            sum += std::exp(score);
            for (int64_t d = 0; d < 8; ++d)
              expected[d] += std::exp(score) * v.data<float>()[key + d];
          }
          for (int64_t d = 0; d < 8; ++d)  // sums of up to 90 f32 terms of size 1
            ASSERT_NEAR(out.data<float>()[(segment.first_row + i) * 32 + h * 8 + d],
                        expected[d] / sum, 2e-6);
        }
  }
}

TEST(Attention, Gradients) {
  const std::vector<AttentionSegment> segments = {{0, 90, 0, {}}, {90, 6, 0, {}}};
  for (const AttentionShape& s : variants()) {
    SCOPED_TRACE(describe(s));
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) {
          return ops::attention_train(ctx, in[0], in[1], in[2], segments, s);
        },
        {random({96, 32}, 1), random({96, 16}, 2), random({96, 16}, 3)});
  }
}

// Three texts of which two share 70 rows with all and 20 more with each other: borders within and
// between chunks.
std::vector<AttentionSegment> tree() {
  return {{0, 70, 0, {}},
          {70, 20, 70, {}, 0},
          {90, 9, 90, {}, 1},
          {99, 50, 90, {}, 1},
          {149, 7, 70, {}, 0}};
}

TEST(Attention, SharedRowsAreAsGoodAsOnesOwn) {
  const auto segments = tree();
  const Tensor q = random({156, 32}, 1), k = random({156, 16}, 2), v = random({156, 16}, 3);
  Backend backend;
  Context ctx{backend};
  for (const AttentionShape& s : variants()) {
    if (!s.causal) continue;
    SCOPED_TRACE(describe(s));
    const Tensor out = ops::attention_train(ctx, q, k, v, segments, s);
    for (const AttentionSegment& segment : segments) {
      const int64_t rows = segment.position + segment.rows;
      std::vector<Tensor> own;
      for (const Tensor* x : {&q, &k, &v}) {
        Tensor text = Tensor::empty(DType::kF32, {rows, x->cols()});
        for (int64_t i = 0; i < rows; ++i)
          std::copy_n(x->data<float>() + key_row(segments, segment, i) * x->cols(), x->cols(),
                      text.data<float>() + i * x->cols());
        own.push_back(text);
      }
      const std::vector<AttentionSegment> alone = {{0, rows, 0, {}}};
      const Tensor expected = ops::attention_train(ctx, own[0], own[1], own[2], alone, s);
      for (int64_t i = 0; i < segment.rows * 32; ++i)
        ASSERT_EQ(out.data<float>()[segment.first_row * 32 + i],
                  expected.data<float>()[segment.position * 32 + i]);
    }
  }
}

TEST(Attention, GradientsOfSharedRows) {
  for (const AttentionShape& s : variants()) {
    if (!s.causal) continue;
    SCOPED_TRACE(describe(s));
    expect_gradients(
        [&](Context& ctx, std::vector<Tensor>& in) {
          return ops::attention_train(ctx, in[0], in[1], in[2], tree(), s);
        },
        {random({156, 32}, 1), random({156, 16}, 2), random({156, 16}, 3)});
  }
}

TEST(Attention, TrainingEqualsInferenceBitForBit) {
  constexpr int64_t T = 150, H = 4, Hk = 2, Dh = 8, block = KvView::kBlockTokens;
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
  for (const AttentionShape& shape : variants()) {
    SCOPED_TRACE(describe(shape));
    const std::vector<AttentionSegment> one = {{0, T, 0, view}};
    const Tensor a = ops::attention(ctx, q, shape.causal ? chunks : one, shape);
    const Tensor b = ops::attention_train(ctx, q, k, v, whole, shape);
    for (int64_t i = 0; i < a.size(); ++i) ASSERT_EQ(a.data<float>()[i], b.data<float>()[i]) << i;
  }
}

}  // namespace
}  // namespace sllm
