// What all methods share, and which one the options name.
#include "train/trainable.h"

#include "io/adapter.h"
#include "train/lora.h"

namespace sllm {

int64_t Trainable::size() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += p.weight.tensor().size();
  return n;
}

void Trainable::watch(Tape& tape) const {
  for (const Parameter& p : parameters_) tape.watch(p.weight.tensor());
}

void Trainable::add(std::string name, const Weight& weight, double lr_ratio) {
  const Shape& shape = weight.tensor().shape();
  parameters_.push_back({std::move(name), weight, Tensor::zeros(DType::kF32, shape),
                         Tensor::zeros(DType::kF32, shape), lr_ratio});
}

Result<std::unique_ptr<Trainable>> make_trainable(const Model& model, const TuneOptions& options,
                                                  const std::string& base_name) {
  const auto make = [&]() -> Result<TrainableLora> {
    if (options.init_adapter.empty()) return TrainableLora::create(model, options);
    SLLM_TRY(const LoraAdapter adapter, read_adapter(options.init_adapter, model.config()));
    return TrainableLora::from(model, adapter, options);
  };
  SLLM_TRY(TrainableLora lora, make());
  lora.set_base_model(base_name);
  return std::unique_ptr<Trainable>(std::make_unique<TrainableLora>(std::move(lora)));
}

}  // namespace sllm
