// What tuning minimises. Supervised tuning takes the mean cross-entropy of the learned tokens; the
// others have files of their own.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/events.h"
#include "base/result.h"
#include "models/model.h"
#include "ranks/ranks.h"
#include "train/batches.h"
#include "train/options.h"
#include "train/samples.h"
#include "train/step_loss.h"
#include "train/teacher.h"

namespace sllm {

// Of one call: which step it is, and who hears of the work while it is done.
struct StepInfo {
  int64_t number = 0;                                // from 1; 0: an evaluation
  Shard shard = {};                                  // of the items; what the call is for
  std::function<void(int64_t tokens)> seen;          // after every forward: its samples' tokens
  std::function<void(const Tensor& leaf)> on_ready;  // in the last backward (Tape::backward)
};

struct ObjectiveInput {
  const Model& model;
  const BoundAdapter* adapter;  // what is trained, or null
  const TuneOptions& options;
  std::function<Status()> may_go_on;  // asked between forwards; an error ends the work
  TeacherModel teacher = {};
  fs::path kept = {};  // folder of what prepare() computes
  Ranks& ranks = alone();
};

// All that a run will learn from, for objectives that must know of it before the first step.
struct ObjectivePlan {
  Backend& backend;
  const SampleSet& train;
  const SampleSet& eval;
  Schedule& schedule;
  std::string base_hash;
  ProgressSink progress;
};

class Objective {
 public:
  explicit Objective(ObjectiveInput input) : input_(std::move(input)) {}
  virtual ~Objective() = default;
  // Called once, while what is trained is as it was made or read. What it computes lies in the
  // folder `kept`, so that a process that was killed is gone on with. One rank after the other may
  // call it: the later ones find what the first one computed.
  virtual Status prepare(const ObjectivePlan&) { return ok(); }
  // What the shard of these items of the data adds to the loss of a step; its gradients are added
  // to the tape of ctx. May be collective in a rank's first shard.
  virtual Result<LossSum> loss(Context& ctx, const SampleSet& data, std::span<const uint32_t> items,
                               const StepInfo& info) = 0;
  // The loss of held-out data, without gradients. Collective.
  virtual Result<StepLoss> evaluate(Context& ctx, const SampleSet& data, const StepInfo& info) = 0;

 protected:
  // Adds the gradients of one forward of several; a loss that is not finite changes no weight.
  static void backward(Context& ctx, double loss, bool last, const StepInfo& info) {
    if (ctx.tape) ctx.tape->backward(last && std::isfinite(loss) ? info.on_ready : nullptr);
  }
  PackOptions packing() const {
    return {.micro_tokens = input_.options.micro_tokens,
            .adapter = input_.adapter,
            .share_beginnings = shares_beginnings(input_.model.config())};
  }
  static std::span<const uint32_t> part_of(const SampleSet& data, std::span<const uint32_t> items,
                                           const Shard& shard) {
    const std::vector<int64_t> begins = divide(data, items, shard.count);
    const auto i = static_cast<size_t>(shard.index);
    return items.subspan(static_cast<size_t>(begins[i]),
                         static_cast<size_t>(begins[i + 1] - begins[i]));
  }
  // The sum of loss_of(micro) over the forwards of a shard, each followed by its backward.
  template <class LossOf>
  Result<double> learn(Context& ctx, const std::vector<MicroBatch>& micros, const StepInfo& info,
                       LossOf loss_of) const {
    double loss = 0;
    for (const MicroBatch& micro : micros) {
      SLLM_OK(input_.may_go_on());
      loss += loss_of(micro);
      backward(ctx, loss, &micro == &micros.back(), info);
      if (info.seen) info.seen(micro.sample_tokens);
    }
    return loss;
  }
  // of(0), ..., of(n - 1), each computed by one of the ranks. Collective.
  template <class T, class Of>
  Result<std::vector<T>> share(int64_t n, Of of) const {
    Ranks& ranks = input_.ranks;
    std::vector<T> values(static_cast<size_t>(n));
    std::vector<int64_t> begins;
    for (int r = 0; r <= ranks.size(); ++r) begins.push_back(n * r / ranks.size());
    const auto mine = [&]() -> Status {
      const auto r = static_cast<size_t>(ranks.rank());
      for (int64_t i = begins[r]; i < begins[r + 1]; ++i) {
        SLLM_OK(input_.may_go_on());
        SLLM_TRY(values[static_cast<size_t>(i)], of(static_cast<size_t>(i)));
      }
      return ok();
    };
    SLLM_OK(ranks.agree(mine()));
    ranks.gather<T>(std::span(values), begins);
    return values;
  }
  ObjectiveInput input_;
};

// The learned tokens of these items, each of one sample.
int64_t supervised(const SampleSet& data, std::span<const uint32_t> items);
// All items of the data.
std::vector<uint32_t> all_items(const SampleSet& data);

// As options.objective and options.teacher say (validate() knows the names).
std::unique_ptr<Objective> make_objective(ObjectiveInput input);
std::unique_ptr<Objective> make_preference_objective(ObjectiveInput input);
std::unique_ptr<Objective> make_distillation_objective(ObjectiveInput input);

}  // namespace sllm
