#include "io/hf_shards.h"

#include <nlohmann/json.hpp>

namespace sllm {
namespace {

int64_t elements(const SafetensorsEntry& e) {
  int64_t n = 1;
  for (int64_t d : e.shape) n *= d;
  return n;
}

// A new shard before the tensor that would pass the size; a larger one has a shard of its own.
std::vector<std::vector<SafetensorsEntry>> cut(const std::vector<SafetensorsEntry>& entries,
                                               uint64_t max_bytes) {
  std::vector<std::vector<SafetensorsEntry>> shards(1);
  uint64_t bytes = 0;
  for (const SafetensorsEntry& e : entries) {
    const auto own = static_cast<uint64_t>(bytes_of(e.dtype, elements(e)));
    if (max_bytes > 0 && bytes + own > max_bytes && !shards.back().empty()) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(e);
    bytes += own;
  }
  return shards;
}

}  // namespace

Status write_hf_weights(const fs::path& folder, const std::vector<SafetensorsEntry>& entries,
                        const std::function<Result<Tensor>(const SafetensorsEntry&)>& tensor,
                        const std::map<std::string, std::string>& metadata, uint64_t max_bytes) {
  const auto shards = cut(entries, max_bytes);
  if (shards.size() == 1)
    return write_safetensors(folder / "model.safetensors", entries, tensor, metadata);
  int64_t bytes = 0, parameters = 0;
  std::map<std::string, std::string> weight_map;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const SafetensorsEntry& e : shards[i]) {
      weight_map[e.name] = name;
      parameters += elements(e);
      bytes += bytes_of(e.dtype, elements(e));
    }
    SLLM_OK(write_safetensors(folder / name, shards[i], tensor, metadata));
  }
  const nlohmann::ordered_json index = {
      {"metadata", {{"total_parameters", parameters}, {"total_size", bytes}}},
      {"weight_map", weight_map}};
  return write_file_atomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace sllm
