// What an error in the number x costs: importance * sqrt(s + x^2), where s is the mean square of
// the numbers around it. Large numbers matter more, but small ones are not forgotten. Around it are
// the row, the block, or twice the block's; Q6_K has levels enough to go by the importance alone.
// Source: quantize_row_*_impl of llama.cpp's ggml-quants.c.
#include "quant/weighted.h"

#include <cmath>

#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

namespace sllm {
namespace {

enum class Around { kRow, kBlock, kTwiceBlock, kNothing };

float mean_square(const float* x, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum / static_cast<float>(n);
}

template <class Block, Around kAround>
void encode(const float* src, const float* importance, void* dst, int64_t n) {
  constexpr int N = Block::kElements;
  auto* block = static_cast<Block*>(dst);
  float around = kAround == Around::kRow ? mean_square(src, n) : 0, weight[N];
  for (int64_t first = 0; first < n; first += N) {
    const float *x = src + first, *column = importance + first;
    if constexpr (kAround == Around::kBlock) around = mean_square(x, N);
    if constexpr (kAround == Around::kTwiceBlock) around = 2 * mean_square(x, N);
    for (int i = 0; i < N; ++i)
      weight[i] =
          kAround == Around::kNothing ? column[i] : column[i] * std::sqrt(around + x[i] * x[i]);
    (block++)->encode(x, weight);
  }
}

}  // namespace

WeightedEncode weighted_encode(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return encode<BlockQ4_0, Around::kRow>;
    case DType::kQ4_1:
      return encode<BlockQ4_1, Around::kRow>;
    case DType::kQ5_0:
      return encode<BlockQ5_0, Around::kRow>;
    case DType::kQ5_1:
      return encode<BlockQ5_1, Around::kRow>;
    case DType::kQ2_K:
      return encode<BlockQ2_K, Around::kBlock>;
    case DType::kQ3_K:
      return encode<BlockQ3_K, Around::kTwiceBlock>;
    case DType::kQ4_K:
      return encode<BlockQ4_K, Around::kTwiceBlock>;
    case DType::kQ5_K:
      return encode<BlockQ5_K, Around::kTwiceBlock>;
    case DType::kQ6_K:
      return encode<BlockQ6_K, Around::kNothing>;
    case DType::kIQ4_NL:
      return encode<BlockIQ4_NL, Around::kTwiceBlock>;
    case DType::kIQ4_XS:
      return encode<BlockIQ4_XS, Around::kTwiceBlock>;
    default:
      return nullptr;
  }
}

}  // namespace sllm
