// What all methods share, and which one the options name.
#include "train/trainable.h"

#include "io/adapter.h"
#include "train/full.h"
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

Result<std::unique_ptr<Trainable>> make_trainable(const TrainedBase& base,
                                                  const TuneOptions& options) {
  if (options.method == "full") {
    SLLM_TRY(TrainableModel model, TrainableModel::create(base.model, base.source, base.name));
    return std::unique_ptr<Trainable>(std::make_unique<TrainableModel>(std::move(model)));
  }
  const auto make = [&]() -> Result<TrainableLora> {
    if (options.init_adapter.empty()) return TrainableLora::create(base.model, options);
    SLLM_TRY(const LoraAdapter adapter, read_adapter(options.init_adapter, base.model.config()));
    return TrainableLora::from(base.model, adapter, options);
  };
  SLLM_TRY(TrainableLora lora, make());
  lora.set_base_model(base.name);
  return std::unique_ptr<Trainable>(std::make_unique<TrainableLora>(std::move(lora)));
}

}  // namespace sllm
