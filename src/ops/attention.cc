// Attention (Vaswani et al. 2017), causal or over the whole segment, with an online softmax
// (Milakov & Gimelshein 2018) over chunks of kBlockTokens keys in order, so that a row's bits
// depend on its own keys alone. With a soft cap c (Gemma 2, 2024) every score s becomes c
// tanh(s/c).
//   s_ij = scale q_i·k_j (j visible to i);  p_ij = exp(s_ij - lse_i);  out_i = Σ_j p_ij v_j
//   D_i = dout_i·out_i;  ds_ij = scale (1 - (s_ij/c)²) p_ij (dout_i·v_j - D_i);
//   dv_j = Σ_i p_ij dout_i;  dq_i = Σ_j ds_ij k_j;  dk_j = Σ_i ds_ij q_i (over a group's heads too)
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/ops.h"

namespace sllm {
namespace {

constexpr int64_t kChunk = KvView::kBlockTokens;

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// q·k, scaled and capped.
float score(const float* q, const float* k, const AttentionShape& shape) {
  const float s = shape.scale * dot(q, k, shape.Dh);
  return shape.softcap > 0 ? shape.softcap * std::tanh(s / shape.softcap) : s;
}

// One query's softmax as it passes over its keys.
struct Running {
  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0;
};

// Keys [first, last) of a chunk; row j of k and v is j * stride away.
void attend(Running& state, float* out, const float* q, const float* k, const float* v,
            int64_t stride, int64_t first, int64_t last, const AttentionShape& shape) {
  float scores[kChunk];
  float largest = state.largest;
  for (int64_t j = first; j < last; ++j) {
    scores[j] = score(q, k + j * stride, shape);
    largest = std::max(largest, scores[j]);
  }
  const float shrink = std::exp(state.largest - largest);
  state.sum *= shrink;
  for (int64_t d = 0; d < shape.Dh; ++d) out[d] *= shrink;
  for (int64_t j = first; j < last; ++j) {
    const float p = std::exp(scores[j] - largest);
    state.sum += p;
    for (int64_t d = 0; d < shape.Dh; ++d) out[d] += p * v[j * stride + d];
  }
  state.largest = largest;
}

// All chunks of one query at `position` of `keys`; chunk(c) yields {k, v} of its keys.
template <class Chunk>
Running attend_all(float* out, const float* q, int64_t position, int64_t keys, int64_t stride,
                   const AttentionShape& shape, Chunk chunk) {
  Running state;
  std::fill(out, out + shape.Dh, 0.0f);
  const int64_t begin = shape.first_visible(position), end = shape.end_visible(position, keys);
  for (int64_t c = begin / kChunk; c * kChunk < end; ++c) {
    const auto [k, v] = chunk(c);
    attend(state, out, q, k, v, stride, std::max<int64_t>(begin - c * kChunk, 0),
           std::min(end - c * kChunk, kChunk), shape);
  }
  for (int64_t d = 0; d < shape.Dh; ++d) out[d] /= state.sum;
  return state;
}

}  // namespace

void Backend::attention(float* out, const float* q, std::span<const AttentionSegment> segments,
                        AttentionShape shape) {
  const int64_t group = shape.H / shape.Hk, size = kChunk * shape.Dh;
  std::vector<float> k, v;
  for (const AttentionSegment& segment : segments) {
    const int64_t keys = segment.position + segment.rows, blocks = (keys + kChunk - 1) / kChunk;
    for (int64_t head = 0; head < shape.Hk; ++head) {
      k.resize(static_cast<size_t>(blocks * size));
      v.resize(k.size());
      const auto& type = info(segment.kv.dtype);
      const int64_t offset = head * bytes_of(segment.kv.dtype, size);
      for (int64_t c = 0; c < blocks; ++c) {
        type.decode(static_cast<const char*>(segment.kv.k[c]) + offset, k.data() + c * size, size);
        type.decode(static_cast<const char*>(segment.kv.v[c]) + offset, v.data() + c * size, size);
      }
      for (int64_t row = 0; row < segment.rows; ++row)
        for (int64_t h = head * group; h < (head + 1) * group; ++h) {
          const int64_t at = ((segment.first_row + row) * shape.H + h) * shape.Dh;
          attend_all(
              out + at, q + at, segment.position + row, keys, shape.Dh, shape,
              [&](int64_t c) { return std::pair(k.data() + c * size, v.data() + c * size); });
        }
    }
  }
}

void Backend::attention_train(float* out, float* lse, const float* q, const float* k,
                              const float* v, std::span<const AttentionSegment> segments,
                              AttentionShape shape) {
  const int64_t group = shape.H / shape.Hk, stride = shape.Hk * shape.Dh;
  std::vector<float> keys, values;  // of one segment, in the order of their positions
  for (const AttentionSegment& segment : segments) {
    const int64_t total = segment.position + segment.rows;
    keys.resize(static_cast<size_t>(total * stride));
    values.resize(keys.size());
    for (int64_t j = 0; j < total; ++j) {
      const int64_t row = key_row(segments, segment, j);
      std::copy_n(k + row * stride, stride, keys.data() + j * stride);
      std::copy_n(v + row * stride, stride, values.data() + j * stride);
    }
    for (int64_t row = 0; row < segment.rows; ++row)
      for (int64_t h = 0; h < shape.H; ++h) {
        const int64_t at = (segment.first_row + row) * shape.H + h;
        const Running state =
            attend_all(out + at * shape.Dh, q + at * shape.Dh, segment.position + row, total,
                       stride, shape, [&](int64_t c) {
                         const int64_t offset = h / group * shape.Dh + c * kChunk * stride;
                         return std::pair(keys.data() + offset, values.data() + offset);
                       });
        lse[at] = state.largest + std::log(state.sum);
      }
  }
}

void Backend::attention_backward(float* dq, float* dk, float* dv, const float* dout, const float* q,
                                 const float* k, const float* v, const float* out, const float* lse,
                                 std::span<const AttentionSegment> segments, AttentionShape shape) {
  const int64_t group = shape.H / shape.Hk, stride = shape.Hk * shape.Dh, Dh = shape.Dh;
  for (const AttentionSegment& segment : segments) {
    const int64_t first = segment.first_row, end = first + segment.rows;
    const int64_t total = segment.position + segment.rows;
    std::fill(dk + first * stride, dk + end * stride, 0.0f);
    std::fill(dv + first * stride, dv + end * stride, 0.0f);
    std::fill(dq + first * shape.H * Dh, dq + end * shape.H * Dh, 0.0f);
    for (int64_t h = 0; h < shape.H; ++h)
      for (int64_t i = first; i < end; ++i) {
        const int64_t at = (i * shape.H + h) * Dh, position = segment.position + i - first;
        const float D = dot(dout + at, out + at, Dh);
        const int64_t last = shape.end_visible(position, total);
        for (int64_t j = shape.first_visible(position); j < last; ++j) {
          const int64_t key = key_row(segments, segment, j) * stride + h / group * Dh;
          const float s = score(q + at, k + key, shape), p = std::exp(s - lse[i * shape.H + h]);
          const float capped = shape.softcap > 0 ? s / shape.softcap : 0.0f;
          const float ds =
              shape.scale * (1.0f - capped * capped) * p * (dot(dout + at, v + key, Dh) - D);
          for (int64_t d = 0; d < Dh; ++d) {
            dv[key + d] += p * dout[at + d];
            dq[at + d] += ds * k[key + d];
            dk[key + d] += ds * q[at + d];
          }
        }
      }
  }
}

namespace ops {

Tensor attention(Context& ctx, const Tensor& q, std::span<const AttentionSegment> segments,
                 AttentionShape shape) {
  SLLM_CHECK(q.cols() == shape.H * shape.Dh, "attention: queries {}", q.to_string());
  Tensor out = Tensor::empty(DType::kF32, q.shape());
  ctx.backend.attention(out.data<float>(), q.data<float>(), segments, shape);
  return out;
}

Tensor attention_train(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                       std::span<const AttentionSegment> segments, AttentionShape shape) {
  SLLM_CHECK(q.cols() == shape.H * shape.Dh && k.cols() == shape.Hk * shape.Dh &&
                 v.cols() == k.cols() && q.rows() == k.rows() && v.rows() == k.rows(),
             "attention_train: {}, {}, {}", q.to_string(), k.to_string(), v.to_string());
  Tensor out = Tensor::empty(DType::kF32, q.shape());
  Tensor lse = Tensor::empty(DType::kF32, {q.rows(), shape.H});
  ctx.backend.attention_train(out.data<float>(), lse.data<float>(), q.data<float>(),
                              k.data<float>(), v.data<float>(), segments, shape);
  if (!ctx.recording({q.id(), k.id(), v.id()})) return out;
  ctx.tape->record(out, {q.id(), k.id(), v.id()},
                   [&backend = ctx.backend, q_var = Var(q), k_var = Var(k), v_var = Var(v),
                    q = Saved(ctx, q), k = Saved(ctx, k), v = Saved(ctx, v), out = Saved(ctx, out),
                    lse, segments = std::vector(segments.begin(), segments.end()),
                    shape](Tape& tape, const Tensor& dout) {
                     Tensor dq = Tensor::empty(DType::kF32, q_var.shape),
                            dk = Tensor::empty(DType::kF32, k_var.shape),
                            dv = Tensor::empty(DType::kF32, v_var.shape);
                     backend.attention_backward(
                         dq.data<float>(), dk.data<float>(), dv.data<float>(), dout.data<float>(),
                         q.f32(backend).data<float>(), k.f32(backend).data<float>(),
                         v.f32(backend).data<float>(), out.f32(backend).data<float>(),
                         lse.data<float>(), segments, shape);
                     tape.add_grad(backend, q_var, std::move(dq));
                     tape.add_grad(backend, k_var, std::move(dk));
                     tape.add_grad(backend, v_var, std::move(dv));
                   });
  return out;
}

}  // namespace ops
}  // namespace sllm
