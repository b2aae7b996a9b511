// Rotary position tables; see rope.h.
#include "models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sllm {
namespace {

// All of it in float32, in the order of transformers' modeling_rope_utils.

// Llama 3.1: long wavelengths are slowed by `factor`, short ones kept, those between interpolated.
float llama3(float inv_freq, const Rope& s) {
  const auto context = static_cast<float>(s.original_context);
  const float wavelength = 2 * std::numbers::pi_v<float> / inv_freq;
  if (wavelength < context / s.high_freq_factor) return inv_freq;
  if (wavelength > context / s.low_freq_factor) return inv_freq / s.factor;
  const float smooth =
      (context / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return (1 - smooth) * (inv_freq / s.factor) + smooth * inv_freq;
}

// YaRN (Peng et al. 2023): columns that turn more than beta_fast times within the original context
// are kept, those that turn less than beta_slow times interpolated, a ramp between them.
struct YarnRamp {
  double low, high;  // column pairs
  YarnRamp(const Rope& s, int64_t dims) {
    const auto pair_of = [&](double turns) {
      return static_cast<double>(dims) *
             std::log(static_cast<double>(s.original_context) / (turns * 2 * std::numbers::pi)) /
             (2 * std::log(static_cast<double>(s.theta)));
    };
    low = pair_of(s.beta_fast), high = pair_of(s.beta_slow);
    if (s.truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0), high = std::min(high, static_cast<double>(dims - 1));
    if (low == high) high += 0.001;
  }
  float interpolated(int64_t pair) const {  // share
    const auto at = static_cast<float>(pair) - static_cast<float>(low);
    return std::clamp(at / static_cast<float>(high - low), 0.0f, 1.0f);
  }
};

// Gemma 4: the frequencies of the whole head, of which so many pairs turn.
int64_t turning_pairs(const Rope& s, int64_t dims) {
  return static_cast<int64_t>(static_cast<double>(s.share) * static_cast<double>(dims) / 2 + 1e-4);
}

}  // namespace

RopeTable::RopeTable(const Rope& s, int64_t head_width) : rope_(s) {
  const int64_t dims = s.dims > 0 ? s.dims : head_width;
  const YarnRamp ramp(s, dims);
  for (int64_t i = 0; i < dims / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dims);
    const float power = std::pow(s.theta, exponent);
    float f = 1.0f / power;
    if (s.type == "linear" || s.type == "proportional") f /= s.factor;
    if (s.type == "proportional" && i >= turning_pairs(s, dims)) f = 0;
    if (s.type == "llama3") f = llama3(f, s);
    if (s.type == "yarn") {
      const float kept = 1 - ramp.interpolated(i);
      f = 1.0f / (s.factor * power) * (1 - kept) + f * kept;
    }
    if (s.type == "longrope") {
      long_inv_freq_.push_back(1.0f / (s.long_factor[static_cast<size_t>(i)] * power));
      f = 1.0f / (s.short_factor[static_cast<size_t>(i)] * power);
    }
    inv_freq_.push_back(f);
  }
  attention_factor_ = s.scale_of_angles();
}

Angles RopeTable::rows(const std::vector<int64_t>& positions,
                       const std::vector<int64_t>& text_lengths) const {
  const auto N = static_cast<int64_t>(positions.size());
  const auto half = static_cast<int64_t>(inv_freq_.size());
  Angles angles{Tensor::empty(DType::kF32, {N, half}), Tensor::empty(DType::kF32, {N, half})};
  float* c = angles.cos.data<float>();
  float* s = angles.sin.data<float>();
  for (int64_t n = 0; n < N; ++n) {
    const std::vector<float>& inv_freq =
        rope_.stretches(text_lengths[n]) ? long_inv_freq_ : inv_freq_;
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(positions[n]) * inv_freq[i];
      c[n * half + i] = std::cos(angle) * attention_factor_;
      s[n * half + i] = std::sin(angle) * attention_factor_;
    }
  }
  return angles;
}

}  // namespace sllm
