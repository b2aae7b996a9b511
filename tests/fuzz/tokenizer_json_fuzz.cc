// tokenizer.json from anywhere: loads or is refused; what loads
// encodes and decodes text and converts or is refused.
#include <algorithm>
#include <cstdint>
#include <string>

#include "tokenizer_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  // The first byte says how many bytes at the end are the text.
  const std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t text = std::min<size_t>(data[0], input.size());
  sllm::TokenizerSource source;
  source.tokenizer_json = input.substr(0, input.size() - text);
  round_trip(source, input.substr(input.size() - text));
  return 0;
}
