// A decoder-only transformer: embedding, a stack of blocks, a last norm, a head. What a block is,
// the architecture's own file says (llama.cc, qwen2.cc): it has load(), forward(), linears() and
// norms(), and says by names() where the rest lies when it is not in the usual place.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/layers.h"
#include "models/tensor_names.h"

namespace sllm {

// What the blocks get beside the rows, made once from the embedded rows: Block::LayerInputs, where
// the architecture has such. forward() fills Pass::layer_inputs.
struct NoLayerInputs {
  static NoLayerInputs load(Loader&) { return {}; }
  void forward(Pass&, const Tensor&) const {}
  std::vector<Linear*> linears() { return {}; }
  void collect(Parameters&) {}
};
template <class Block>
struct LayerInputsOf {
  using Type = NoLayerInputs;
};
template <class Block>
requires requires { typename Block::LayerInputs; }
struct LayerInputsOf<Block> {
  using Type = typename Block::LayerInputs;
};

template <class Block, class LastNorm = RmsNorm>
class Decoder final : public Model {
 public:
  static Result<std::shared_ptr<Model>> load(std::shared_ptr<ModelSource> source) {
    Loader loader(*source);
    auto model = std::shared_ptr<Decoder>(new Decoder(std::move(source), loader));
    if (!loader.status().ok()) return loader.status().error();
    return std::shared_ptr<Model>(std::move(model));
  }

  const ModelConfig& config() const override { return source_->config(); }
  const Weight& head() const override { return config().tied_embeddings ? embed_ : head_; }

  Tensor forward(Context& ctx, const Batch& batch) const override {
    Pass pass(ctx, batch, config(), rope_);
    Tensor x = scaled(ctx, ops::embed(ctx, embed_, batch.tokens), config().embedding_scale);
    layer_inputs_.forward(pass, x);
    for (const Block& block : blocks_) {
      pass.check_interrupt();
      x = block.forward(pass, x);
    }
    x = scaled(ctx, norm_.forward(pass, x), config().logit_scale);
    pass.finish();
    return x;
  }

  Tensor logits(Context& ctx, const Tensor& hidden) const override {
    const Tensor logits = ops::linear(ctx, as_input(hidden), head());
    const float cap = config().logit_softcap;
    if (cap == 0) return logits;
    const Tensor bent = ops::activate(ctx, scaled(ctx, logits, 1 / cap), Activation::kTanh);
    return scaled(ctx, bent, cap);
  }

  std::vector<std::pair<std::string, const Weight*>> linears() const override {
    std::vector<std::pair<std::string, const Weight*>> all;
    for (const Linear* l : const_cast<LayerInputs&>(layer_inputs_).linears())
      all.emplace_back(l->name, &l->weight);
    for (const Block& block : blocks_)
      for (const Linear* l : const_cast<Block&>(block).linears())
        all.emplace_back(l->name, &l->weight);
    return all;
  }

  std::vector<std::pair<std::string, Weight*>> parameters() override {
    Parameters all = {{names_.embedding + ".weight", &embed_}};
    layer_inputs_.collect(all);
    for (Block& block : blocks_) {
      block.norms(all);
      for (Linear* l : block.linears()) l->collect(all);
    }
    norm_.collect(all);
    if (!config().tied_embeddings) all.emplace_back(names_.head + ".weight", &head_);
    return all;
  }

 private:
  static Tensor scaled(Context& ctx, Tensor x, float by) {
    return by == 1 ? x : ops::scale(ctx, x, by);
  }
  static DecoderNames names() {
    if constexpr (requires { Block::names(); })
      return Block::names();
    else
      return {};
  }

  Decoder(std::shared_ptr<ModelSource> source, Loader& loader)
      : source_(std::move(source)), rope_(config()), names_(names()) {
    const ModelConfig& c = config();
    embed_ = loader.matrix(names_.embedding + ".weight", c.V, c.D);
    layer_inputs_ = LayerInputs::load(loader);
    for (int64_t i = 0; i < c.L && loader.status().ok(); ++i)
      blocks_.push_back(Block::load(loader, names_.layer(i), i));
    if constexpr (std::is_same_v<LastNorm, LayerNorm>)
      norm_ = load_layer_norm(loader, names_.norm);
    else
      norm_ = load_norm(loader, names_.norm);
    if (!c.tied_embeddings) head_ = loader.matrix(names_.head + ".weight", c.V, c.D);
  }

  using LayerInputs = typename LayerInputsOf<Block>::Type;
  std::shared_ptr<ModelSource> source_;
  RopeTables rope_;
  DecoderNames names_;
  Weight embed_, head_;
  LayerInputs layer_inputs_;
  std::vector<Block> blocks_;
  LastNorm norm_;
};

}  // namespace sllm
