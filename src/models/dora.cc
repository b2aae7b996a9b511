#include "models/dora.h"

#include <cmath>

namespace sllm {

float row_norm(const float* row, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double{row[i]} * row[i];
  return static_cast<float>(std::sqrt(sum));
}

Tensor dora_gain(const Tensor& weight, const Lora& lora, const Tensor& magnitude) {
  const int64_t N = weight.rows(), K = weight.cols(), R = lora.A.N();
  const float *a = lora.A.tensor().data<float>(), *b = lora.B.tensor().data<float>();
  Tensor gain = Tensor::empty(DType::kF32, {N});
  std::vector<float> row(static_cast<size_t>(K));
  for (int64_t n = 0; n < N; ++n) {
    info(weight.dtype()).decode(weight.row(n), row.data(), K);
    for (int64_t r = 0; r < R; ++r) {
      const float factor = lora.scale * b[n * R + r];
      for (int64_t k = 0; k < K; ++k) row[static_cast<size_t>(k)] += factor * a[r * K + k];
    }
    gain.data<float>()[n] = dora_gain(magnitude.data<float>()[n], row_norm(row.data(), K));
  }
  return gain;
}

}  // namespace sllm
