#include "io/gguf_rope.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sllm {
namespace {

Tensor reorder(const Tensor& t, int64_t heads, bool to_ggml) {
  const int64_t total = t.shape()[0], head = total / heads, half = head / 2;
  // A bias is one row of numbers, but it moves by element like the rows of its weight.
  const size_t row_bytes = static_cast<size_t>(t.bytes() / total);
  Tensor out = Tensor::empty(t.dtype(), t.shape());
  const auto* src = static_cast<const char*>(t.raw());
  auto* dst = static_cast<char*>(out.raw());
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < half; ++i)
      for (int64_t part = 0; part < 2; ++part) {
        const auto hf = static_cast<size_t>(h * head + part * half + i),
                   ggml = static_cast<size_t>(h * head + 2 * i + part);
        const size_t from = to_ggml ? hf : ggml, to = to_ggml ? ggml : hf;
        std::memcpy(dst + to * row_bytes, src + from * row_bytes, row_bytes);
      }
  return out;
}

double inverse_wavelength(const ModelConfig& c, size_t i) {
  const double frequency =
      std::pow(static_cast<double>(c.rope.theta),
               -2.0 * static_cast<double>(i) / static_cast<double>(c.rope_dims()));
  return frequency / (2 * M_PI);
}

}  // namespace

Tensor to_ggml_rows(const Tensor& t, int64_t heads) { return reorder(t, heads, true); }
Tensor to_hf_rows(const Tensor& t, int64_t heads) { return reorder(t, heads, false); }

// Llama 3.1: wavelengths shorter than original/high keep their frequency, those longer than
// original/low are divided by factor, and between them 1/divisor moves linearly in 1/wavelength.
std::vector<float> llama3_divisors(const ModelConfig& c) {
  const Rope& r = c.rope;
  std::vector<float> divisors(static_cast<size_t>(c.rope_dims() / 2));
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double turns = static_cast<double>(r.original_context) * inverse_wavelength(c, i);
    const double smooth = std::clamp(
        (turns - r.low_freq_factor) / (r.high_freq_factor - r.low_freq_factor), 0.0, 1.0);
    divisors[i] = static_cast<float>(1 / ((1 - smooth) / r.factor + smooth));
  }
  return divisors;
}

std::optional<Rope> llama3_from_divisors(const ModelConfig& c, std::span<const float> divisors) {
  if (static_cast<int64_t>(divisors.size()) != c.rope_dims() / 2) return std::nullopt;
  Rope r = c.rope;
  r.type = "llama3";
  r.factor = 1;
  for (float d : divisors) {
    if (!(d >= 1) || !std::isfinite(d)) return std::nullopt;
    r.factor = std::max(r.factor, d);
  }
  if (r.factor == 1) return c.rope;
  // smooth = turns_per_token * a - b on the slope: least squares over the points strictly inside.
  // Only a and b matter, so high - low is fixed at Llama's 3, from which low = 3 b, original = 3 a.
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double floor = 1.0 / r.factor, smooth = (1.0 / divisors[i] - floor) / (1 - floor);
    if (smooth < 1e-4 || smooth > 1 - 1e-4) continue;
    const double x = inverse_wavelength(c, i);
    n += 1, sx += x, sy += smooth, sxx += x * x, sxy += x * smooth;
  }
  const double determinant = n * sxx - sx * sx;
  if (n >= 2 && determinant > 0) {
    const double a = (n * sxy - sx * sy) / determinant, b = (a * sx - sy) / n;
    r.low_freq_factor = static_cast<float>(3 * b);
    r.high_freq_factor = static_cast<float>(3 * b + 3);
    r.original_context = std::llround(3 * a);
    // Stored values are Llama's round ones seen through float noise.
    if (std::fabs(r.low_freq_factor - std::round(r.low_freq_factor)) < 0.01f) {
      r.low_freq_factor = std::round(r.low_freq_factor);
      r.high_freq_factor = r.low_freq_factor + 3;
    }
    const int64_t rounded = (r.original_context + 64) / 128 * 128;
    if (std::llabs(rounded - r.original_context) <= 8) r.original_context = rounded;
  }
  ModelConfig check = c;
  check.rope = r;
  if (!(r.low_freq_factor > 0) || r.original_context < 1) return std::nullopt;
  const std::vector<float> again = llama3_divisors(check);
  for (size_t i = 0; i < divisors.size(); ++i)
    if (std::fabs(again[i] - divisors[i]) > 2e-3f * divisors[i]) return std::nullopt;
  return r;
}

}  // namespace sllm
