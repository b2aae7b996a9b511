// Gemma 4's configuration. config.json says how full layers differ in global_head_dim and
// num_global_key_value_heads, or, since transformers 5.23, layer by layer in per_layer_config. In
// GGUF the plain keys are those of full layers and those of sliding ones end in _swa; widths that
// differ by layer are lists, and rope_freqs.weight holds 1 for the column pairs that turn and 1e30
// for those that stay.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "models/gemma4.h"

namespace sllm {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr float kStays = 1e30f;

void refuse_others(ConfigFields& f) {
  if (!f.in()) return;
  bool experts = false;
  f.flag({"enable_moe_block", nullptr}, experts, false);
  if (experts)
    f.fail(with_hint(bad_input("mixture-of-experts models are not supported"),
                     "Use a dense Gemma 4: E2B, E4B or 31B"));
  std::string both;
  f.text({"use_bidirectional_attention", nullptr}, both, "");
  if (both == "all")
    f.fail(bad_input("use_bidirectional_attention \"all\" is not supported for Gemma 4"));
}

// {"5": {"head_dim": 512, "num_key_value_heads": 4}, ...}: the full layers, all alike.
void read_per_layer_config(ConfigFields& f, ModelConfig& c) {
  const json& all = *f.in()->find("per_layer_config");
  if (!all.is_object()) return f.fail(f.in()->wrong_type("per_layer_config", "an object"));
  int64_t found = 0;
  for (const auto& [name, value] : all.items()) {
    int64_t layer = -1;
    const auto end = std::from_chars(name.data(), name.data() + name.size(), layer).ptr;
    if (end != name.data() + name.size() || layer < 0 || layer >= c.L || !value.is_object())
      return f.fail(bad_input("per_layer_config: \"{}\" is not a layer with its settings", name));
    const JsonFields settings(value, fmt::format("{}: per_layer_config.{}", f.in()->file(), name));
    int64_t width = c.Dh, heads = c.Hk;
    ConfigFields in = ConfigFields::read_hf(settings);
    in.integer({"head_dim", nullptr}, width, c.Dh);
    in.integer({"num_key_value_heads", nullptr}, heads, c.Hk);
    if (!in.status().ok()) return f.fail(in.status().error());
    if (c.kind(layer) != LayerKind::kFull) {
      if (width == c.Dh && heads == c.Hk) continue;
      return f.fail(
          bad_input("per_layer_config: layer {} slides, and only full layers may differ", layer));
    }
    if (found++ > 0 && (width != c.full_Dh || heads != c.full_Hk))
      return f.fail(bad_input("per_layer_config: full layers differ from each other"));
    c.full_Dh = width, c.full_Hk = heads;
  }
  if (found > 0 && found != std::ranges::count(c.kinds, LayerKind::kFull))
    f.fail(bad_input("per_layer_config names {} of the full layers, expected all or none", found));
}

void hf_full_layers(ConfigFields& f, ModelConfig& c) {
  f.flag({"attention_k_eq_v", nullptr}, c.keys_are_values, false);
  if (!f.reading()) {
    int64_t width = c.full_Dh > 0 ? c.full_Dh : c.Dh, heads = c.full_Hk > 0 ? c.full_Hk : c.Hk;
    if (heads != c.Hk && !c.keys_are_values)
      return f.fail(
          bad_input("full layers with KV heads of their own have no config.json form without "
                    "attention_k_eq_v"));
    f.integer({"global_head_dim", nullptr}, width);
    (*f.out())["num_global_key_value_heads"] = nullptr;
    if (c.keys_are_values) f.integer({"num_global_key_value_heads", nullptr}, heads);
    return;
  }
  if (f.has({"per_layer_config", nullptr})) return read_per_layer_config(f, c);
  f.integer({"global_head_dim", nullptr}, c.full_Dh, 512);
  int64_t heads = 0;
  f.integer({"num_global_key_value_heads", nullptr}, heads, 0);
  if (c.keys_are_values) c.full_Hk = heads;
}

void hf_ropes(ConfigFields& f, ModelConfig& c) {
  if (f.reading()) {
    c.rope.theta = 1e6f, c.rope.type = "proportional", c.rope.share = 0.25f;
    const json* both = f.in()->find("rope_parameters");
    if (!both) return;
    for (const auto& [name, rope] :
         {std::pair("full_attention", &c.rope), std::pair("sliding_attention", &*c.local_rope)}) {
      if (!both->is_object() || !both->contains(name))
        return f.fail(bad_input("rope_parameters has no \"{}\"", name));
      *rope = Rope{.theta = rope->theta};
      read_rope_object(f, (*both)[name], fmt::format("rope_parameters.{}", name), *rope);
    }
    if (c.rope.type != "proportional" && c.rope.type != "none")
      f.fail(bad_input("rope_type \"{}\" of full layers is not supported (proportional is)",
                       c.rope.type));
    if (c.local_rope->type != "none")
      f.fail(bad_input("rope_type \"{}\" of sliding layers is not supported (default is)",
                       c.local_rope->type));
    return;
  }
  ordered_json full, sliding;
  ConfigFields to = ConfigFields::write_hf(full);
  full["rope_type"] = "proportional";
  to.number({"rope_theta", nullptr}, c.rope.theta);
  to.number({"partial_rotary_factor", nullptr}, c.rope.share);
  if (c.rope.factor != 1) to.number({"factor", nullptr}, c.rope.factor);
  sliding["rope_type"] = "default";
  ConfigFields::write_hf(sliding).number({"rope_theta", nullptr}, c.local_rope->theta);
  (*f.out())["rope_parameters"] = {{"full_attention", full}, {"sliding_attention", sliding}};
}

void hf_fields(ConfigFields& f, ModelConfig& c) {
  alternating_layer_fields(f, c, "sliding_window_pattern", 6);
  if (!f.status().ok()) return;
  if (f.reading() && !c.kinds.empty()) c.kinds.back() = LayerKind::kFull;  // as transformers does
  f.integer({"num_kv_shared_layers", nullptr}, c.kv_readers, 0);
  f.flag({"use_double_wide_mlp", nullptr}, c.wide_readers, false);
  f.integer({"hidden_size_per_layer_input", nullptr}, c.layer_input, 256);
  if (f.reading()) {
    f.integer({"vocab_size_per_layer_input", nullptr}, c.layer_input_vocab, 262144);
  } else {
    int64_t rows = gemma4_layer_vocab(c);
    f.integer({"vocab_size_per_layer_input", nullptr}, rows);
  }
  hf_full_layers(f, c);
  hf_ropes(f, c);
}

void gguf_ropes(ConfigFields& f, ModelConfig& c) {
  int64_t width = c.rope_dims(), narrow = c.Dh;
  f.integer({nullptr, "rope.dimension_count"}, width, f.reading() ? width : -1);
  f.integer({nullptr, "rope.dimension_count_swa"}, narrow, f.reading() ? narrow : -1);
  if (width != c.rope_dims() || narrow != c.Dh)
    return f.fail(
        bad_input("{} of {} columns of a head are rotated, expected all", width, c.rope_dims()));
  f.number({nullptr, "rope.freq_base"}, c.rope.theta, f.reading() ? 1e6 : -1);
  f.number({nullptr, "rope.freq_base_swa"}, c.local_rope->theta, f.reading() ? 1e4 : -1);
  std::vector<float> divisors;
  const int64_t pairs = c.rope_dims() / 2;
  if (!f.reading()) {
    const bool partial = c.rope.type == "proportional";
    const auto turn = static_cast<int64_t>(
        std::floor(static_cast<double>(pairs) * (partial ? c.rope.share : 1.0f) + 1e-4));
    divisors.assign(static_cast<size_t>(pairs), kStays);
    std::fill_n(divisors.begin(), turn, partial ? c.rope.factor : 1.0f);
    return f.gguf_numbers("rope_freqs.weight", divisors);
  }
  f.gguf_numbers("rope_freqs.weight", divisors);
  c.rope.type = "proportional", c.rope.share = 1;
  if (!f.status().ok() || divisors.empty()) return;
  const auto stays = [](float d) { return d >= kStays / 2; };
  const auto turn = std::ranges::find_if(divisors, stays);
  const auto even = [&](float d) { return d == divisors[0]; };
  if (std::ssize(divisors) != pairs || !std::all_of(turn, divisors.end(), stays) ||
      !std::all_of(divisors.begin(), turn, even))
    return f.fail(
        bad_input("rope_freqs.weight is not one divisor for the first of {} columns and "
                  "1e30 for the others",
                  pairs));
  c.rope.share = static_cast<float>(turn - divisors.begin()) / static_cast<float>(pairs);
  if (turn != divisors.begin()) c.rope.factor = divisors[0];
}

void gguf_fields(ConfigFields& f, ModelConfig& c) {
  f.integer({nullptr, "attention.shared_kv_layers"}, c.kv_readers, f.reading() ? 0 : -1);
  f.integer({nullptr, "embedding_length_per_layer_input"}, c.layer_input, f.reading() ? 0 : -1);
  std::vector<bool> slides;
  std::vector<int64_t> heads, widths;
  if (!f.reading()) {
    if (c.layer_input > 0 && gemma4_layer_vocab(c) != c.V)
      f.fail(bad_input("vocab_size_per_layer_input {} is not vocab_size {}, which GGUF cannot say",
                       gemma4_layer_vocab(c), c.V));
    for (int64_t i = 0; i < c.L; ++i) {
      slides.push_back(c.kind(i) == LayerKind::kSliding);
      heads.push_back(c.kv_heads(i)), widths.push_back(c.mlp_width(i));
    }
  }
  f.flags("attention.sliding_window_pattern", slides);
  f.by_layer("attention.head_count_kv", heads, c.L);
  f.by_layer("feed_forward_length", widths, c.L);
  if (!f.status().ok() || !f.reading()) return;
  if (std::ssize(slides) != c.L || c.L < 1 || std::ssize(heads) != c.L)
    return f.fail(
        bad_input("attention.sliding_window_pattern lists {} layers of {}", slides.size(), c.L));
  for (const bool slide : slides) c.kinds.push_back(slide ? LayerKind::kSliding : LayerKind::kFull);
  c.F = widths.front(), c.wide_readers = widths.back() != c.F;
  for (int64_t i = 0; i < c.L; ++i)
    (c.kind(i) == LayerKind::kFull ? c.full_Hk : c.Hk) = heads[static_cast<size_t>(i)];
  if (c.Hk == 0) c.Hk = c.full_Hk;  // no layer slides
  if (c.kv_readers < 0 || c.kv_readers >= c.L)
    return f.fail(bad_input("attention.shared_kv_layers is {} of {} layers", c.kv_readers, c.L));
  for (int64_t i = 0; i < c.L; ++i) {
    const auto at = static_cast<size_t>(i);
    if (heads[at] != c.kv_heads(i) || widths[at] != c.mlp_width(i))
      return f.fail(bad_input("layer {} has {} KV heads and an MLP of {}, expected {} and {}", i,
                              heads[at], widths[at], c.kv_heads(i), c.mlp_width(i)));
    if (c.kind(i) == LayerKind::kFull && c.has_kv(i) &&
        !f.has_tensor(fmt::format("blk.{}.attn_v.weight", i).c_str()))
      c.keys_are_values = true;
  }
}

}  // namespace

void gemma4_fields(ConfigFields& f, ModelConfig& c) {
  refuse_others(f);
  DecoderDefaults defaults{.tied = true,
                           .head_width = 256,
                           .activation = Activation::kGeluTanh,
                           .activation_key = "hidden_activation"};
  defaults.kv_heads.gguf = nullptr, defaults.mlp.gguf = nullptr;
  const bool to_gguf = f.gguf() && !f.reading();
  const int64_t width = c.Dh;
  if (to_gguf && c.full_Dh > 0) c.Dh = c.full_Dh;  // what key_length means there
  decoder_fields(f, c, defaults);
  if (f.gguf()) {
    if (f.reading()) c.full_Dh = c.Dh;
    c.Dh = width;
    f.integer({nullptr, "attention.key_length_swa"}, c.Dh);
    int64_t values = c.Dh;
    f.integer({nullptr, "attention.value_length_swa"}, values, f.reading() ? c.Dh : -1);
    if (values != c.Dh)
      f.fail(
          bad_input("attention.value_length_swa is {}, expected the key length {}", values, c.Dh));
  }
  attention_bias_fields(f, c);
  if (f.reading()) {
    c.attention_scale = 1;
    c.embedding_scale = std::sqrt(static_cast<float>(c.D));
  }
  if (!c.local_rope) c.local_rope = Rope{};
  f.number({"final_logit_softcapping", "final_logit_softcapping"}, c.logit_softcap, 0);
  if (f.out() && c.logit_softcap == 0) (*f.out())["final_logit_softcapping"] = nullptr;
  f.integer({"sliding_window", "attention.sliding_window"}, c.sliding_window,
            f.hf() && f.reading() ? 512 : -1);
  if (!f.status().ok()) return;
  if (f.hf()) return hf_fields(f, c);
  gguf_fields(f, c);
  if (f.status().ok()) gguf_ropes(f, c);
}

}  // namespace sllm
