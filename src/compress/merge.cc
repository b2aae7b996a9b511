#include "compress/merge.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "models/dora.h"

namespace sllm {
namespace {

// W [out, in] += scale * B [out, R] A [R, in], the sum over R in ascending order; with DoRA each
// row then gets the length that its magnitude says.
// Undefined where a number of it is not finite.
Tensor merged(const Tensor& base, const LoraAdapter::Pair& pair, float scale, ThreadPool& pool) {
  Tensor w = base.dtype() == DType::kF32 ? base.clone() : base.to_f32();
  const auto [rows, cols] = w.dims<2>();
  const int64_t rank = pair.rank(), width = cols;
  const Tensor A = pair.A.to(DType::kF32), B = pair.B.to(DType::kF32);
  const float *a = A.data<float>(), *b = B.data<float>();
  float* weights = w.data<float>();
  std::atomic<bool> finite = true;
  pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> update(static_cast<size_t>(width));
    for (int64_t row = begin; row < end; ++row) {
      std::ranges::fill(update, 0.0f);
      for (int64_t r = 0; r < rank; ++r)
        for (int64_t i = 0; i < width; ++i)
          update[static_cast<size_t>(i)] += b[row * rank + r] * a[r * width + i];
      for (int64_t i = 0; i < width; ++i)
        weights[row * width + i] += scale * update[static_cast<size_t>(i)];
      if (pair.magnitude.defined()) {
        const float norm = row_norm(weights + row * width, width);
        const float gain = dora_gain(pair.magnitude.data<float>()[row], norm);
        for (int64_t i = 0; i < width; ++i) weights[row * width + i] *= gain;
      }
      const std::span<const float> result(weights + row * width, static_cast<size_t>(width));
      if (!std::ranges::all_of(result, [](float x) { return std::isfinite(x); })) finite = false;
    }
  });
  return finite ? w : Tensor();
}

}  // namespace

Status check_fits(const ModelSource& base, const LoraAdapter& adapter) {
  for (const auto& [module, pair] : adapter.modules) {
    const std::string name = module + ".weight";
    const auto found = std::ranges::find(base.tensors(), name, &TensorInfo::name);
    if (found == base.tensors().end())
      return with_hint(
          bad_input("the adapter changes {}, which {} does not have", module, base.path().string()),
          adapter.base_model.empty()
              ? "Use the base model that the adapter was trained on"
              : fmt::format("The adapter was trained on {}", adapter.base_model));
    const Shape wanted = {pair.B.shape()[0], pair.A.shape()[1]};
    if (found->shape != wanted)
      return with_hint(
          bad_input("the adapter changes {} as a matrix [{}], but {} has [{}]", module,
                    fmt::join(wanted, ", "), base.path().string(), fmt::join(found->shape, ", ")),
          "Use the base model that the adapter was trained on");
    if (module == "model.embed_tokens")
      return bad_input("adapters of the embedding are not supported ({})", module);
  }
  return ok();
}

Result<ModelToWrite> merge_adapter(std::shared_ptr<const ModelSource> base, LoraAdapter adapter,
                                   ThreadPool& pool) {
  SLLM_OK(check_fits(*base, adapter));
  ModelToWrite model = as_written(base);
  keep_floats(model, std::nullopt);
  model.description["sllm.base"] = base->description()["name"];
  auto shared = std::make_shared<const LoraAdapter>(std::move(adapter));
  model.tensor = [base, shared, &pool](const TensorInfo& t) -> Result<Tensor> {
    SLLM_TRY(const Tensor stored, base->tensor(t.name));
    const std::string module = t.name.substr(0, t.name.rfind('.'));
    const auto pair = shared->modules.find(module);
    if (pair == shared->modules.end() || !t.name.ends_with(".weight")) return stored;
    const Tensor w = merged(stored, pair->second, shared->scale(pair->second), pool);
    if (!w.defined())
      return bad_input("the adapter makes numbers of {} that are not finite (NaN or infinity)",
                       module);
    return w;
  };
  return model;
}

Result<ModelToWrite> merge_weights(std::shared_ptr<const ModelSource> base,
                                   std::shared_ptr<const ModelSource> tuned) {
  const auto path = [](const auto& source) { return source->path().string(); };
  for (const auto& [from, in] : {std::pair(base, tuned), std::pair(tuned, base)})
    for (const TensorInfo& t : from->tensors()) {
      const auto found = std::ranges::find(in->tensors(), t.name, &TensorInfo::name);
      if (found == in->tensors().end() || found->shape != t.shape)
        return with_hint(bad_input("{} has a tensor {} [{}], and {} has {}", path(from), t.name,
                                   fmt::join(t.shape, ", "), path(in),
                                   found == in->tensors().end()
                                       ? std::string("none of that name")
                                       : fmt::format("[{}]", fmt::join(found->shape, ", "))),
                         "Use the base model that was tuned");
    }
  ModelToWrite model = as_written(base);
  keep_floats(model, std::nullopt);
  model.description["sllm.base"] = base->description()["name"];
  model.tensor = [base, tuned](const TensorInfo& t) { return tuned->tensor(t.name); };
  return model;
}

}  // namespace sllm
