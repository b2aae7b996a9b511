// BERT (Devlin et al. 2018) and XLM-RoBERTa (Conneau et al. 2019): encoders. Every token sees the
// whole text; positions are learned, and the norms stand behind the sublayers:
//   x = LN(word + position + type 0);   h = LN(x + attention(x));   y = LN(h + W2 f(W1 h))
// RoBERTa's positions begin behind its padding id; GGUF leaves those rows of the table out.
#include <cstring>

#include "base/check.h"
#include "models/architectures.h"
#include "models/layers.h"

namespace sllm {
namespace {

void refuse_decoders(ConfigFields& f) {
  if (!f.in()) return;
  bool decoder = false;
  f.flag({"is_decoder", nullptr}, decoder, false);
  std::string positions;
  f.text({"position_embedding_type", nullptr}, positions, "absolute");
  if (decoder) f.fail(bad_input("is_decoder is not supported: only encoders are"));
  if (positions != "absolute")
    f.fail(bad_input("position_embedding_type \"{}\" is not supported (absolute is)", positions));
}

// `padding`: the padding id when config.json does not say, for positions that begin behind it; -1:
// they begin at 0.
void encoder_fields(ConfigFields& f, ModelConfig& c, int64_t padding) {
  refuse_decoders(f);
  f.integer({"hidden_size", "embedding_length"}, c.D);
  f.integer({"num_hidden_layers", "block_count"}, c.L);
  f.integer({"num_attention_heads", "attention.head_count"}, c.H);
  f.integer({"intermediate_size", "feed_forward_length"}, c.F);
  f.integer({"vocab_size", f.reading() ? nullptr : "vocab_size"}, c.V);
  f.integer({"type_vocab_size", nullptr}, c.token_types, 2);  // GGUF: the table's rows
  f.number({"layer_norm_eps", nullptr}, c.norm_eps, 1e-12);
  f.number({nullptr, "attention.layer_norm_epsilon"}, c.norm_eps);
  f.activation("hidden_act", c.activation, Activation::kGelu);
  if (f.reading()) {
    c.causal = false, c.tied_embeddings = true;
    c.qkv_bias = c.o_bias = c.mlp_bias = true;
  }
  if (padding >= 0 && f.hf()) {
    int64_t id = c.first_position - 1;
    f.integer({"pad_token_id", nullptr}, id, padding);
    c.first_position = id + 1;
  }
  if (f.reading() && f.hf() && f.status().ok() && c.token_types < 1)
    f.fail(bad_input("type_vocab_size is {}, expected at least 1", c.token_types));
  f.integer({nullptr, "first_position"}, c.first_position, 0);  // ours
  int64_t rows = c.max_context + c.first_position;
  f.integer({"max_position_embeddings", nullptr}, rows);
  if (f.hf()) c.max_context = rows - c.first_position;
  f.integer({nullptr, "context_length"}, c.max_context);
  bool causal = false;
  f.flag({nullptr, "attention.causal"}, causal, true);
  if (!f.status().ok() || !f.reading()) return;
  c.Hk = c.H;
  c.Dh = c.H > 0 ? c.D / c.H : 0;
  if (c.Dh * c.H != c.D)
    f.fail(bad_input("hidden_size {} is not a multiple of num_attention_heads {}", c.D, c.H));
}

void bert_fields(ConfigFields& f, ModelConfig& c) { encoder_fields(f, c, -1); }
void xlm_roberta_fields(ConfigFields& f, ModelConfig& c) { encoder_fields(f, c, 1); }

// GGUF's table of positions begins at the first that is used.
GgufForm from_row(int64_t first) {
  if (first == 0) return {};
  return {[](const Tensor& t, int64_t n) { return t.slice_rows(n, t.rows()).clone(); },
          [](const Tensor& t, int64_t n) {
            Tensor whole = Tensor::zeros(t.dtype(), {t.rows() + n, t.cols()});
            std::memcpy(static_cast<char*>(whole.raw()) + bytes_of(t.dtype(), n * t.cols()),
                        t.raw(), static_cast<size_t>(t.bytes()));
            return whole;
          },
          first};
}

struct LinearName {
  const char *hf, *gguf;
};
constexpr LinearName kQuery{"attention.self.query", "attn_q"}, kKey{"attention.self.key", "attn_k"},
    kValue{"attention.self.value", "attn_v"}, kOut{"attention.output.dense", "attn_output"},
    kUp{"intermediate.dense", "ffn_up"}, kDown{"output.dense", "ffn_down"};

std::string hf_prefix(int64_t layer) { return fmt::format("encoder.layer.{}.", layer); }

std::vector<TensorSpec> tensors(const ModelConfig& c) {
  TensorList list;
  const auto norm = [&](const std::string& hf, const std::string& gguf) {
    list.add(hf + ".weight", gguf + ".weight", {c.D});
    list.add(hf + ".bias", gguf + ".bias", {c.D});
  };
  list.add("embeddings.word_embeddings.weight", "token_embd.weight", {c.V, c.D});
  list.add("embeddings.position_embeddings.weight", "position_embd.weight",
           {c.max_context + c.first_position, c.D}, from_row(c.first_position),
           {c.max_context, c.D});
  list.add("embeddings.token_type_embeddings.weight", "token_types.weight", {c.token_types, c.D});
  norm("embeddings.LayerNorm", "token_embd_norm");
  for (int64_t i = 0; i < c.L; ++i) {
    const std::string hf = hf_prefix(i), gguf = gguf_layer(i) + ".";
    for (const LinearName& l : {kQuery, kKey, kValue, kOut})
      list.linear(hf + l.hf, gguf + l.gguf, c.D, c.D, true);
    norm(hf + "attention.output.LayerNorm", gguf + "attn_output_norm");
    list.linear(hf + kUp.hf, gguf + kUp.gguf, c.F, c.D, true);
    list.linear(hf + kDown.hf, gguf + kDown.gguf, c.D, c.F, true);
    norm(hf + "output.LayerNorm", gguf + "layer_output_norm");
  }
  // Heads of the training that made the encoder.
  for (const char* head :
       {"pooler.dense", "cls.predictions", "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm", "cls.predictions.decoder", "cls.seq_relationship",
        "lm_head", "lm_head.dense", "lm_head.layer_norm", "lm_head.decoder"})
    list.unread(head, "");
  return list.take();
}

struct EncoderBlock {
  Attention attention;
  LayerNorm attention_norm, mlp_norm;
  Linear up, down;

  Tensor forward(Pass& pass, const Tensor& x) const {
    const Tensor a = attention.forward(pass, x);
    const Tensor h = attention_norm.forward(pass, ops::add(pass.ctx, x, a));
    const Tensor inner =
        ops::activate(pass.ctx, up.forward(pass, as_input(h)), pass.config.activation);
    return mlp_norm.forward(pass, ops::add(pass.ctx, h, down.forward(pass, as_input(inner))));
  }
  std::vector<Linear*> linears() {
    return {&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj, &up, &down};
  }
};

class Encoder final : public Model {
 public:
  static Result<std::shared_ptr<Model>> load(std::shared_ptr<ModelSource> source) {
    Loader loader(*source);
    auto model = std::shared_ptr<Encoder>(new Encoder(std::move(source), loader));
    if (!loader.status().ok()) return loader.status().error();
    return std::shared_ptr<Model>(std::move(model));
  }

  const ModelConfig& config() const override { return source_->config(); }
  const Weight& head() const override { return words_; }

  Tensor forward(Context& ctx, const Batch& batch) const override {
    Pass pass(ctx, batch, config(), rope_);
    std::vector<int32_t> positions;
    for (const Segment& s : batch.segments)
      for (int64_t i = 0; i < s.rows; ++i)
        positions.push_back(static_cast<int32_t>(config().first_position + s.position + i));
    const std::vector<int32_t> types(batch.tokens.size(), 0);
    Tensor x = ops::add(ctx, ops::embed(ctx, words_, batch.tokens), ops::embed(ctx, types_, types));
    x = norm_.forward(pass, ops::add(ctx, x, ops::embed(ctx, positions_, positions)));
    for (const EncoderBlock& block : blocks_) {
      pass.check_interrupt();
      x = block.forward(pass, x);
    }
    pass.finish();
    return x;
  }

  // How near each row is to each word: the language-model heads, which are not kept, end so.
  Tensor logits(Context& ctx, const Tensor& hidden) const override {
    return ops::linear(ctx, as_input(hidden), words_);
  }

  std::vector<std::pair<std::string, const Weight*>> linears() const override {
    std::vector<std::pair<std::string, const Weight*>> all;
    for (const EncoderBlock& block : blocks_)
      for (const Linear* l : const_cast<EncoderBlock&>(block).linears())
        all.emplace_back(l->name, &l->weight);
    return all;
  }

  std::vector<std::pair<std::string, Weight*>> parameters() override {
    Parameters all = {{"embeddings.word_embeddings.weight", &words_},
                      {"embeddings.position_embeddings.weight", &positions_},
                      {"embeddings.token_type_embeddings.weight", &types_}};
    norm_.collect(all);
    for (EncoderBlock& block : blocks_) {
      for (Linear* l : block.linears()) l->collect(all);
      block.attention_norm.collect(all);
      block.mlp_norm.collect(all);
    }
    return all;
  }

 private:
  Encoder(std::shared_ptr<ModelSource> source, Loader& loader)
      : source_(std::move(source)), rope_(config()) {
    const ModelConfig& c = config();
    words_ = loader.matrix("embeddings.word_embeddings.weight", c.V, c.D);
    positions_ = loader.matrix("embeddings.position_embeddings.weight",
                               c.max_context + c.first_position, c.D);
    types_ = loader.matrix("embeddings.token_type_embeddings.weight", c.token_types, c.D);
    norm_ = load_layer_norm(loader, "embeddings.LayerNorm");
    for (int64_t i = 0; i < c.L && loader.status().ok(); ++i) {
      const auto linear = [&](const LinearName& name, int64_t out, int64_t in) {
        return load_linear(loader, hf_prefix(i) + name.hf, out, in, true);
      };
      EncoderBlock block;
      Attention& a = block.attention;
      a.layer = i, a.shape = attention_shape(c, i), a.rotates = false;
      a.q_proj = linear(kQuery, c.D, c.D), a.k_proj = linear(kKey, c.D, c.D);
      a.v_proj = linear(kValue, c.D, c.D), a.o_proj = linear(kOut, c.D, c.D);
      block.attention_norm = load_layer_norm(loader, hf_prefix(i) + "attention.output.LayerNorm");
      block.up = linear(kUp, c.F, c.D), block.down = linear(kDown, c.D, c.F);
      block.mlp_norm = load_layer_norm(loader, hf_prefix(i) + "output.LayerNorm");
      blocks_.push_back(std::move(block));
    }
  }

  std::shared_ptr<ModelSource> source_;
  RopeTables rope_;  // what Pass wants; nothing is rotated
  Weight words_, positions_, types_;
  LayerNorm norm_;
  std::vector<EncoderBlock> blocks_;
};

}  // namespace

const Architecture kBert{"bert", "BertModel", "bert", bert_fields, tensors};
const Architecture kXlmRoberta{"xlm-roberta", "XLMRobertaModel", "bert", xlm_roberta_fields,
                               tensors};

Result<std::shared_ptr<Model>> load_bert(std::shared_ptr<ModelSource> source) {
  return Encoder::load(std::move(source));
}

}  // namespace sllm
