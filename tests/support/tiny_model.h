// A small random model in memory, for tests that need a model but not what it says.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/rng.h"
#include "io/model_source.h"
#include "models/registry.h"

namespace sllm::testing {

// A llama with 2 layers, 4 heads on 2 KV heads and a vocabulary of 320: every width is a multiple
// of 32, so that any block format of 32 fits.
inline ModelConfig tiny_config() {
  ModelConfig c;
  c.architecture = find_architecture("llama");
  c.name = "tiny";
  c.D = 64, c.L = 2, c.H = 4, c.Hk = 2, c.Dh = 16, c.F = 96, c.V = 320;
  c.max_context = 512;
  c.tied_embeddings = true;
  return c;
}

class TinyModel final : public ModelSource {
 public:
  explicit TinyModel(ModelConfig config = tiny_config(), DType type = DType::kF32,
                     uint64_t seed = 1)
      : config_(std::move(config)), type_(type), rng_(seed) {
    const ModelConfig& c = config_;
    matrix("model.embed_tokens.weight", c.V, c.D);
    for (int64_t i = 0; i < c.L; ++i) {
      const std::string layer = "model.layers." + std::to_string(i);
      vector(layer + ".input_layernorm.weight", c.D, 1);
      linear(layer + ".self_attn.q_proj", c.H * c.Dh, c.D, c.qkv_bias);
      linear(layer + ".self_attn.k_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
      linear(layer + ".self_attn.v_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
      linear(layer + ".self_attn.o_proj", c.D, c.H * c.Dh, c.o_bias);
      vector(layer + ".post_attention_layernorm.weight", c.D, 1);
      linear(layer + ".mlp.gate_proj", c.F, c.D, c.mlp_bias);
      linear(layer + ".mlp.up_proj", c.F, c.D, c.mlp_bias);
      linear(layer + ".mlp.down_proj", c.D, c.F, c.mlp_bias);
    }
    vector("model.norm.weight", c.D, 1);
    if (!c.tied_embeddings) matrix("lm_head.weight", c.V, c.D);
  }

  const ModelConfig& config() const override { return config_; }
  const TokenizerSource& tokenizer() const override { return tokenizer_; }
  const std::string& chat_template() const override { return chat_template_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  bool has(const std::string& name) const override { return tensors_.contains(name); }
  Result<Tensor> tensor(const std::string& name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return bad_input("tiny: there is no tensor {}", name);
    return found->second;
  }
  const fs::path& path() const override { return path_; }
  std::string format() const override { return "memory"; }
  std::map<std::string, std::string> description() const override { return {}; }

  void replace(const std::string& name, Tensor tensor) { tensors_[name] = std::move(tensor); }
  void remove(const std::string& name) { tensors_.erase(name); }
  void set_tokenizer(TokenizerSource tokenizer) { tokenizer_ = std::move(tokenizer); }
  void set_chat_template(std::string text) { chat_template_ = std::move(text); }

 private:
  void add(const std::string& name, Tensor t) {
    infos_.push_back({name, t.dtype(), t.shape()});
    tensors_[name] = std::move(t);
  }
  Tensor random(Shape shape, float mean, float deviation) {
    Tensor t = Tensor::empty(DType::kF32, std::move(shape));
    for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = mean + deviation * rng_.normal();
    return t;
  }
  void matrix(const std::string& name, int64_t rows, int64_t cols) {
    const Tensor values = random({rows, cols}, 0, 0.15f);
    Tensor stored = Tensor::empty(type_, {rows, cols});
    info(type_).encode(values.data<float>(), stored.raw(), values.size());
    add(name, std::move(stored));
  }
  void vector(const std::string& name, int64_t n, float mean) {
    add(name, random({n}, mean, 0.1f));
  }
  void linear(const std::string& name, int64_t out, int64_t in, bool bias) {
    matrix(name + ".weight", out, in);
    if (bias) vector(name + ".bias", out, 0);
  }

  ModelConfig config_;
  DType type_;
  Rng rng_;
  TokenizerSource tokenizer_;
  std::string chat_template_;
  fs::path path_ = "tiny";
  std::vector<TensorInfo> infos_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace sllm::testing
