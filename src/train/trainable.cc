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
  parameters_.push_back({std::move(name), weight, lr_ratio, {}, {}});
}

void Trainable::make_moments(bool in_8_bits, int rank, int ranks) {
  std::vector<int64_t> sizes;
  for (const Parameter& p : parameters_) sizes.push_back(p.weight.tensor().size());
  slices_.emplace(sizes, ranks);
  for (size_t i = 0; i < sizes.size(); ++i) {
    Parameter& p = parameters_[i];
    const int64_t n = slices_->part(rank, i).size();
    if (in_8_bits && sizes[i] >= kFewestIn8Bits) {
      p.m = Moment::zeros_in_8_bits(n, /*is_signed=*/true);
      p.v = Moment::zeros_in_8_bits(n, /*is_signed=*/false);
    } else {
      p.m = Moment::zeros({n}), p.v = Moment::zeros({n});
    }
  }
}

ThreadPool& Trainable::threads_of_moments(int threads) {
  if (!threads_) threads_ = std::make_unique<ThreadPool>(threads);
  return *threads_;
}

static Result<TrainableLora> make_lora(const TrainedBase& base, const TuneOptions& options) {
  if (options.init_adapter.empty()) return TrainableLora::create(base.model, options);
  SLLM_TRY(const LoraAdapter adapter, read_adapter(options.init_adapter, base.model.config()));
  return TrainableLora::from(base.model, adapter, options);
}

Result<std::unique_ptr<Trainable>> make_trainable(const TrainedBase& base,
                                                  const TuneOptions& options, int rank, int ranks) {
  std::unique_ptr<Trainable> trained;
  if (options.method == "full") {
    SLLM_TRY(TrainableModel model, TrainableModel::create(base.model, base.source, base.name));
    trained = std::make_unique<TrainableModel>(std::move(model));
  } else {
    SLLM_TRY(TrainableLora lora, make_lora(base, options));
    lora.set_base_model(base.name);
    trained = std::make_unique<TrainableLora>(std::move(lora));
  }
  trained->make_moments(options.optimizer == "adamw8bit", rank, ranks);
  return trained;
}

}  // namespace sllm
