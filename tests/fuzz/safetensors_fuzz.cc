// Any bytes as a safetensors file: either readable tensors or an error.
#include "io/safetensors_parse.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = sllm::parse_safetensors(std::as_bytes(std::span(data, size)), nullptr, "fuzz");
  if (!file.ok()) return 0;
  for (const auto& [name, tensor] : file->tensors)
    if (sllm::info(tensor.dtype()).decode) tensor.to_f32();
  return 0;
}
