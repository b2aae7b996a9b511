// Which layers attend to everything and which to a window. config.json has said it in several ways;
// GGUF has the window, and for some architectures a list of which layers slide.
#include <algorithm>

#include "io/architecture.h"

namespace sllm {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::vector<LayerKind> every(int64_t period, int64_t layers) {
  std::vector<LayerKind> kinds;
  for (int64_t i = 0; i < layers; ++i)
    kinds.push_back((i + 1) % period == 0 ? LayerKind::kFull : LayerKind::kSliding);
  return kinds;
}

struct KindName {
  const char* name;
  LayerKind kind;
};
constexpr KindName kKindNames[] = {{"full_attention", LayerKind::kFull},
                                   {"sliding_attention", LayerKind::kSliding},
                                   {"conv", LayerKind::kConvolution},
                                   {"linear_attention", LayerKind::kDelta}};

// config.json's layer_types, when it is there: full attention or `other`.
void read_layer_types(ConfigFields& f, ModelConfig& c, LayerKind other = LayerKind::kSliding) {
  const json* const types = f.in()->find("layer_types");
  if (!types || !f.status().ok()) return;
  c.kinds.clear();
  if (!types->is_array() || std::ssize(*types) != c.L)
    return f.fail(bad_input("layer_types is not an array of {} names", c.L));
  for (const json& type : *types) {
    const auto known = std::ranges::find_if(kKindNames, [&](const KindName& k) {
      return type == k.name && (k.kind == LayerKind::kFull || k.kind == other);
    });
    if (known == std::end(kKindNames))
      return f.fail(bad_input("layer_types: {} is not supported", type.dump()));
    c.kinds.push_back(known->kind);
  }
}

void write_layer_types(ConfigFields& f, const ModelConfig& c) {
  ordered_json types = ordered_json::array();
  for (int64_t i = 0; i < c.L; ++i)
    types.push_back(std::ranges::find(kKindNames, c.kind(i), &KindName::kind)->name);
  (*f.out())["layer_types"] = std::move(types);
}

// GGUF: which layers slide, as llama.cpp reads it, unless the kinds are those that it takes anyway.
void gguf_pattern(ConfigFields& f, ModelConfig& c, const std::vector<LayerKind>& implied) {
  constexpr const char* kKey = "attention.sliding_window_pattern";
  std::vector<bool> slides;
  if (!f.reading() && c.kinds != implied)
    for (int64_t i = 0; c.sliding_window > 0 && i < c.L; ++i)
      slides.push_back(c.kind(i) == LayerKind::kSliding);
  f.flags(kKey, slides);
  if (!f.reading() || slides.empty()) return;
  c.kinds.clear();
  for (const bool slide : slides) c.kinds.push_back(slide ? LayerKind::kSliding : LayerKind::kFull);
}

}  // namespace

void hybrid_layer_fields(ConfigFields& f, ModelConfig& c, LayerKind other) {
  if (f.in()) read_layer_types(f, c, other);
  if (f.out()) write_layer_types(f, c);
}

void window_field(ConfigFields& f, ModelConfig& c) {
  f.integer({"sliding_window", "attention.sliding_window"}, c.sliding_window, 0);
  if (f.out() && c.sliding_window == 0) (*f.out())["sliding_window"] = nullptr;
}

void upper_window_fields(ConfigFields& f, ModelConfig& c) {
  bool use = c.sliding_window > 0;
  f.flag({"use_sliding_window", nullptr}, use, false);
  window_field(f, c);
  int64_t full = f.reading() ? 28 : c.L;
  if (f.out() && use)
    for (full = 0; full < c.L && c.kind(full) == LayerKind::kFull;) ++full;
  f.integer({"max_window_layers", nullptr}, full, full);
  if (f.out() && use) write_layer_types(f, c);
  if (f.gguf()) return gguf_pattern(f, c, {});
  if (f.out()) return;
  if (!use) c.sliding_window = 0;
  if (c.sliding_window == 0) return;
  for (int64_t i = 0; i < c.L; ++i)
    c.kinds.push_back(i < full ? LayerKind::kFull : LayerKind::kSliding);
  read_layer_types(f, c);
}

void alternating_layer_fields(ConfigFields& f, ModelConfig& c, const char* pattern_key,
                              int64_t period) {
  if (!f.status().ok()) return;
  if (f.out()) return write_layer_types(f, c);
  if (!f.reading()) return c.L <= 512 ? gguf_pattern(f, c, every(period, c.L)) : void();
  if (const json* pattern = f.in() ? f.in()->find(pattern_key) : nullptr) {
    if (pattern->is_string()) {  // "LLLG"
      const auto letters = pattern->get<std::string>();
      period = static_cast<int64_t>(letters.find('G') + 1);
      if (letters.find_first_not_of("LG") != letters.npos || period != std::ssize(letters))
        return f.fail(
            bad_input("{} \"{}\" is not supported (some L and a G are)", pattern_key, letters));
    } else if (pattern->is_number_integer()) {
      period = pattern->get<int64_t>();
    } else {
      return f.fail(bad_input("\"{}\" is not a whole number", pattern_key));
    }
  }
  if (period < 1) return f.fail(bad_input("{} is {}, expected at least 1", pattern_key, period));
  if (c.L <= 512) c.kinds = every(period, c.L);  // validate() says when there are more
  if (f.in()) read_layer_types(f, c);
  if (f.gguf()) gguf_pattern(f, c, c.kinds);
}

void attention_bias_fields(ConfigFields& f, ModelConfig& c) {
  f.flag({"attention_bias", nullptr}, c.qkv_bias, c.qkv_bias);
  if (f.in()) c.o_bias = c.qkv_bias;
  if (f.out() && c.qkv_bias != c.o_bias)
    f.fail(bad_input("a {} model with biases on q, k and v but not on o has no config.json form",
                     c.architecture->model_type));
}

}  // namespace sllm
