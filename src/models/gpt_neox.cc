// GPT-NeoX (Black et al. 2022): Pythia, Polyglot-Ko, KoAlpaca. Layer norms, biases everywhere, a
// plain GELU MLP, rotary positions on a quarter of each head; attention and MLP read the same rows.
#include "models/architectures.h"
#include "models/decoder.h"

namespace sllm {
namespace {

void fields(ConfigFields& f, ModelConfig& c) {
  decoder_fields(f, c,
                 {.norm_eps = 1e-5,
                  .activation = Activation::kGelu,
                  .epsilon = {"layer_norm_eps", "attention.layer_norm_epsilon"}});
  rope_fields(f, c,
              {.theta_key = "rotary_emb_base", .partial_key = "rotary_pct", .partial = 0.25f});
  const FieldKey parallel{"use_parallel_residual", "use_parallel_residual"};
  if (f.reading())
    f.flag(parallel, c.parallel_residual, true);
  else
    f.flag(parallel, c.parallel_residual, !c.parallel_residual);  // llama.cpp wants it
  c.mlp_bias = true;
  f.flag({"attention_bias", nullptr}, c.qkv_bias, true);
  if (f.gguf() && f.reading()) c.qkv_bias = f.has_tensor("blk.0.attn_qkv.bias");
  c.o_bias = c.qkv_bias;
}

const DecoderNames kPlaces{"gpt_neox.embed_in", "gpt_neox.layers", "gpt_neox.final_layer_norm",
                           "embed_out"};

// Rows of q, k and v: head by head in Hugging Face's folder, one after another in GGUF.
Tensor regroup(const Tensor& t, int64_t heads, bool to_gguf) {
  const int64_t width = t.shape()[0] / (3 * heads);
  const auto bytes = static_cast<size_t>(t.bytes() / t.shape()[0] * width);
  Tensor out = Tensor::empty(t.dtype(), t.shape());
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t part = 0; part < 3; ++part) {
      const auto hf = static_cast<size_t>(head * 3 + part);
      const auto gguf = static_cast<size_t>(part * heads + head);
      const size_t from = to_gguf ? hf : gguf, to = to_gguf ? gguf : hf;
      std::memcpy(static_cast<char*>(out.raw()) + to * bytes,
                  static_cast<const char*>(t.raw()) + from * bytes, bytes);
    }
  return out;
}
GgufForm grouped(int64_t heads) {
  return {[](const Tensor& t, int64_t n) { return regroup(t, n, true); },
          [](const Tensor& t, int64_t n) { return regroup(t, n, false); }, heads};
}

void norm_tensors(TensorList& list, const std::string& hf, const std::string& gguf, int64_t D) {
  list.add(hf + ".weight", gguf + ".weight", {D});
  list.add(hf + ".bias", gguf + ".bias", {D});
}

std::vector<TensorSpec> tensors(const ModelConfig& c) {
  TensorList list;
  list.add(kPlaces.embedding + ".weight", "token_embd.weight", {c.V, c.D});
  norm_tensors(list, kPlaces.norm, "output_norm", c.D);
  if (!c.tied_embeddings) list.add(kPlaces.head + ".weight", "output.weight", {c.V, c.D});
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string hf = kPlaces.layer(i) + ".", gguf = gguf_layer(i) + ".";
    norm_tensors(list, hf + "input_layernorm", gguf + "attn_norm", c.D);
    list.linear(hf + "attention.query_key_value", gguf + "attn_qkv", 3 * c.D, c.D, c.qkv_bias,
                grouped(c.H));
    list.linear(hf + "attention.dense", gguf + "attn_output", c.D, c.D, c.o_bias);
    norm_tensors(list, hf + "post_attention_layernorm", gguf + "ffn_norm", c.D);
    list.linear(hf + "mlp.dense_h_to_4h", gguf + "ffn_up", c.F, c.D, true);
    list.linear(hf + "mlp.dense_4h_to_h", gguf + "ffn_down", c.D, c.F, true);
  }
  return list.take();
}

struct GptNeoXBlock {
  LayerNorm attention_norm, mlp_norm;
  Attention attention;  // its mix() alone
  Linear query_key_value, dense, dense_h_to_4h, dense_4h_to_h;
  static DecoderNames names() { return kPlaces; }

  static GptNeoXBlock load(Loader& loader, const std::string& prefix, int64_t layer) {
    const ModelConfig& c = loader.config();
    const auto linear = [&](const char* name, int64_t out, int64_t in, bool bias) {
      return load_linear(loader, prefix + name, out, in, bias);
    };
    return {load_layer_norm(loader, prefix + ".input_layernorm"),
            load_layer_norm(loader, prefix + ".post_attention_layernorm"),
            {layer, attention_shape(c, layer), c.rotates(layer)},
            linear(".attention.query_key_value", 3 * c.D, c.D, c.qkv_bias),
            linear(".attention.dense", c.D, c.D, c.o_bias),
            linear(".mlp.dense_h_to_4h", c.F, c.D, true),
            linear(".mlp.dense_4h_to_h", c.D, c.F, true)};
  }

  Tensor attend(Pass& pass, const Tensor& x) const {
    const AttentionShape& s = attention.shape;
    const int64_t widths[] = {s.Dh, s.Dh, s.Dh};  // of each head
    const Tensor all = query_key_value.forward(pass, as_input(x));
    const auto qkv = ops::split_columns(pass.ctx, all, widths, s.H);
    return dense.forward(pass, as_input(attention.mix(pass, qkv[0], qkv[1], qkv[2])));
  }

  Tensor feed_forward(Pass& pass, const Tensor& x) const {
    const Tensor h = dense_h_to_4h.forward(pass, as_input(x));
    return dense_4h_to_h.forward(pass,
                                 as_input(ops::activate(pass.ctx, h, pass.config.activation)));
  }

  Tensor forward(Pass& pass, const Tensor& x) const {
    const Tensor h = ops::add(pass.ctx, x, attend(pass, attention_norm.forward(pass, x)));
    const Tensor& read = pass.config.parallel_residual ? x : h;
    return ops::add(pass.ctx, h, feed_forward(pass, mlp_norm.forward(pass, read)));
  }

  std::vector<Linear*> linears() {
    return {&query_key_value, &dense, &dense_h_to_4h, &dense_4h_to_h};
  }
  void norms(Parameters& out) {
    attention_norm.collect(out);
    mlp_norm.collect(out);
  }
};

}  // namespace

const Architecture kGptNeoX{"gpt_neox", "GPTNeoXForCausalLM", "gptneox", fields, tensors};

Result<std::shared_ptr<Model>> load_gpt_neox(std::shared_ptr<ModelSource> source) {
  return Decoder<GptNeoXBlock, LayerNorm>::load(std::move(source));
}

}  // namespace sllm
