// Any text as config.json and generation_config.json (split at the first NUL): a configuration that
// can be written and read again, or an error.
#include "io/hf_config.h"
#include "models/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t cut = text.find('\0');
  const auto generation = cut == text.npos ? std::string_view() : text.substr(cut + 1);
  const auto config =
      sllm::parse_hf_config(text.substr(0, cut), generation, "fuzz", sllm::architectures());
  if (!config.ok()) return 0;
  const auto json = sllm::hf_config_json(*config, sllm::DType::kBF16);
  if (json.ok()) sllm::parse_hf_config(*json, "", "again", sllm::architectures()).value();
  return 0;
}
