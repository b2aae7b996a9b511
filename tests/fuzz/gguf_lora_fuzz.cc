// Any bytes as a GGUF LoRA for a small llama.
#include "io/gguf_lora.h"
#include "models/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = sllm::GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file.ok()) return 0;
  sllm::ModelConfig base;
  base.architecture = sllm::find_architecture("llama");
  base.D = 64, base.L = 2, base.H = 4, base.Hk = 2, base.Dh = 16, base.F = 96, base.V = 320;
  (void)sllm::read_gguf_lora(*file, base, "fuzz");
  return 0;
}
