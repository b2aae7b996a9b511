// Any bytes as an importance matrix, in either form.
#include "io/imatrix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto matrix = sllm::parse_imatrix(std::as_bytes(std::span(data, size)), "fuzz");
  if (!matrix.ok()) return 0;
  float sum = 0;
  for (const auto& [name, entry] : matrix->entries)
    for (const float mean : entry.mean_squares()) sum += mean;
  volatile float used = sum;
  (void)used;
  return 0;
}
