// A decoder-only transformer: embedding, a stack of blocks, a last norm, a head. What a block is,
// the architecture's own file says (llama.cc, qwen2.cc): it has load(), forward() and linears().
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/layers.h"

namespace sllm {

template <class Block>
class Decoder final : public Model {
 public:
  static Result<std::shared_ptr<Model>> load(std::shared_ptr<ModelSource> source) {
    Loader loader(*source);
    auto model = std::shared_ptr<Decoder>(new Decoder(std::move(source), loader));
    if (!loader.status().ok()) return loader.status().error();
    return std::shared_ptr<Model>(std::move(model));
  }

  const ModelConfig& config() const override { return source_->config(); }
  const Weight& head() const override { return head_; }

  Tensor forward(Context& ctx, const Batch& batch) const override {
    Pass pass(ctx, batch, rope_);
    Tensor x = ops::embed(ctx, embed_, batch.tokens);
    for (const Block& block : blocks_) {
      pass.check_interrupt();
      x = block.forward(pass, x);
    }
    x = norm_.forward(pass, x);
    pass.finish();
    return x;
  }

  Tensor logits(Context& ctx, const Tensor& hidden) const override {
    return ops::linear(ctx, as_input(hidden), head_);
  }

  std::vector<std::pair<std::string, const Weight*>> linears() const override {
    std::vector<std::pair<std::string, const Weight*>> all;
    for (const Block& block : blocks_)
      for (const Linear* l : const_cast<Block&>(block).linears())
        all.emplace_back(l->name, &l->weight);
    return all;
  }

  std::vector<std::pair<std::string, Weight*>> parameters() override {
    std::vector<std::pair<std::string, Weight*>> all = {{kEmbedding, &embed_}};
    for (size_t i = 0; i < blocks_.size(); ++i) {
      for (auto& [name, norm] : blocks_[i].norms())
        all.emplace_back(layer_name(i) + "." + name + ".weight", &norm->weight);
      for (Linear* l : blocks_[i].linears()) {
        all.emplace_back(l->name + ".weight", &l->weight);
        if (l->bias.defined()) all.emplace_back(l->name + ".bias", &l->bias);
      }
    }
    all.emplace_back("model.norm.weight", &norm_.weight);
    if (!config().tied_embeddings) all.emplace_back("lm_head.weight", &head_);
    return all;
  }

 private:
  static constexpr const char* kEmbedding = "model.embed_tokens.weight";
  static std::string layer_name(size_t i) { return fmt::format("model.layers.{}", i); }

  Decoder(std::shared_ptr<ModelSource> source, Loader& loader)
      : source_(std::move(source)), rope_(config()) {
    const ModelConfig& c = config();
    embed_ = loader.matrix(kEmbedding, c.V, c.D);
    for (int64_t i = 0; i < c.L && loader.status().ok(); ++i)
      blocks_.push_back(Block::load(loader, layer_name(static_cast<size_t>(i)), i));
    norm_ = load_norm(loader, "model.norm");
    head_ = c.tied_embeddings ? embed_ : loader.matrix("lm_head.weight", c.V, c.D);
  }

  std::shared_ptr<ModelSource> source_;
  RopeTable rope_;
  Weight embed_, head_;
  std::vector<Block> blocks_;
  RmsNorm norm_;
};

}  // namespace sllm
