// Peaks of multiplication and memory; see machine_peaks.h. Twelve independent accumulators hide the
// latency of every pipe and, with the factors, fit the registers of AVX2.
#include "infer/machine_peaks.h"

#include <immintrin.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace sllm {
namespace {

constexpr int kChains = 12;
constexpr int64_t kRounds = 4'000'000;

// Each accumulator as changed by who knows what: equal ones would be merged into one, and the
// latency of a single chain be measured.
#define SLLM_KEEP(c)                                                                     \
  asm volatile(""                                                                        \
               : "+v"(c[0]), "+v"(c[1]), "+v"(c[2]), "+v"(c[3]), "+v"(c[4]), "+v"(c[5]), \
                 "+v"(c[6]), "+v"(c[7]));                                                \
  asm volatile("" : "+v"(c[8]), "+v"(c[9]), "+v"(c[10]), "+v"(c[11]))

__attribute__((target("avx2,fma"))) void f32_avx2() {
  __m256 a = _mm256_set1_ps(1), c[kChains] = {};
  for (int64_t i = 0; i < kRounds; ++i) {
    for (auto& x : c) x = _mm256_fmadd_ps(a, a, x);
    SLLM_KEEP(c);
  }
}
__attribute__((target("avx512f"))) void f32_avx512() {
  __m512 a = _mm512_set1_ps(1), c[kChains] = {};
  for (int64_t i = 0; i < kRounds; ++i) {
    for (auto& x : c) x = _mm512_fmadd_ps(a, a, x);
    SLLM_KEEP(c);
  }
}
__attribute__((target("avx512f,avx512bf16"))) void bf16_avx512() {
  const auto a = (__m512bh)_mm512_setzero_si512();
  __m512 c[kChains] = {};
  for (int64_t i = 0; i < kRounds; ++i) {
    for (auto& x : c) x = _mm512_dpbf16_ps(x, a, a);
    SLLM_KEEP(c);
  }
}
__attribute__((target("avx512f,avx512vnni"))) void int8_avx512() {
  const __m512i a = _mm512_set1_epi32(0x01010101);
  __m512i c[kChains] = {};
  for (int64_t i = 0; i < kRounds; ++i) {
    for (auto& x : c) x = _mm512_dpbusd_epi32(x, a, a);
    SLLM_KEEP(c);
  }
}
#undef SLLM_KEEP

double seconds_on(int threads, const std::function<void(int)>& work) {
  std::vector<std::thread> all;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < threads; ++t) all.emplace_back(work, t);
  for (auto& t : all) t.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Operations in billions per second; two (multiply, add) per lane and round.
double peak(int threads, void (*kernel)(), double lanes) {
  const double seconds = seconds_on(threads, [kernel](int) { kernel(); });
  return 2 * lanes * kChains * static_cast<double>(kRounds) * threads / seconds / 1e9;
}

double read_bandwidth(int threads) {
  constexpr size_t kBytes = size_t{1} << 29;  // far beyond any cache
  const auto memory = std::make_unique<uint64_t[]>(kBytes / 8);
  std::memset(memory.get(), 1, kBytes);
  const size_t words = kBytes / 8 / static_cast<size_t>(threads);
  std::vector<uint64_t> sums(static_cast<size_t>(threads) * 8);
  const double seconds = seconds_on(threads, [&](int t) {
    const uint64_t* p = memory.get() + static_cast<size_t>(t) * words;
    uint64_t sum[8] = {};
    for (size_t i = 0; i + 8 <= words; i += 8)
      for (size_t j = 0; j < 8; ++j) sum[j] ^= p[i + j];
    for (size_t j = 0; j < 8; ++j) sums[static_cast<size_t>(t) * 8 + j] = sum[j];
  });
  asm volatile("" ::"r"(sums.data()) : "memory");
  return static_cast<double>(kBytes) / seconds / 1e9;
}

}  // namespace

MachinePeaks measure_machine_peaks(int threads) {
  MachinePeaks peaks;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f"))
    peaks.f32_gflops = peak(threads, f32_avx512, 16);
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    peaks.f32_gflops = peak(threads, f32_avx2, 8);
  if (__builtin_cpu_supports("avx512bf16")) peaks.bf16_gflops = peak(threads, bf16_avx512, 32);
  if (__builtin_cpu_supports("avx512vnni")) peaks.int8_gops = peak(threads, int8_avx512, 64);
  peaks.read_gb_s = read_bandwidth(threads);
  return peaks;
}

}  // namespace sllm
