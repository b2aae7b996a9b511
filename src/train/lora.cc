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
  TrainableLora lora(options);
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
    lora.attach(module, *weight,
                {kaiming_uniform(options.rank, weight->K(), options.seed, stream),
                 Tensor::zeros(DType::kF32, {weight->N(), options.rank})});
  }
  if (!missing.empty())
    return with_hint(usage_error("targets: the model has no linear named '{}'", *missing.begin()),
                     fmt::format("It has: {}", fmt::join(known, ", ")));
  return lora;
}

Result<TrainableLora> TrainableLora::from(const Model& model, const LoraAdapter& adapter,
                                          const TuneOptions& options) {
  LoraAdapter plain = adapter;
  for (auto& [module, pair] : plain.modules) pair.magnitude = {};  // a gain takes time to compute
  SLLM_TRY(const BoundAdapter checked, model.bind(plain));
  TrainableLora lora(options);
  lora.description_ = adapter;
  lora.description_.modules.clear();
  for (const auto& [module, weight] : model.linears())
    if (const auto at = adapter.modules.find(module); at != adapter.modules.end())
      lora.attach(module, *weight, at->second);
  return lora;
}

// Copies the factors: those of a file must not be trained in place.
void TrainableLora::attach(const std::string& module, const Weight& base,
                           const LoraAdapter::Pair& pair) {
  const auto copy = [](const Tensor& t) {
    return Weight(t.dtype() == DType::kF32 ? t.clone() : t.to_f32());
  };
  Lora& lora = bound_->modules[module] = Lora{copy(pair.A), copy(pair.B), description_.scale(pair)};
  if (pair.alpha) alphas_[module] = *pair.alpha;
  add(module + ".lora_A", lora.A);
  add(module + ".lora_B", lora.B, lr_ratio_);
  if (!dora_ && !pair.magnitude.defined()) return;
  const auto at = magnitudes_.try_emplace(module, base, lora, pair.magnitude).first;
  add(module + ".lora_magnitude_vector", at->second.magnitude(), lr_ratio_);
}

void TrainableLora::watch(Tape& tape) const {
  Trainable::watch(tape);
  for (const auto& [module, magnitude] : magnitudes_) tape.watch(bound_->modules.at(module).gain);
}

void TrainableLora::derive(Backend& backend) {
  for (auto& [module, magnitude] : magnitudes_) magnitude.derive(backend);
}

void TrainableLora::collect_gradients(Tape& tape, Backend& backend) const {
  for (const auto& [module, magnitude] : magnitudes_) magnitude.collect_gradient(tape, backend);
}

LoraAdapter TrainableLora::adapter() const {
  LoraAdapter adapter = description_;
  for (const auto& [module, lora] : bound_->modules)
    adapter.modules[module] = {lora.A.tensor(), lora.B.tensor()};
  for (const auto& [module, magnitude] : magnitudes_)
    adapter.modules[module].magnitude = magnitude.magnitude().tensor();
  for (const auto& [module, alpha] : alphas_) adapter.modules[module].alpha = alpha;
  return adapter;
}

Status TrainableLora::save(const fs::path& folder) const {
  return write_peft_adapter(folder, adapter());
}

Status TrainableLora::write(const fs::path& folder, const std::optional<fs::path>& saved) const {
  if (!saved) return save(folder);
  SLLM_TRY(const LoraAdapter adapter, read_peft_adapter(*saved));
  return write_peft_adapter(folder, adapter);
}

Status TrainableLora::restore(const fs::path& folder) {
  SLLM_TRY(const LoraAdapter adapter, read_peft_adapter(folder));
  const LoraAdapter mine = this->adapter();
  if (adapter.modules.size() != mine.modules.size())
    return bad_input("the adapter has {} modules, expected {}", adapter.modules.size(),
                     mine.modules.size());
  for (const auto& [module, pair] : mine.modules) {
    const auto at = adapter.modules.find(module);
    if (at == adapter.modules.end() || at->second.A.shape() != pair.A.shape() ||
        at->second.B.shape() != pair.B.shape() ||
        at->second.magnitude.shape() != pair.magnitude.shape())
      return bad_input("module {} is missing or has another shape", module);
  }
  for (const auto& [module, pair] : mine.modules) {
    Tensor A = pair.A, B = pair.B;
    const LoraAdapter::Pair& other = adapter.modules.at(module);
    std::memcpy(A.raw(), other.A.to(DType::kF32).raw(), static_cast<size_t>(A.bytes()));
    std::memcpy(B.raw(), other.B.to(DType::kF32).raw(), static_cast<size_t>(B.bytes()));
    if (pair.magnitude.defined()) magnitudes_.at(module).restore(other.magnitude);
  }
  return ok();
}

}  // namespace sllm
