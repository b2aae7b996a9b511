// DoRA (Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation"): a linear's row n keeps the
// direction of V = W + scale B A and gets the length magnitude[n].
#pragma once

#include "ops/ops.h"

namespace sllm {

float row_norm(const float* row, int64_t n);
// magnitude / norm; 1 for a row of zeros, which has no direction and stays as it is.
inline float dora_gain(float magnitude, float norm) { return norm > 0 ? magnitude / norm : 1; }
// F32 [N]: magnitude[n] / |V[n]|, by which a linear with the plain update must be multiplied.
// `weight`: [N, K] of any type; `magnitude`: F32 [N].
Tensor dora_gain(const Tensor& weight, const Lora& lora, const Tensor& magnitude);

}  // namespace sllm
