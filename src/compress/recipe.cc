#include "compress/recipe.h"

#include <charconv>
#include <vector>

namespace sllm {
namespace {

constexpr Recipe kRecipes[] = {
    {"F32", "", DType::kF32, Mix::kPlain, 0, "full precision"},
    {"F16", "", DType::kF16, Mix::kPlain, 1, "half precision"},
    {"BF16", "", DType::kBF16, Mix::kPlain, 32, "half precision with float's range"},
    {"Q8_0", "", DType::kQ8_0, Mix::kPlain, 7, "8.5 bits a weight, hardly a loss"},
    {"Q6_K", "", DType::kQ6_K, Mix::kPlain, 18, "6.6 bits, very small loss"},
    {"Q5_K_M", "Q5_K", DType::kQ5_K, Mix::kMedium, 17, "5.7 bits, small loss"},
    {"Q5_K_S", "", DType::kQ5_K, Mix::kSmall, 16, "5.5 bits, small loss"},
    {"Q5_1", "", DType::kQ5_1, Mix::kPlain, 9, "6 bits in simple blocks"},
    {"Q5_0", "", DType::kQ5_0, Mix::kPlain, 8, "5.5 bits in simple blocks"},
    {"Q4_K_M", "Q4_K", DType::kQ4_K, Mix::kMedium, 15, "4.8 bits, the usual choice"},
    {"Q4_K_S", "", DType::kQ4_K, Mix::kSmall, 14, "4.6 bits"},
    {"Q4_1", "", DType::kQ4_1, Mix::kPlain, 3, "5 bits in simple blocks"},
    {"Q4_0", "", DType::kQ4_0, Mix::kPlain, 2, "4.5 bits in simple blocks, fast"},
    {"IQ4_NL", "", DType::kIQ4_NL, Mix::kPlain, 25, "4.5 bits, levels that are not evenly spaced"},
    {"IQ4_XS", "", DType::kIQ4_XS, Mix::kPlain, 30, "4.3 bits, levels as in IQ4_NL"},
    {"MXFP4", "", DType::kMXFP4, Mix::kPlain, 38, "4.3 bits, floats with a shared power of two"},
    {"Q3_K_L", "", DType::kQ3_K, Mix::kLarge, 13, "4.3 bits"},
    {"Q3_K_M", "Q3_K", DType::kQ3_K, Mix::kMedium, 12, "3.9 bits, noticeable loss"},
    {"Q3_K_S", "", DType::kQ3_K, Mix::kSmall, 11, "3.5 bits, large loss"},
    {"Q2_K", "", DType::kQ2_K, Mix::kPlain, 10, "3.0 bits, very large loss"},
};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (std::toupper(static_cast<unsigned char>(a[i])) !=
        std::toupper(static_cast<unsigned char>(b[i])))
      return false;
  return true;
}

// 12 of "model.layers.12.mlp.down_proj.weight"; -1 outside the layers.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "model.layers.";
  int64_t layer = -1;
  if (name.starts_with(kPrefix))
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer;
}

// The first and last eighth of the layers, and every third between, are worth more bits.
bool worth_more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

enum class Part { kValue, kAttentionOutput, kDown, kOther };
Part part_of(std::string_view name) {
  if (name.ends_with(".v_proj.weight")) return Part::kValue;
  if (name.ends_with(".o_proj.weight")) return Part::kAttentionOutput;
  if (name.ends_with(".down_proj.weight")) return Part::kDown;
  return Part::kOther;
}

// Q2_K and the mixes of Q3_K raise three kinds of matrices in every layer.
DType low_bits(const Recipe& recipe, Part part, int64_t layer, const ModelConfig& config) {
  const bool shared_values = config.H >= 4 * config.Hk;  // small matrices that many heads read
  if (recipe.type == DType::kQ2_K)
    return part == Part::kValue && shared_values ? DType::kQ4_K : DType::kQ3_K;
  if (recipe.mix == Mix::kLarge) return DType::kQ5_K;
  if (recipe.mix == Mix::kSmall) return DType::kQ3_K;
  if (part == Part::kValue) return layer < 2 ? DType::kQ5_K : DType::kQ4_K;
  if (part == Part::kDown) return layer < config.L / 16 ? DType::kQ5_K : DType::kQ4_K;
  return DType::kQ4_K;
}

DType mixed(const Recipe& recipe, const ModelConfig& config, const TensorInfo& tensor,
            bool weighted) {
  const Part part = part_of(tensor.name);
  const int64_t layer = layer_of(tensor.name);
  if (part == Part::kOther) return recipe.type;
  if (recipe.type == DType::kQ2_K || recipe.type == DType::kQ3_K)
    return low_bits(recipe, part, layer, config);
  if (part == Part::kAttentionOutput) return recipe.type;
  const bool value = part == Part::kValue, early = layer < config.L / 8;
  if (recipe.type == DType::kIQ4_NL || recipe.type == DType::kIQ4_XS)
    return (value ? config.H >= 4 * config.Hk : early && !weighted) ? DType::kQ5_K : recipe.type;
  // The importance of the first layers' columns differs by orders of magnitude, and a scale without
  // a minimum follows the few large ones.
  if (weighted && !value && early && recipe.type == DType::kQ4_0) return DType::kQ4_1;
  if (weighted && !value && early && recipe.type == DType::kQ5_0) return DType::kQ5_1;
  if (recipe.mix == Mix::kMedium)
    return worth_more_bits(layer, config.L) ? DType::kQ6_K : recipe.type;
  if (recipe.mix == Mix::kSmall && recipe.type == DType::kQ4_K)
    return (value ? layer < 4 : early) ? DType::kQ5_K : recipe.type;
  return recipe.type;
}

}  // namespace

std::span<const Recipe> recipes() { return kRecipes; }

Result<Recipe> find_recipe(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Recipe& r : kRecipes) {
    const bool alias = !r.alias.empty() && equal_ignoring_case(name, r.alias);
    if (alias || equal_ignoring_case(name, r.name)) return r;
    names.push_back(r.name);
  }
  return usage_error("unknown type \"{}\", expected one of {}", name, fmt::join(names, ", "));
}

DType with_fallback(DType type, int64_t cols) {
  if (cols % info(type).block_elements == 0) return type;
  const DType smaller = [&] {
    switch (type) {
      case DType::kQ2_K:
      case DType::kQ3_K:
        return DType::kQ4_0;
      case DType::kQ4_K:
        return DType::kQ5_0;
      case DType::kQ5_K:
        return DType::kQ5_1;
      case DType::kIQ4_XS:
        return DType::kIQ4_NL;
      default:
        return DType::kQ8_0;
    }
  }();
  return cols % info(smaller).block_elements == 0 && type != smaller ? smaller : DType::kF16;
}

DType type_for(const Recipe& recipe, const ModelConfig& config, const TensorInfo& tensor, bool pure,
               bool weighted) {
  if (tensor.shape.size() != 2) return DType::kF32;
  if (!is_block_format(recipe.type)) return recipe.type;
  const int64_t cols = tensor.shape.back();
  if (pure) return with_fallback(recipe.type, cols);
  const bool output = tensor.name == "lm_head.weight" ||
                      (config.tied_embeddings && tensor.name == "model.embed_tokens.weight");
  if (!output) return with_fallback(mixed(recipe, config, tensor, weighted), cols);
  if (cols % info(recipe.type).block_elements != 0 || recipe.type == DType::kQ8_0 ||
      recipe.type == DType::kMXFP4)
    return with_fallback(DType::kQ8_0, cols);
  return with_fallback(DType::kQ6_K, cols);
}

}  // namespace sllm
