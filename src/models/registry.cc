// Which model_type is read by which file, and what all models share: loading by name, adapters.
#include <map>

#include "models/architectures.h"

namespace sllm {
namespace {

struct Architecture {
  const char* model_type;
  Result<std::shared_ptr<Model>> (*load)(std::shared_ptr<ModelSource>);
};
constexpr Architecture kArchitectures[] = {
    {"llama", load_llama},
    {"mistral", load_llama},
    {"qwen2", load_qwen2},
};

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Architecture& a : kArchitectures) names.push_back(a.model_type);
  return names;
}

Result<std::shared_ptr<Model>> Model::load(std::shared_ptr<ModelSource> source) {
  const std::string& wanted = source->config().architecture;
  std::string known;
  for (const Architecture& a : kArchitectures) {
    if (wanted == a.model_type) return a.load(std::move(source));
    known += (known.empty() ? "" : ", ") + std::string(a.model_type);
  }
  return with_hint(
      bad_input("{}: the architecture \"{}\" is not supported", source->path().string(), wanted),
      "Supported: " + known);
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
    bound.modules[name] = {Weight(as_f32(A)), Weight(as_f32(B)), adapter.scale()};
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
