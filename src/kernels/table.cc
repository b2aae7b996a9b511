// The choice of instruction set.
#include "kernels/table.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "kernels/levels.h"

namespace sllm::kernels {
namespace {

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_bf16() { return has_vnni() && __builtin_cpu_supports("avx512bf16"); }

// CPUID leaf 7: EDX bit 24 AMX-TILE, 22 AMX-BF16, 25 AMX-INT8. The kernel hands out the tiles' 8
// KiB of state on request (Linux 5.16: arch_prctl ARCH_REQ_XCOMP_PERM, feature 18).
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!has_bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kNeeded = 1u << 24 | 1u << 22 | 1u << 25;
  return (d & kNeeded) == kNeeded && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

struct Level {
  const KernelTable* table;
  bool (*runs_here)();
};
constexpr std::array<Level, 6> kLevels = {{{&scalar::table, [] { return true; }},
                                           {&avx2::table, has_avx2},
                                           {&avx512::table, has_avx512},
                                           {&avx512_vnni::table, has_vnni},
                                           {&avx512_bf16::table, has_bf16},
                                           {&amx::table, has_amx}}};

}  // namespace

std::vector<const KernelTable*> supported_levels() {
  std::vector<const KernelTable*> tables;
  for (const Level& level : kLevels)
    if (level.runs_here()) tables.push_back(level.table);
  return tables;
}

Result<const KernelTable*> choose(std::string_view name) {
  std::string known;
  for (size_t i = kLevels.size(); i-- > 0;) {
    const KernelTable* table = kLevels[i].table;
    if (name.empty() || name == table->name) {
      if (kLevels[i].runs_here()) return table;
      if (!name.empty())
        return with_hint(usage_error("SLLM_ISA={}: this processor does not support it", name),
                         "Unset SLLM_ISA to use the best level it supports");
    }
    known += std::string(known.empty() ? "" : ", ") + table->name;
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
