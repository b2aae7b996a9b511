// Any bytes as an mlx-lm adapter: adapter_config.json, a NUL, then the safetensors file.
#include "io/mlx_adapter.h"
#include "io/safetensors_parse.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t cut = text.find('\0');
  auto config = sllm::parse_mlx_config(text.substr(0, cut), "fuzz");
  if (!config.ok() || cut == text.npos) return 0;
  const auto rest = text.substr(cut + 1);
  const auto file =
      sllm::parse_safetensors(std::as_bytes(std::span(rest.data(), rest.size())), nullptr, "fuzz");
  if (file.ok()) (void)sllm::bind_mlx_tensors(file->tensors, "fuzz", std::move(*config));
  return 0;
}
