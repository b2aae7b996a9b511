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
  parameters_.push_back(
      {std::move(name), weight, Moment::zeros(shape), Moment::zeros(shape), lr_ratio});
}

void Trainable::keep_moments_in_8_bits() {
  for (Parameter& p : parameters_) {
    const int64_t n = p.weight.tensor().size();
    if (n < kFewestIn8Bits) continue;
    p.m = Moment::zeros_in_8_bits(n, /*is_signed=*/true);
    p.v = Moment::zeros_in_8_bits(n, /*is_signed=*/false);
  }
}

static Result<std::unique_ptr<Trainable>> of_method(const TrainedBase& base,
                                                    const TuneOptions& options);

Result<std::unique_ptr<Trainable>> make_trainable(const TrainedBase& base,
                                                  const TuneOptions& options) {
  SLLM_TRY(auto trained, of_method(base, options));
  if (options.optimizer == "adamw8bit") trained->keep_moments_in_8_bits();
  return trained;
}

static Result<std::unique_ptr<Trainable>> of_method(const TrainedBase& base,
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
