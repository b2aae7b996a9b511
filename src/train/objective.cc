// Supervised tuning, and which objective the options name.
#include "train/objective.h"

#include <numeric>

namespace sllm {
namespace {

class Supervised final : public Objective {
 public:
  using Objective::Objective;

  Result<LossSum> loss(Context& ctx, const SampleSet& data, std::span<const uint32_t> items,
                       const StepInfo& info) override {
    PackOptions options = packing();
    options.row_weight = 1.0f / static_cast<float>(supervised(data, items));
    const auto micros = pack(data, part_of(data, items, info.shard), options);
    SLLM_TRY(const double loss, learn(ctx, micros, info, [&](const MicroBatch& micro) {
               return loss_of(ctx, micro);
             }));
    return LossSum{.loss = loss};
  }

  Result<StepLoss> evaluate(Context& ctx, const SampleSet& data, const StepInfo& info) override {
    const std::vector<uint32_t> items = all_items(data);
    const auto micros = pack(data, items, packing());
    SLLM_TRY(const auto losses, share<double>(std::ssize(micros), [&](size_t i) -> Result<double> {
               const double loss = loss_of(ctx, micros[i]);
               if (info.seen) info.seen(micros[i].sample_tokens);
               return loss;
             }));
    return StepLoss{std::accumulate(losses.begin(), losses.end(), 0.0) /
                        static_cast<double>(supervised(data, items)),
                    {}};
  }

 private:
  double loss_of(Context& ctx, const MicroBatch& micro) const {
    const Tensor hidden = input_.model.forward(ctx, micro.batch);
    return input_.model.loss(ctx, hidden, micro.targets, micro.weights);
  }
};

}  // namespace

int64_t supervised(const SampleSet& data, std::span<const uint32_t> items) {
  int64_t n = 0;
  for (const uint32_t item : items) n += data.samples[item].supervised();
  return n;
}

std::vector<uint32_t> all_items(const SampleSet& data) {
  std::vector<uint32_t> all(static_cast<size_t>(data.items()));
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

std::unique_ptr<Objective> make_objective(ObjectiveInput input) {
  if (!input.options.teacher.empty()) return make_distillation_objective(std::move(input));
  if (input.options.objective == "sft") return std::make_unique<Supervised>(std::move(input));
  return make_preference_objective(std::move(input));
}

}  // namespace sllm
