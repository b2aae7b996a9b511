// The metadata of a GGUF file as a tokenizer, from anywhere: loads or is refused; what loads encodes
// and decodes text and converts or is refused.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "io/gguf_model.h"
#include "tokenizer_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  // The first byte says how many bytes at the end are the text.
  const size_t text = std::min<size_t>(data[0], size - 1);
  const auto file =
      sllm::GgufFile::parse(std::as_bytes(std::span(data + 1, size - 1 - text)), "fuzz");
  if (!file.ok()) return 0;
  sllm::ModelConfig any;
  any.V = 1 << 16;
  const auto tokenizer = sllm::gguf_tokenizer(*file, any);
  if (!tokenizer.ok() || !*tokenizer) return 0;
  sllm::TokenizerSource source;
  source.gguf = **tokenizer;
  round_trip(source, std::string(reinterpret_cast<const char*>(data) + size - text, text));
  return 0;
}
