// Arithmetic on sizes that came from a file: every product and sum is checked before use.
#pragma once

#include <cstdint>
#include <optional>

namespace sllm {

inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t r;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}
inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t r;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}
// a*b and a+b as int64_t that also stay <= limit; nullopt otherwise or when an operand is negative.
inline std::optional<int64_t> checked_mul_i64(int64_t a, int64_t b, int64_t limit = INT64_MAX) {
  int64_t r;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &r) || r > limit) return std::nullopt;
  return r;
}
inline int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
inline int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

}  // namespace sllm
