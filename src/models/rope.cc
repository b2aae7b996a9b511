// Rotary position tables; see rope.h.
#include "models/rope.h"

#include <cmath>
#include <numbers>

namespace sllm {
namespace {

// Llama 3.1: long wavelengths are slowed by `factor`, short ones kept, those between interpolated
// (transformers, modeling_rope_utils._compute_llama3_parameters; all of it in float32).
float llama3(float inv_freq, const RopeScaling& s) {
  const auto context = static_cast<float>(s.original_context);
  const float wavelength = 2 * std::numbers::pi_v<float> / inv_freq;
  if (wavelength < context / s.high_freq_factor) return inv_freq;
  if (wavelength > context / s.low_freq_factor) return inv_freq / s.factor;
  const float smooth =
      (context / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return (1 - smooth) * (inv_freq / s.factor) + smooth * inv_freq;
}

}  // namespace

RopeTable::RopeTable(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  for (int64_t i = 0; i < config.Dh; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(config.Dh);
    float f = 1.0f / std::pow(config.rope_theta, exponent);
    if (scaling.type == "linear") f /= scaling.factor;
    if (scaling.type == "llama3") f = llama3(f, scaling);
    inv_freq_.push_back(f);
  }
}

void RopeTable::rows(const std::vector<int64_t>& positions, Tensor& cos, Tensor& sin) const {
  const auto N = static_cast<int64_t>(positions.size());
  const auto half = static_cast<int64_t>(inv_freq_.size());
  cos = Tensor::empty(DType::kF32, {N, half});
  sin = Tensor::empty(DType::kF32, {N, half});
  float* c = cos.data<float>();
  float* s = sin.data<float>();
  for (int64_t n = 0; n < N; ++n)
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(positions[n]) * inv_freq_[i];
      c[n * half + i] = std::cos(angle);
      s[n * half + i] = std::sin(angle);
    }
}

}  // namespace sllm
