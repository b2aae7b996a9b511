// The three named numerics of the program.
#pragma once

#include <cstdint>
#include <string_view>

#include "quant/format.h"

namespace sllm {

enum class Numerics : uint8_t {
  kExact,  // f32 activations and accumulation, weights decoded to f32: the mode in which parity is
           // stated
  kBf16,   // activations rounded to bf16 at every matrix product, weights bf16, f32 accumulation
  kFast,   // activations rounded to int8 where a weight is in a block format and the processor's
           // level has such products, else as kBf16; but as kExact where a weight is F32 or F16,
           // which hold more than bf16 can
};
std::string_view name(Numerics numerics);  // "exact", "bf16", "fast"

// What `numerics` means for a product with a weight of this type: kFast only for block formats.
Numerics for_weight(Numerics numerics, DType weight);

}  // namespace sllm
