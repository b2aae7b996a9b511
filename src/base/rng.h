// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy as
// 1, 2, 3" (SC 2011). No hidden state: the n-th number depends on (key, counter) alone, so a run
// resumed from a checkpoint draws what the uninterrupted run would have drawn.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace sllm {

inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                          std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0], p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// A stream of numbers named by (seed, stream). `position` is the whole state.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0, uint64_t position = 0)
      : seed_(seed), stream_(stream), position_(position) {}

  uint32_t next_u32() { return at(position_++); }
  uint64_t next_u64() { return uint64_t{next_u32()} << 32 | next_u32(); }
  // Uniform in [0, 1) with 24 and 53 bits.
  float uniform() { return static_cast<float>(next_u32() >> 8) * 0x1p-24f; }
  double uniform_double() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }
  // Uniform in [0, n), n > 0; without modulo bias.
  uint64_t below(uint64_t n) {
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x;
    do x = next_u64();
    while (x >= limit);
    return x % n;
  }
  // Standard normal (Box-Muller; two draws each).
  float normal() {
    const float u = 1.0f - uniform(), v = uniform();
    return std::sqrt(-2.0f * std::log(u)) * std::cos(6.28318530717958647692f * v);
  }
  uint64_t position() const { return position_; }

 private:
  uint32_t at(uint64_t n) const {
    const uint64_t block = n / 4;
    return philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                       static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)},
                      {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)})[n % 4];
  }
  uint64_t seed_, stream_, position_;
};

// Fisher-Yates with the given stream.
template <class Container>
void shuffle(Container& items, Rng& rng) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.below(i)]);
}

}  // namespace sllm
