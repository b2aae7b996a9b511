// LFM2 (Liquid AI 2025): short gated convolutions, y = out(C * conv(B * x)) with B, C and x from
// one projection, and attention in some layers. GGUF: attention.head_count_kv lists the layers' KV
// heads, 0 where a layer convolves; the last norm is called token_embd_norm.
#include <algorithm>

#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

// The width that w1 and w3 really have, as transformers' Lfm2MLP works it out (in doubles too).
void adjust_mlp_width(ConfigFields& f, ModelConfig& c) {
  bool adjusts = false;
  int64_t multiple = 256;
  f.flag({"block_auto_adjust_ff_dim", nullptr}, adjusts, true);
  f.integer({"block_multiple_of", nullptr}, multiple, multiple);
  const auto factor = f.in()->number("block_ffn_dim_multiplier");
  if (!factor.ok()) return f.fail(factor.error());
  const double times = factor->value_or(1.0);
  if (!f.status().ok() || !adjusts) return;
  if (multiple < 1 || multiple > 1 << 20 || !(times > 0 && times < 1 << 10) || c.F > 1 << 22)
    return f.fail(
        bad_input("block_multiple_of {} and block_ffn_dim_multiplier {} of {} make no "
                  "width",
                  multiple, times, c.F));
  c.F = static_cast<int64_t>(static_cast<double>(2 * c.F) / 3);
  c.F = static_cast<int64_t>(times * static_cast<double>(c.F));
  c.F = (c.F + multiple - 1) / multiple * multiple;
}

void hf_fields(ConfigFields& f, ModelConfig& c) {
  if (!f.reading()) {
    bool adjusts = false;
    f.flag({"block_auto_adjust_ff_dim", nullptr}, adjusts, true);
    (*f.out())["block_multiple_of"] = 256;  // llama.cpp's converter wants to see these
    (*f.out())["block_ffn_dim_multiplier"] = 1.0;
    return hybrid_layer_fields(f, c, LayerKind::kConvolution);
  }
  if (f.has({"tie_embedding", nullptr}))
    f.flag({"tie_embedding", nullptr}, c.tied_embeddings, c.tied_embeddings);
  adjust_mlp_width(f, c);
  std::vector<int64_t> full;
  f.integers({"full_attn_idxs", nullptr}, full);
  const bool listed = f.has({"full_attn_idxs", nullptr});
  for (int64_t i = 0; i < std::min<int64_t>(c.L, 512); ++i) {
    const bool attends = !listed || std::ranges::find(full, i) != full.end();
    c.kinds.push_back(attends ? LayerKind::kFull : LayerKind::kConvolution);
  }
  hybrid_layer_fields(f, c, LayerKind::kConvolution);
}

void gguf_fields(ConfigFields& f, ModelConfig& c) {
  const FieldKey key{nullptr, "attention.head_count_kv"};
  std::vector<int64_t> heads;
  for (int64_t i = 0; !f.reading() && i < c.L; ++i) heads.push_back(c.attends(i) ? c.Hk : 0);
  f.integers(key, heads);
  if (!f.reading() || !f.status().ok()) return;
  if (heads.empty() || std::ssize(heads) != c.L)
    return f.fail(bad_input("{} lists {} layers of {}", f.name_of(key), heads.size(), c.L));
  c.Hk = std::ranges::max(heads);
  for (const int64_t n : heads) {
    if (n != 0 && n != c.Hk)
      return f.fail(bad_input("{} has both {} and {}", f.name_of(key), n, c.Hk));
    c.kinds.push_back(n == 0 ? LayerKind::kConvolution : LayerKind::kFull);
  }
  const int64_t first = std::ranges::find(heads, 0) - heads.begin();
  c.conv_bias = f.has_tensor(fmt::format("blk.{}.shortconv.conv.bias", first).c_str());
}

void fields(ConfigFields& f, ModelConfig& c) {
  DecoderDefaults defaults{.norm_eps = 1e-5, .tied = true};
  defaults.epsilon.hf = "norm_eps";
  defaults.kv_heads.gguf = nullptr;
  if (f.has({"block_ff_dim", nullptr})) defaults.mlp.hf = "block_ff_dim";
  decoder_fields(f, c, defaults);
  if (f.reading()) c.rope.theta = 1e6f;
  rope_fields(f, c);
  f.integer({"conv_L_cache", nullptr}, c.conv_kernel, 3);
  f.integer({nullptr, "shortconv.l_cache"}, c.conv_kernel);
  f.flag({"conv_bias", nullptr}, c.conv_bias, false);
  if (!f.status().ok()) return;
  f.hf() ? hf_fields(f, c) : gguf_fields(f, c);
}

DecoderNames decoder_names() {
  DecoderNames names;
  names.norm = "model.embedding_norm", names.gguf_norm = "token_embd_norm";
  return names;
}

// GGUF: [C, K] where Hugging Face has [C, 1, K].
GgufForm without_middle() {
  return {[](const Tensor& t, int64_t) {
            return t.reshape({t.shape()[0], t.shape()[2]});
          },
          [](const Tensor& t, int64_t) {
            return t.reshape({t.shape()[0], 1, t.shape()[1]});
          }};
}

std::vector<TensorSpec> tensors(const ModelConfig& c) {
  TensorList list;
  model_tensors(list, c, decoder_names());
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string hf = hf_layer(i) + ".", gguf = gguf_layer(i) + ".";
    layer_norm_tensor(list, i, "operator_norm", "attn_norm", c.D);
    if (c.attends(i)) {
      const std::string attention = hf + "self_attn.";
      list.linear(attention + "q_proj", gguf + "attn_q", c.H * c.Dh, c.D);
      list.linear(attention + "k_proj", gguf + "attn_k", c.Hk * c.Dh, c.D);
      list.linear(attention + "v_proj", gguf + "attn_v", c.Hk * c.Dh, c.D);
      list.linear(attention + "out_proj", gguf + "attn_output", c.D, c.H * c.Dh);
      layer_norm_tensor(list, i, "self_attn.q_layernorm", "attn_q_norm", c.Dh);
      layer_norm_tensor(list, i, "self_attn.k_layernorm", "attn_k_norm", c.Dh);
    } else {
      const std::string conv = hf + "conv.", shortconv = gguf + "shortconv.";
      list.add(conv + "conv.weight", shortconv + "conv.weight", {c.D, 1, c.conv_kernel},
               without_middle(), {c.D, c.conv_kernel});
      if (c.conv_bias) list.add(conv + "conv.bias", shortconv + "conv.bias", {c.D});
      list.linear(conv + "in_proj", shortconv + "in_proj", 3 * c.D, c.D, c.conv_bias);
      list.linear(conv + "out_proj", shortconv + "out_proj", c.D, c.D, c.conv_bias);
    }
    layer_norm_tensor(list, i, "ffn_norm", "ffn_norm", c.D);
    list.linear(hf + "feed_forward.w1", gguf + "ffn_gate", c.F, c.D);
    list.linear(hf + "feed_forward.w3", gguf + "ffn_up", c.F, c.D);
    list.linear(hf + "feed_forward.w2", gguf + "ffn_down", c.D, c.F);
  }
  return list.take();
}

struct ShortConvolution {
  int64_t layer = 0;
  Linear in_proj, out_proj;
  Convolution conv;

  Tensor forward(Pass& pass, const Tensor& x) const {
    const int64_t D = x.cols(), widths[] = {D, D, D};  // B, C, x
    const auto parts = ops::split_columns(pass.ctx, in_proj.forward(pass, as_input(x)), widths);
    const Tensor gated = ops::mul(pass.ctx, parts[0], parts[2]);
    const Tensor mixed = conv.forward(pass, gated, pass.states(layer));
    return out_proj.forward(pass, as_input(ops::mul(pass.ctx, parts[1], mixed)));
  }
};

struct Lfm2Block {
  bool attends = false;
  RmsNorm operator_norm, ffn_norm;
  Attention attention;  // one of the two
  ShortConvolution conv;
  Mlp mlp;

  static DecoderNames names() { return decoder_names(); }

  static Lfm2Block load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    const auto linear = [&](const char* name, int64_t out, int64_t in, bool bias = false) {
      return load_linear(loader, prefix + name, out, in, bias);
    };
    Lfm2Block block;
    block.attends = c.attends(layer);
    block.operator_norm = load_norm(loader, prefix + ".operator_norm");
    block.ffn_norm = load_norm(loader, prefix + ".ffn_norm");
    if (block.attends) {
      Attention& a = block.attention;
      a.layer = layer, a.shape = attention_shape(c, layer);
      a.q_proj = linear(".self_attn.q_proj", c.H * c.Dh, c.D);
      a.k_proj = linear(".self_attn.k_proj", c.Hk * c.Dh, c.D);
      a.v_proj = linear(".self_attn.v_proj", c.Hk * c.Dh, c.D);
      a.o_proj = linear(".self_attn.out_proj", c.D, c.H * c.Dh);
      a.q_norm = load_norm(loader, prefix + ".self_attn.q_layernorm", c.Dh);
      a.k_norm = load_norm(loader, prefix + ".self_attn.k_layernorm", c.Dh);
    } else {
      block.conv = {layer, linear(".conv.in_proj", 3 * c.D, c.D, c.conv_bias),
                    linear(".conv.out_proj", c.D, c.D, c.conv_bias),
                    load_convolution(loader, prefix + ".conv.conv", c.D, c.conv_bias)};
    }
    block.mlp = {linear(".feed_forward.w1", c.F, c.D), linear(".feed_forward.w3", c.F, c.D),
                 linear(".feed_forward.w2", c.D, c.F), c.activation};
    return block;
  }

  Tensor forward(Pass& pass, const Tensor& x) const {
    const Tensor in = operator_norm.forward(pass, x);
    const Tensor h =
        ops::add(pass.ctx, x, attends ? attention.forward(pass, in) : conv.forward(pass, in));
    return ops::add(pass.ctx, h, mlp.forward(pass, ffn_norm.forward(pass, h)));
  }

  std::vector<Linear*> linears() {
    std::vector<Linear*> all = {&conv.in_proj, &conv.out_proj};
    if (attends) all = {&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj};
    all.insert(all.end(), {&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj});
    return all;
  }
  void norms(Parameters& out) {
    for (RmsNorm* norm : {&operator_norm, &ffn_norm, &attention.q_norm, &attention.k_norm})
      norm->collect(out);
    if (!attends) conv.conv.collect(out);
  }
};

}  // namespace

const Architecture kLfm2{"lfm2", "Lfm2ForCausalLM", "lfm2", fields, tensors};

Result<std::shared_ptr<Model>> load_lfm2(std::shared_ptr<ModelSource> source) {
  return Decoder<Lfm2Block>::load(std::move(source));
}

}  // namespace sllm
