// Which model_type is read by which file, and what all models share: loading by name, adapters.
#include "models/registry.h"

#include <algorithm>
#include <map>

#include "models/architectures.h"
#include "models/dora.h"

namespace sllm {
namespace {

struct Row {
  const Architecture* architecture;
  LoadModel* load;
};
// clang-format off
const Row kRows[] = {
    {&kLlama, load_llama},
    {&kMistral, load_llama},
    {&kMinistral3, load_ministral3},
    {&kQwen2, load_qwen2},
    {&kQwen3, load_qwen3},
    {&kGemma2, load_gemma2},
    {&kGemma3, load_gemma3},
    {&kEmbeddingGemma, load_gemma3},
    {&kGemma4, load_gemma4},
    {&kPhi3, load_phi3},
    {&kGptNeoX, load_gpt_neox},
    {&kExaone, load_exaone},
    {&kExaone4, load_exaone4},
    {&kHyperClovaX, load_hyperclovax},
    {&kSmolLm3, load_smollm3},
    {&kGranite, load_granite},
    {&kOlmo2, load_olmo2},
    {&kLfm2, load_lfm2},
    {&kQwen35, load_qwen3_5},
    {&kBert, load_bert},
    {&kXlmRoberta, load_bert},
};
// clang-format on

}  // namespace

Architectures architectures() {
  static const auto all = [] {
    std::vector<const Architecture*> list;
    for (const Row& row : kRows) list.push_back(row.architecture);
    return list;
  }();
  return all;
}

const Architecture* find_architecture(std::string_view model_type) {
  const auto all = architectures();
  const auto found = std::ranges::find(all, model_type, &Architecture::model_type);
  return found == all.end() ? nullptr : *found;
}

Result<std::shared_ptr<ModelSource>> open_model(const fs::path& path) {
  return ModelSource::open(path, architectures());
}

Status check_generates(const ModelConfig& config) {
  if (config.causal) return ok();
  return with_hint(usage_error("a {} model is an encoder: it turns texts into vectors and cannot "
                               "generate or score text",
                               config.architecture->model_type),
                   "Use it with sllm embed, or through /v1/embeddings of sllm serve");
}

Result<std::shared_ptr<Model>> Model::load(std::shared_ptr<ModelSource> source) {
  const Architecture* wanted = source->config().architecture;
  for (const Row& row : kRows)
    if (wanted == row.architecture) return row.load(std::move(source));
  return bad_input("{}: the architecture \"{}\" is not supported", source->path().string(),
                   wanted ? wanted->model_type : "");
}

double Model::loss(Context& ctx, const Tensor& hidden, std::span<const int32_t> targets,
                   std::span<const float> row_weight, std::vector<float>* row_losses) const {
  return ops::linear_cross_entropy(ctx, hidden, head(), targets, row_weight, row_losses,
                                   {.softcap = config().logit_softcap});
}

Result<BoundAdapter> Model::bind(const LoraAdapter& adapter) const {
  std::map<std::string, const Weight*> known;
  for (const auto& [name, weight] : linears()) known[name] = weight;
  BoundAdapter bound;
  for (const auto& [name, pair] : adapter.modules) {
    const auto found = known.find(name);
    if (found == known.end())
      return with_hint(bad_input("adapter: the model has no linear \"{}\"", name),
                       "Is the adapter made for this model?");
    const Weight& w = *found->second;
    const Tensor &A = pair.A, &B = pair.B;
    if (A.shape().size() != 2 || B.shape().size() != 2 || A.cols() != w.K() || B.rows() != w.N() ||
        A.rows() != B.cols())
      return bad_input("adapter: {} has A {} and B {}, which do not fit the weight [{}, {}]", name,
                       A.to_string(), B.to_string(), w.N(), w.K());
    const auto as_f32 = [](const Tensor& t) { return t.dtype() == DType::kF32 ? t : t.to_f32(); };
    Lora& lora = bound.modules[name] = {Weight(as_f32(A)), Weight(as_f32(B)), adapter.scale(pair)};
    if (pair.magnitude.defined()) lora.gain = dora_gain(w.tensor(), lora, pair.magnitude);
  }
  return bound;
}

Batch Batch::single(std::vector<int32_t> tokens, SequenceState* state, int64_t position) {
  Batch batch;
  batch.segments = {{0, static_cast<int64_t>(tokens.size()), position, state, nullptr}};
  batch.tokens = std::move(tokens);
  return batch;
}

}  // namespace sllm
