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

}  // namespace sllm
