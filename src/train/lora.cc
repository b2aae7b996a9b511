// Attaching trainable low-rank factors to a model's linears.
#include "train/lora.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/rng.h"

namespace sllm {
namespace {

constexpr uint64_t kInitStream = uint64_t{1} << 63;  // apart from the shuffles' (batches.cc)

std::set<std::string> split_names(const std::string& text) {
  std::set<std::string> names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) names.insert(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);  // npos + 1 is 0
}

Tensor kaiming_uniform(int64_t rank, int64_t in, uint64_t seed, uint64_t stream) {
  Tensor A = Tensor::empty(DType::kF32, {rank, in});
  Rng rng(seed, stream);
  const float bound = 1.0f / std::sqrt(static_cast<float>(in));
  for (int64_t i = 0; i < A.size(); ++i) A.data<float>()[i] = (2 * rng.uniform() - 1) * bound;
  return A;
}

}  // namespace

Result<TrainableLora> TrainableLora::create(const Model& model, const TuneOptions& options) {
  TrainableLora lora;
  lora.description_.rank = options.rank;
  lora.description_.alpha = static_cast<float>(options.alpha);
  lora.description_.rslora = options.rslora;
  const bool all = options.targets == "all" || options.targets == "all-linear";
  std::set<std::string> missing = all ? std::set<std::string>{} : split_names(options.targets);
  const std::set<std::string> wanted = missing;
  if (!all && wanted.empty()) return usage_error("targets: no linear is named");
  std::set<std::string> known;
  uint64_t stream = kInitStream;
  for (const auto& [module, weight] : model.linears()) {
    const std::string name = last_part(module);
    known.insert(name);
    missing.erase(name);
    ++stream;  // counts every linear, so that a module's A does not depend on the other targets
    if (!all && !wanted.contains(name)) continue;
    lora.attach(module, {kaiming_uniform(options.rank, weight->K(), options.seed, stream),
                         Tensor::zeros(DType::kF32, {weight->N(), options.rank})});
  }
  if (!missing.empty())
    return with_hint(usage_error("targets: the model has no linear named '{}'", *missing.begin()),
                     fmt::format("It has: {}", fmt::join(known, ", ")));
  return lora;
}

Result<TrainableLora> TrainableLora::from(const Model& model, const LoraAdapter& adapter) {
  for (const auto& [module, pair] : adapter.modules)
    if (pair.magnitude.defined())
      return with_hint(
          bad_input("adapter: {} has DoRA's magnitude, which is not trained here", module),
          "Merge it into the model (sllm merge) and tune that, or start anew");
  SLLM_TRY(const BoundAdapter checked, model.bind(adapter));
  TrainableLora lora;
  lora.description_ = adapter;
  lora.description_.modules.clear();
  for (const auto& [module, weight] : model.linears())
    if (const auto at = adapter.modules.find(module); at != adapter.modules.end())
      lora.attach(module, at->second);
  return lora;
}

// Copies the factors: those of a file must not be trained in place.
void TrainableLora::attach(const std::string& module, const LoraAdapter::Pair& pair) {
  const auto copy = [](const Tensor& t) {
    return Weight(t.dtype() == DType::kF32 ? t.clone() : t.to_f32());
  };
  const Lora& lora = bound_->modules[module] =
      Lora{copy(pair.A), copy(pair.B), description_.scale(pair)};
  if (pair.alpha) alphas_[module] = *pair.alpha;
  for (const auto& [name, weight] : {std::pair(".lora_A", lora.A), std::pair(".lora_B", lora.B)}) {
    const Shape& shape = weight.tensor().shape();
    parameters_.push_back({module + name, weight, Tensor::zeros(DType::kF32, shape),
                           Tensor::zeros(DType::kF32, shape)});
  }
}

int64_t TrainableLora::size() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += p.weight.tensor().size();
  return n;
}

LoraAdapter TrainableLora::adapter() const {
  LoraAdapter adapter = description_;
  for (const auto& [module, lora] : bound_->modules)
    adapter.modules[module] = {lora.A.tensor(), lora.B.tensor()};
  for (const auto& [module, alpha] : alphas_) adapter.modules[module].alpha = alpha;
  return adapter;
}

Status TrainableLora::restore(const LoraAdapter& adapter) {
  const LoraAdapter mine = this->adapter();
  if (adapter.modules.size() != mine.modules.size())
    return bad_input("the adapter has {} modules, expected {}", adapter.modules.size(),
                     mine.modules.size());
  for (const auto& [module, pair] : mine.modules) {
    const auto at = adapter.modules.find(module);
    if (at == adapter.modules.end() || at->second.A.shape() != pair.A.shape() ||
        at->second.B.shape() != pair.B.shape())
      return bad_input("module {} is missing or has another shape", module);
  }
  for (const auto& [module, pair] : mine.modules) {
    Tensor A = pair.A, B = pair.B;
    const LoraAdapter::Pair& other = adapter.modules.at(module);
    std::memcpy(A.raw(), other.A.to(DType::kF32).raw(), static_cast<size_t>(A.bytes()));
    std::memcpy(B.raw(), other.B.to(DType::kF32).raw(), static_cast<size_t>(B.bytes()));
  }
  return ok();
}

}  // namespace sllm
