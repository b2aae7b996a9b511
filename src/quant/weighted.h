// Encoding where it is known how much each column of a matrix matters: an error in a weight costs
// as much as the inputs that meet it are large, so llama.cpp's importance matrices hold the mean of
// squared inputs of each column (io/imatrix.h).
#pragma once

#include <cstdint>

#include "quant/format.h"

namespace sllm {

// Encodes one row of n numbers by the importance of its columns, [n], none of it negative.
using WeightedEncode = void (*)(const float* src, const float* importance, void* dst, int64_t n);

// Null for types whose encoders have nothing to search (F32, F16, BF16, Q8_0, MXFP4).
WeightedEncode weighted_encode(DType type);

}  // namespace sllm
