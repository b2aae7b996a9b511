// Layers that carry a state along the sequence. Formulas: ops/short_conv.cc, ops/delta_rule.cc.
#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "cpu/cpu_backend_impl.h"
#include "cpu/scratch.h"

namespace sllm {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // multiplications worth waking another thread for
constexpr int64_t kColumns = 64;       // of a state that one task takes through the tokens
constexpr int64_t kTokens = 32;        // between states kept for the backward

std::vector<float> transposed(const float* w, int64_t C, int64_t K) {
  std::vector<float> t(static_cast<size_t>(C * K));
  for (int64_t c = 0; c < C; ++c)
    for (int64_t j = 0; j < K; ++j) t[static_cast<size_t>(j * C + c)] = w[c * K + j];
  return t;
}

// The rows of one value head from row `row` on.
kernels::DeltaRows rows_of(const float* q, const float* k, const float* v, const float* g,
                           const float* beta, int64_t row, int64_t h, const DeltaShape& s) {
  const int64_t key = (row * s.Hk + h / (s.H / s.Hk)) * s.Dk, i = row * s.H + h;
  return {.q = q + key,
          .k = k + key,
          .v = v + i * s.Dv,
          .g = g + i,
          .beta = beta + i,
          .ldk = s.Hk * s.Dk,
          .ldv = s.H * s.Dv,
          .ldg = s.H,
          .lds = s.Dv,
          .Dk = s.Dk,
          .T = 1,
          .scale = s.scale};
}

}  // namespace

void CpuBackend::short_conv(float* y, const float* x, const float* w, const float* b,
                            std::span<const StateSegment> segments, int64_t C, int64_t K) {
  const std::vector<float> by_row = transposed(w, C, K), zeros(static_cast<size_t>(C));
  for (const StateSegment& s : segments) {
    const float* rows = x + s.first_row * C;
    const auto row = [&](int64_t t) {
      if (t >= 0) return rows + t * C;
      return s.state ? s.state + (t + K - 1) * C : zeros.data();
    };
    pool_.parallel_for(
        s.rows, std::max<int64_t>(1, kGrain / (C * K)), [&](int64_t begin, int64_t end) {
          std::vector<const float*> window(static_cast<size_t>(K));
          for (int64_t t = begin; t < end; ++t) {
            for (int64_t j = 0; j < K; ++j) window[j] = row(t - K + 1 + j);
            kernels_.short_conv(y + (s.first_row + t) * C, window.data(), by_row.data(), b, K, C);
          }
        });
  }
}

void CpuBackend::short_conv_backward(float* dx, float* dw, float* db, const float* dy,
                                     const float* x, const float* w,
                                     std::span<const StateSegment> segments, int64_t C, int64_t K) {
  // dx is the convolution of dy from the other end.
  std::vector<float> by_row = transposed(w, C, K), zeros(static_cast<size_t>(C)), reversed;
  for (int64_t j = K; j-- > 0;)
    reversed.insert(reversed.end(), by_row.begin() + j * C, by_row.begin() + (j + 1) * C);
  for (const StateSegment& s : segments)
    pool_.parallel_for(
        s.rows, std::max<int64_t>(1, kGrain / (C * K)), [&](int64_t begin, int64_t end) {
          std::vector<const float*> window(static_cast<size_t>(K));
          for (int64_t t = begin; t < end; ++t) {
            for (int64_t j = 0; j < K; ++j)
              window[j] = t + j < s.rows ? dy + (s.first_row + t + j) * C : zeros.data();
            kernels_.short_conv(dx + (s.first_row + t) * C, window.data(), reversed.data(), nullptr,
                                K, C);
          }
        });
  if (!dw && !db) return;
  std::vector<float> sums(static_cast<size_t>(C * K));  // [K, C]
  pool_.parallel_for(C, kColumns, [&](int64_t begin, int64_t end) {
    for (const StateSegment& s : segments)
      for (int64_t t = 0; t < s.rows; ++t) {
        const float* d = dy + (s.first_row + t) * C + begin;
        if (db) kernels_.add(db + begin, db + begin, d, end - begin);
        for (int64_t j = std::max<int64_t>(0, K - 1 - t); dw && j < K; ++j)
          kernels_.add_product(&sums[static_cast<size_t>(j * C + begin)], d,
                               x + (s.first_row + t - K + 1 + j) * C + begin, end - begin);
      }
    for (int64_t c = begin; dw && c < end; ++c)
      for (int64_t j = 0; j < K; ++j) dw[c * K + j] += sums[static_cast<size_t>(j * C + c)];
  });
}

void CpuBackend::delta_rule(float* out, const float* q, const float* k, const float* v,
                            const float* g, const float* beta,
                            std::span<const StateSegment> segments, DeltaShape shape) {
  const int64_t parts = ceil_div(shape.Dv, kColumns);
  for_each_task(std::ssize(segments) * shape.H * parts, [&](int64_t task) {
    const StateSegment& segment = segments[static_cast<size_t>(task / (shape.H * parts))];
    const int64_t h = task / parts % shape.H, column = task % parts * kColumns;
    const int64_t width = std::min(kColumns, shape.Dv - column);
    kernels::DeltaRows rows = rows_of(q, k, v, g, beta, segment.first_row, h, shape);
    rows.T = segment.rows;
    rows.v += column;
    float* state;
    if (segment.state) {
      state = segment.state + h * shape.Dk * shape.Dv + column;
    } else {
      state = thread_scratch<float, 2>(shape.Dk * width);
      std::fill_n(state, shape.Dk * width, 0.0f);
      rows.lds = width;
    }
    kernels_.delta_rule(state, out + (segment.first_row * shape.H + h) * shape.Dv + column, rows,
                        width);
  });
}

// One segment and key head: dq and dk are sums over its value heads. States are computed again,
// first every kTokens-th of the segment, then, from the last to the first of those, all between.
void CpuBackend::delta_rule_backward(float* dq, float* dk, float* dv, float* dg, float* dbeta,
                                     const float* dout, const float* q, const float* k,
                                     const float* v, const float* g, const float* beta,
                                     std::span<const StateSegment> segments, DeltaShape shape) {
  const int64_t Dv = shape.Dv, size = shape.Dk * Dv, group = shape.H / shape.Hk;
  for_each_task(std::ssize(segments) * shape.Hk, [&](int64_t task) {
    const StateSegment& segment = segments[static_cast<size_t>(task / shape.Hk)];
    const int64_t key_head = task % shape.Hk, parts = ceil_div(segment.rows, kTokens);
    for (int64_t r = 0; r < segment.rows; ++r) {
      const int64_t at = ((segment.first_row + r) * shape.Hk + key_head) * shape.Dk;
      std::fill_n(dq + at, shape.Dk, 0.0f);
      std::fill_n(dk + at, shape.Dk, 0.0f);
    }
    float* kept = thread_scratch<float, 2>((parts + kTokens + 1) * size + 3 * Dv);
    float *between = kept + parts * size, *G = between + kTokens * size, *scratch = G + size;
    for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h) {
      const auto advance = [&](float* to, const float* from, int64_t begin, int64_t tokens) {
        kernels::DeltaRows rows = rows_of(q, k, v, g, beta, segment.first_row + begin, h, shape);
        rows.T = tokens;
        std::copy_n(from, size, to);
        kernels_.delta_rule(to, nullptr, rows, Dv);
      };
      std::fill_n(kept, size, 0.0f);
      for (int64_t p = 1; p < parts; ++p)
        advance(kept + p * size, kept + (p - 1) * size, (p - 1) * kTokens, kTokens);
      std::fill_n(G, size, 0.0f);
      for (int64_t p = parts; p-- > 0;) {
        const int64_t begin = p * kTokens, tokens = std::min(kTokens, segment.rows - begin);
        std::copy_n(kept + p * size, size, between);
        for (int64_t t = 1; t < tokens; ++t)
          advance(between + t * size, between + (t - 1) * size, begin + t - 1, 1);
        for (int64_t t = tokens; t-- > 0;) {
          const int64_t row = segment.first_row + begin + t, at = row * shape.H + h;
          const kernels::DeltaRows rows = rows_of(q, k, v, g, beta, row, h, shape);
          const int64_t key = (row * shape.Hk + key_head) * shape.Dk;
          kernels_.delta_rule_gradient(G, dq + key, dk + key, dv + at * Dv, dg + at, dbeta + at,
                                       dout + at * Dv, between + t * size, rows, Dv, scratch);
        }
      }
    }
  });
}

}  // namespace sllm
