// The three named numerics of the program.
#pragma once

#include <cstdint>
#include <string_view>

namespace sllm {

enum class Numerics : uint8_t {
  kExact,  // f32 activations and accumulation, weights decoded to f32: the mode in which parity is
           // stated
  kBf16,   // activations rounded to bf16 at every matrix product, weights bf16, f32 accumulation
  kFast,   // activations rounded to int8 where a weight is in a block format and the processor's
           // level has such products, else as kBf16
};
std::string_view name(Numerics numerics);  // "exact", "bf16", "fast"

}  // namespace sllm
