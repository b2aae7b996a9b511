// Tokenizer files other than tokenizer.json, from anywhere: each loads or is refused; what loads
// encodes and decodes text and converts or is refused.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "tokenizer_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static constexpr std::array<const char*, 5> kNames = {"tokenizer.model", "tekken.json",
                                                        "x.tiktoken", "vocab.txt", "merges.txt"};
  // The first byte says which file it is, the second how many bytes at the end are the text.
  const char* name = kNames[data[0] % kNames.size()];
  const std::string input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t text = std::min<size_t>(data[1], input.size());
  sllm::TokenizerSource source;
  source.files[name] = input.substr(0, input.size() - text);
  if (source.files.contains("merges.txt"))
    source.files["vocab.json"] = R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3})";
  round_trip(source, input.substr(input.size() - text));
  return 0;
}
