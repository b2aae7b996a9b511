// What this machine can do at most, measured in a second or two, to print beside every speed.
#pragma once

#include <optional>

namespace sllm {

struct MachinePeaks {
  double f32_gflops = 0;              // fused multiply-add
  std::optional<double> bf16_gflops;  // vdpbf16ps; absent: the processor has none
  std::optional<double> int8_gops;    // vpdpbusd
  double read_gb_s = 0;               // memory
};
MachinePeaks measure_machine_peaks(int threads);

}  // namespace sllm
