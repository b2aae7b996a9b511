// Names of the three numerics.
#include "ops/numerics.h"

namespace sllm {

std::string_view name(Numerics numerics) {
  switch (numerics) {
    case Numerics::kExact:
      return "exact";
    case Numerics::kBf16:
      return "bf16";
    case Numerics::kFast:
      return "fast";
  }
  return "";
}

Numerics for_weight(Numerics numerics, DType weight) {
  if (numerics != Numerics::kFast || is_block_format(weight)) return numerics;
  return weight == DType::kBF16 ? Numerics::kBf16 : Numerics::kExact;
}

}  // namespace sllm
