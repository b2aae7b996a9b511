#include "train/moments.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace sllm {
namespace {

constexpr int kLevels = 7;  // powers of ten: 1 to 1e-6

// Each level has twice as many values as the one below, the middles of equal parts of [0.1, 1].
std::array<float, 256> make_codes(bool is_signed) {
  std::array<float, 256> codes{};  // 0 among them
  size_t count = 1;
  codes[count++] = 1;
  for (int level = 0; level < kLevels; ++level) {
    const int parts = is_signed ? 1 << level : 2 << level;
    const double scale = std::pow(10.0, level - (kLevels - 1));
    for (int i = 0; i < parts; ++i) {
      const auto value = static_cast<float>(scale * (0.1 + 0.9 * (i + 0.5) / parts));
      codes[count++] = value;
      if (is_signed) codes[count++] = -value;
    }
  }
  std::sort(codes.begin(), codes.end());
  return codes;
}

// The nearest code, the lower one of two: from where the upper half of the number's bits points, a
// step or two further.
class Nearest {
 public:
  explicit Nearest(const std::array<float, 256>& codes) {
    for (size_t i = 0; i < 255; ++i) middles_[i] = (codes[i] + codes[i + 1]) / 2;
    middles_[255] = std::numeric_limits<float>::infinity();
    for (uint32_t upper = 0; upper < first_.size(); ++upper) {
      const float a = std::bit_cast<float>(upper << 16),
                  b = std::bit_cast<float>(upper << 16 | 0xFFFF), least = std::min(a, b);
      first_[upper] = static_cast<uint8_t>(
          std::lower_bound(middles_.begin(), middles_.end() - 1, least) - middles_.begin());
    }
  }
  uint8_t operator()(float x) const {
    uint8_t code = first_[std::bit_cast<uint32_t>(x) >> 16];
    while (x > middles_[code]) ++code;
    return code;
  }

 private:
  std::array<float, 256> middles_;
  std::array<uint8_t, 1 << 16> first_;
};

const Nearest& nearest(bool is_signed) {
  static const Nearest with_sign(moment_codes(true)), without(moment_codes(false));
  return is_signed ? with_sign : without;
}

}  // namespace

const std::array<float, 256>& moment_codes(bool is_signed) {
  static const std::array<float, 256> with_sign = make_codes(true), without = make_codes(false);
  return is_signed ? with_sign : without;
}

Moment Moment::zeros(const Shape& shape) { return {Tensor::zeros(DType::kF32, shape), {}}; }

Moment Moment::zeros_in_8_bits(int64_t n, bool is_signed) {
  Moment m{Tensor::empty(DType::kI8, {n}),
           Tensor::zeros(DType::kF32, {(n + kMomentBlock - 1) / kMomentBlock}), is_signed};
  std::memset(m.values.raw(), nearest(is_signed)(0), static_cast<size_t>(n));
  return m;
}

void Moment::read(float* out, int64_t begin, int64_t end, ThreadPool& pool) const {
  const auto& codes = moment_codes(is_signed);
  const auto* from = static_cast<const uint8_t*>(values.raw());
  const float* scale = scales.data<float>();
  pool.parallel_for(end - begin, kMomentBlock, [&](int64_t first, int64_t last) {
    for (int64_t i = begin + first; i < begin + last; ++i)
      out[i - begin] = codes[from[i]] * scale[i / kMomentBlock];
  });
}

void Moment::write(const float* in, int64_t begin, int64_t end, ThreadPool& pool) {
  const auto& codes = moment_codes(is_signed);
  auto* to = static_cast<uint8_t*>(values.raw());
  float* scale = scales.data<float>();
  const Nearest& code_of = nearest(is_signed);
  const auto first_above_0 =
      static_cast<uint8_t>(std::upper_bound(codes.begin(), codes.end(), 0.0f) - codes.begin());
  pool.parallel_for(end - begin, kMomentBlock, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; block += kMomentBlock) {
      const std::span<const float> x(in + block,
                                     static_cast<size_t>(std::min(kMomentBlock, last - block)));
      float most = 0;
      for (const float value : x) most = std::max(most, std::abs(value));
      scale[(begin + block) / kMomentBlock] = most;
      for (size_t i = 0; i < x.size(); ++i) {
        uint8_t code = code_of(most > 0 ? x[i] / most : 0);
        if (!is_signed && x[i] > 0) code = std::max(code, first_above_0);
        to[begin + block + static_cast<int64_t>(i)] = code;
      }
    }
  });
}

}  // namespace sllm
