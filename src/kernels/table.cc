// The choice of instruction set.
#include "kernels/table.h"

#include <array>
#include <cstdlib>
#include <string>

#include "kernels/levels.h"

namespace sllm::kernels {
namespace {

constexpr std::array<const KernelTable*, 3> kLevels = {&scalar::table, &avx2::table,
                                                       &avx512::table};

}  // namespace

std::span<const KernelTable* const> levels() { return kLevels; }

bool supported(const KernelTable& level) {
  if (&level == &scalar::table) return true;
  const bool avx2_ok = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                       __builtin_cpu_supports("bmi2");
  if (&level == &avx2::table) return avx2_ok;
  const bool avx512_ok = avx2_ok && __builtin_cpu_supports("avx512f") &&
                         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl");
  if (&level == &avx512::table) return avx512_ok;
  return false;
}

Result<const KernelTable*> choose(std::string_view name) {
  std::string known;
  for (size_t i = kLevels.size(); i-- > 0;) {
    const KernelTable* level = kLevels[i];
    if (name == level->name && !supported(*level))
      return with_hint(usage_error("SLLM_ISA={}: this processor does not support it", name),
                       "Unset SLLM_ISA to use the best level it supports");
    if (name == level->name || (name.empty() && supported(*level))) return level;
    known += std::string(known.empty() ? "" : ", ") + level->name;
  }
  return with_hint(usage_error("SLLM_ISA={}: no such instruction set", name),
                   "Choose one of: " + known);
}

const Result<const KernelTable*>& active() {
  static const Result<const KernelTable*> chosen = [] {
    const char* forced = std::getenv("SLLM_ISA");
    return choose(forced ? forced : "");
  }();
  return chosen;
}

}  // namespace sllm::kernels
