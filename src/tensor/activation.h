// The elementwise functions that a configuration may name and that ops apply; formulas in
// ops/activation.cc.
#pragma once

#include <cstdint>

namespace sllm {

enum class Activation : uint8_t { kIdentity, kSilu, kGelu, kGeluTanh, kRelu, kSigmoid, kTanh };

}  // namespace sllm
