// Any bytes as a GGUF file: either a model with readable tensors or an error.
#include "io/gguf_model.h"
#include "models/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = sllm::GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file.ok()) return 0;
  auto source = sllm::open_gguf(std::move(*file), "fuzz", sllm::architectures());
  if (!source.ok()) return 0;
  for (const auto& t : (*source)->tensors()) (*source)->tensor(t.name).value().to_f32();
  return 0;
}
