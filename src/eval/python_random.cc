// MT19937 and the sampling algorithms of CPython's Lib/random.py.
#include "eval/python_random.h"

#include <bit>
#include <cmath>
#include <unordered_set>

#include "base/check.h"

namespace sllm::eval {

PythonRandom::PythonRandom(uint64_t seed) {
  constexpr size_t n = 624;
  state_[0] = 19650218u;
  for (size_t i = 1; i < n; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<uint32_t>(i);
  const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const size_t length = key[1] ? 2 : 1;
  size_t i = 1, j = 0;
  const auto step = [&] {
    if (++i >= n) state_[0] = state_[n - 1], i = 1;
  };
  for (size_t k = n; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] +
                static_cast<uint32_t>(j);
    step();
    j = (j + 1) % length;
  }
  for (size_t k = n - 1; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) -
                static_cast<uint32_t>(i);
    step();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  for (size_t i = 0; i < 624; ++i) {
    const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % 624] & 0x7fffffffu);
    state_[i] = state_[(i + 397) % 624] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0u);
  }
  at_ = 0;
}

uint32_t PythonRandom::next_u32() {
  if (at_ >= 624) refill();
  uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

double PythonRandom::random() {
  const uint32_t a = next_u32() >> 5, b = next_u32() >> 6;
  return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

uint64_t PythonRandom::below(uint64_t n) {
  const int bits = std::bit_width(n);
  const auto draw = [&]() -> uint64_t {  // getrandbits: low word first, then the high bits
    if (bits <= 32) return next_u32() >> (32 - bits);
    const uint64_t low = next_u32();
    return low | uint64_t{next_u32() >> (64 - bits)} << 32;
  };
  uint64_t r = draw();
  while (r >= n) r = draw();
  return r;
}

std::vector<int64_t> PythonRandom::sample(int64_t n, int64_t k) {
  SLLM_CHECK(k >= 0 && k <= n, "sample of {} from {}", k, n);
  std::vector<int64_t> drawn(k);
  double set_size = 21;  // size of a small set minus size of an empty list
  if (k > 5) set_size += std::pow(4, std::ceil(std::log(k * 3.0) / std::log(4.0)));
  if (static_cast<double>(n) <= set_size) {
    std::vector<int64_t> pool(n);
    for (int64_t i = 0; i < n; ++i) pool[i] = i;
    for (int64_t i = 0; i < k; ++i) {
      const uint64_t j = below(n - i);
      drawn[i] = pool[j];
      pool[j] = pool[n - i - 1];
    }
    return drawn;
  }
  std::unordered_set<int64_t> seen;
  for (int64_t& index : drawn) {
    do index = static_cast<int64_t>(below(n));
    while (!seen.insert(index).second);
  }
  return drawn;
}

}  // namespace sllm::eval
