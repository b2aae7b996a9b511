// Skips the program (exit code 77, see folder.cmake) when SLLM_ISA names a level this processor
// lacks.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "kernels/table.h"

namespace {

const bool kLevelRunsHere = [] {
  if (sllm::kernels::active().ok()) return true;
  std::fprintf(stderr, "skipped: %s\n", sllm::kernels::active().error().to_string().c_str());
  std::_Exit(77);
}();

}  // namespace
