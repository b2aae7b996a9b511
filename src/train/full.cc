// F32 masters of all weights: made, kept in checkpoints, written as a model.
#include "train/full.h"

#include <cstring>

#include "io/float_types.h"
#include "io/safetensors.h"
#include "text/tokenizer_convert.h"

namespace sllm {
namespace {

constexpr const char* kMasters = "masters.safetensors";

}  // namespace

Result<TrainableModel> TrainableModel::create(Model& model,
                                              std::shared_ptr<const ModelSource> source,
                                              const std::string& base_name) {
  TrainableModel trained(std::move(source), base_name);
  // What the result cannot say is known now and not after hours.
  ModelToWrite model_to_write = as_written(trained.source_);
  SLLM_OK(tokenizer_for_folder(model_to_write.tokenizer, model_to_write.chat_template,
                               model_to_write.config)
              .context("full tuning writes a Hugging Face folder"));
  for (const auto& [name, weight] : model.parameters()) {
    if (!trained.source_->has(name))
      return with_hint(usage_error("full tuning: {} has no tensor {}, which {} models are made of",
                                   trained.source_->path().string(), name,
                                   model.config().architecture->model_type),
                       "Tune it with LoRA: leave out --full");
    *weight = Weight(weight->tensor().to_f32());  // a copy, whatever it was
    trained.add(name, *weight);
  }
  return trained;
}

Status TrainableModel::save(const fs::path& folder) const {
  std::map<std::string, Tensor> masters;
  for (const Parameter& p : parameters_) masters[p.name] = p.weight.tensor();
  return write_safetensors(folder / kMasters, masters);
}

Status TrainableModel::restore(const fs::path& folder) {
  SLLM_TRY(const SafetensorsFile masters, read_safetensors(folder / kMasters));
  for (const Parameter& p : parameters_) {
    const auto at = masters.tensors.find(p.name);
    if (at == masters.tensors.end() || at->second.dtype() != DType::kF32 ||
        at->second.shape() != p.weight.tensor().shape())
      return bad_input("{}: {} is missing or has another shape", (folder / kMasters).string(),
                       p.name);
  }
  for (Parameter& p : parameters_) {
    Tensor& w = p.weight.tensor();
    std::memcpy(w.raw(), masters.tensors.at(p.name).raw(), static_cast<size_t>(w.bytes()));
    p.weight.prepared() = nullptr;
  }
  return ok();
}

Status TrainableModel::write(const fs::path& folder, const std::optional<fs::path>& saved) const {
  std::map<std::string, Tensor> masters;
  if (saved) {
    SLLM_TRY(const SafetensorsFile file, read_safetensors(*saved / kMasters));
    masters = file.tensors;
  } else {
    for (const Parameter& p : parameters_) masters[p.name] = p.weight.tensor();
  }
  ModelToWrite model = as_written(source_);
  keep_floats(model, std::nullopt);
  SLLM_TRY(model.tokenizer,
           tokenizer_for_folder(model.tokenizer, model.chat_template, model.config));
  model.description["sllm.base"] = base_name_;
  model.tensor = [&](const TensorInfo& t) -> Result<Tensor> {
    const auto at = masters.find(t.name);
    if (at != masters.end()) return at->second;
    return source_->tensor(t.name);
  };
  return write_hf_folder(folder, model);
}

}  // namespace sllm
