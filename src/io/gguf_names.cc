#include "io/gguf_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace sllm {
namespace {

struct Row {
  std::string_view hf, gguf;
};
constexpr Row kModel[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};
constexpr Row kLayer[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};
constexpr std::string_view kHfLayers = "model.layers.", kGgufLayers = "blk.";

// Splits "<prefix>12.rest" into "12" and "rest".
struct LayerName {
  std::string_view number, rest;
};
std::optional<LayerName> split_layer(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  const size_t dot = name.find('.');
  if (dot == 0 || dot == name.npos) return std::nullopt;
  const std::string_view number = name.substr(0, dot);
  const bool digits = std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || (number.size() > 1 && number[0] == '0')) return std::nullopt;
  return LayerName{number, name.substr(dot + 1)};
}

std::optional<std::string> translate(std::string_view name, std::string_view Row::*from,
                                     std::string_view Row::*to, std::string_view from_layers,
                                     std::string_view to_layers) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return std::nullopt;
  const std::string_view kind = name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  const std::string_view stem = name.substr(0, dot);
  for (const Row& row : kModel)
    if (row.*from == stem) return fmt::format("{}{}", row.*to, kind);
  if (const auto layer = split_layer(stem, from_layers))
    for (const Row& row : kLayer)
      if (row.*from == layer->rest)
        return fmt::format("{}{}.{}{}", to_layers, layer->number, row.*to, kind);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> gguf_name_of(std::string_view hf_name) {
  return translate(hf_name, &Row::hf, &Row::gguf, kHfLayers, kGgufLayers);
}
std::optional<std::string> hf_name_of(std::string_view gguf_name) {
  return translate(gguf_name, &Row::gguf, &Row::hf, kGgufLayers, kHfLayers);
}

}  // namespace sllm
