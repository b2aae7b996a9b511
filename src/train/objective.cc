// Supervised tuning, and which objective the options name.
#include "train/objective.h"

#include <numeric>

namespace sllm {
namespace {

class Supervised final : public Objective {
 public:
  using Objective::Objective;

  Result<StepLoss> loss(Context& ctx, const SampleSet& data, std::span<const uint32_t> items,
                        const StepInfo& info) override {
    int64_t supervised = 0;
    for (const uint32_t item : items) supervised += data.samples[item].supervised();
    PackOptions options = packing();
    if (ctx.tape) options.row_weight = 1.0f / static_cast<float>(supervised);
    double loss = 0;
    const std::vector<MicroBatch> micros = pack(data, items, options);
    for (const MicroBatch& micro : micros) {
      SLLM_OK(input_.may_go_on());
      const Tensor hidden = input_.model.forward(ctx, micro.batch);
      loss += input_.model.loss(ctx, hidden, micro.targets, micro.weights);
      backward(ctx, loss, &micro == &micros.back(), info);
      if (info.seen) info.seen(micro.sample_tokens);
    }
    return StepLoss{ctx.tape ? loss : loss / static_cast<double>(supervised), {}};
  }
};

}  // namespace

Result<StepLoss> Objective::evaluate(Context& ctx, const SampleSet& data, const StepInfo& info) {
  std::vector<uint32_t> all(static_cast<size_t>(data.items()));
  std::iota(all.begin(), all.end(), 0u);
  return loss(ctx, data, all, info);
}

std::unique_ptr<Objective> make_objective(ObjectiveInput input) {
  if (!input.options.teacher.empty()) return make_distillation_objective(std::move(input));
  if (input.options.objective == "sft") return std::make_unique<Supervised>(std::move(input));
  return make_preference_objective(std::move(input));
}

}  // namespace sllm
