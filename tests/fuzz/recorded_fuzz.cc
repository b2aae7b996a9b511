// Any bytes as a file of recorded predictions: every row can be read, or there is an error.
#include "eval/recorded.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file =
      sllm::eval::RecordedPredictions::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file.ok()) return 0;
  float sum = 0;
  for (int64_t c = 0; c < file->chunks(); ++c)
    for (int64_t r = 0; r < file->rows(); ++r)
      for (int64_t i = 0; i < file->vocabulary(); ++i)
        sum += file->row(c, r).log_prob(static_cast<size_t>(i));
  volatile float used = sum;
  (void)used;
  return 0;
}
