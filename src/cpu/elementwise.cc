// Norms, activations, losses and the optimiser: rows and elements split over threads.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/checked.h"
#include "cpu/cpu_backend_impl.h"

namespace sllm {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // elements worth waking another thread for

int64_t row_grain(int64_t D) { return std::max<int64_t>(1, kGrain / D); }
int64_t column_grain(int64_t N) { return std::max<int64_t>(64, kGrain / std::max<int64_t>(N, 1)); }

}  // namespace

void CpuBackend::embed(float* y, const Tensor& table, std::span<const int32_t> ids) {
  const int64_t D = table.cols();
  const auto decode = kernels_.decode[static_cast<int>(table.dtype())];
  pool_.parallel_for(std::ssize(ids), row_grain(D), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) decode(table.row(ids[i]), y + i * D, D);
  });
}

void CpuBackend::embed_backward(float* dtable, const float* dy, std::span<const int32_t> ids,
                                int64_t D) {
  pool_.parallel_for(D, 64, [&](int64_t begin, int64_t end) {  // by columns: ids may repeat
    for (int64_t i = 0; i < std::ssize(ids); ++i)
      kernels_.axpy(dtable + ids[i] * D + begin, 1.0f, dy + i * D + begin, end - begin);
  });
}

void CpuBackend::rms_norm(float* y, float* r, const float* x, const float* w, int64_t N, int64_t D,
                          float eps) {
  pool_.parallel_for(N, row_grain(D), [&](int64_t begin, int64_t end) {
    kernels_.rms_norm(y + begin * D, r ? r + begin : nullptr, x + begin * D, w, end - begin, D,
                      eps);
  });
}

void CpuBackend::rms_norm_backward(float* dx, float* dw, const float* dy, const float* x,
                                   const float* w, const float* r, int64_t N, int64_t D) {
  pool_.parallel_for(N, row_grain(D), [&](int64_t begin, int64_t end) {
    kernels_.rms_norm_dx(dx + begin * D, dy + begin * D, x + begin * D, w, r + begin, end - begin,
                         D);
  });
  if (!dw) return;
  pool_.parallel_for(D, column_grain(N), [&](int64_t begin, int64_t end) {
    kernels_.rms_norm_dw(dw + begin, dy + begin, x + begin, r, N, D, end - begin);
  });
}

void CpuBackend::layer_norm(float* y, float* stats, const float* x, const float* w, const float* b,
                            int64_t N, int64_t D, float eps) {
  pool_.parallel_for(N, row_grain(D), [&](int64_t begin, int64_t end) {
    kernels_.layer_norm(y + begin * D, stats ? stats + 2 * begin : nullptr, x + begin * D, w, b,
                        end - begin, D, eps);
  });
}

void CpuBackend::layer_norm_backward(float* dx, float* dw, float* db, const float* dy,
                                     const float* x, const float* w, const float* stats, int64_t N,
                                     int64_t D) {
  pool_.parallel_for(N, row_grain(D), [&](int64_t begin, int64_t end) {
    kernels_.layer_norm_dx(dx + begin * D, dy + begin * D, x + begin * D, w, stats + 2 * begin,
                           end - begin, D);
  });
  if (!dw && !db) return;
  pool_.parallel_for(D, column_grain(N), [&](int64_t begin, int64_t end) {
    kernels_.layer_norm_dw(dw ? dw + begin : nullptr, db ? db + begin : nullptr, dy + begin,
                           x + begin, stats, N, D, end - begin);
  });
}

void CpuBackend::rope(float* x, const float* cos, const float* sin, int64_t N, int64_t heads,
                      int64_t Dh, int64_t R, bool inverse) {
  const int64_t half = R / 2;
  pool_.parallel_for(N, row_grain(heads * Dh), [&](int64_t begin, int64_t end) {
    kernels_.rope(x + begin * heads * Dh, cos + begin * half, sin + begin * half, end - begin,
                  heads, Dh, half, inverse ? -1.0f : 1.0f);
  });
}

void CpuBackend::glu(float* y, const float* gate, const float* up, int64_t n, Activation f) {
  const auto kernel = kernels_.glu[static_cast<int>(f)];
  pool_.parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    kernel(y + begin, gate + begin, up ? up + begin : nullptr, end - begin);
  });
}

void CpuBackend::glu_backward(float* dgate, float* dup, const float* dy, const float* gate,
                              const float* up, int64_t n, Activation f) {
  const auto kernel = kernels_.glu_backward[static_cast<int>(f)];
  pool_.parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    kernel(dgate + begin, dup ? dup + begin : nullptr, dy + begin, gate + begin,
           up ? up + begin : nullptr, end - begin);
  });
}

void CpuBackend::copy_columns(float* y, int64_t ldy, const float* x, int64_t ldx, int64_t rows,
                              int64_t columns, bool accumulate) {
  pool_.parallel_for(rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (accumulate)
        kernels_.add(y + i * ldy, y + i * ldy, x + i * ldx, columns);
      else
        std::copy_n(x + i * ldx, columns, y + i * ldy);
    }
  });
}

void CpuBackend::add(float* y, const float* a, const float* b, int64_t n) {
  pool_.parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    kernels_.add(y + begin, a + begin, b + begin, end - begin);
  });
}

void CpuBackend::add_bias(float* y, const float* bias, int64_t N, int64_t D) {
  pool_.parallel_for(N, row_grain(D), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels_.add(y + i * D, y + i * D, bias, D);
  });
}

void CpuBackend::axpy(float* y, float a, const float* x, int64_t n) {
  pool_.parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    kernels_.axpy(y + begin, a, x + begin, end - begin);
  });
}

void CpuBackend::scale(float* x, float a, int64_t n) {
  pool_.parallel_for(
      n, kGrain, [&](int64_t begin, int64_t end) { kernels_.scale(x + begin, a, end - begin); });
}

double CpuBackend::sum_squares(const float* x, int64_t n) {
  constexpr int64_t kPart = 64 * 1024;  // parts are summed in order, whoever computed them
  std::vector<double> parts(static_cast<size_t>(ceil_div(n, kPart)));
  pool_.parallel_for(std::ssize(parts), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      parts[static_cast<size_t>(i)] =
          kernels_.sum_squares(x + i * kPart, std::min(kPart, n - i * kPart));
  });
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

void CpuBackend::to_bf16(bf16* y, const float* x, int64_t n) {
  pool_.parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    kernels_.decode_to_bf16[static_cast<int>(DType::kF32)](
        x + begin, reinterpret_cast<uint16_t*>(y) + begin, end - begin);
  });
}

void CpuBackend::from_bf16(float* y, const bf16* x, int64_t n) {
  pool_.parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    kernels_.decode[static_cast<int>(DType::kBF16)](x + begin, y + begin, end - begin);
  });
}

void CpuBackend::cross_entropy(float* loss, float* dlogits, const float* logits,
                               std::span<const int32_t> targets, const float* row_weight,
                               int64_t V) {
  pool_.parallel_for(std::ssize(targets), row_grain(V), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* row = logits + i * V;
      float largest;
      double sum;
      kernels_.log_sum_exp_parts(row, V, &largest, &sum);
      const float lse = largest + static_cast<float>(std::log(sum));
      loss[i] = lse - row[targets[i]];
      if (!dlogits) continue;
      kernels_.exp_scaled(dlogits + i * V, row, lse, row_weight[i], V);
      dlogits[i * V + targets[i]] -= row_weight[i];
    }
  });
}

void CpuBackend::adamw(float* p, const float* g, float* m, float* v, int64_t n,
                       const AdamW& options) {
  // Scalars in double, as Python has them; see ops/adamw.cc.
  const double step = static_cast<double>(options.step);
  const double correction1 = 1.0 - std::pow(options.beta1, step),
               correction2 = 1.0 - std::pow(options.beta2, step);
  const kernels::AdamWFactors factors{
      .grad_scale = options.grad_scale,
      .decay = static_cast<float>(1.0 - options.lr * options.weight_decay),
      .gain1 = static_cast<float>(1.0 - options.beta1),
      .beta2 = static_cast<float>(options.beta2),
      .gain2 = static_cast<float>(1.0 - options.beta2),
      .step_size = static_cast<float>(options.lr / correction1),
      .root2 = static_cast<float>(std::sqrt(correction2)),
      .eps = static_cast<float>(options.eps)};
  pool_.parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    kernels_.adamw(p + begin, g + begin, m + begin, v + begin, end - begin, factors);
  });
}

}  // namespace sllm
