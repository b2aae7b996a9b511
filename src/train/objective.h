// What tuning minimises. Supervised tuning takes the mean cross-entropy of the learned tokens; the
// others have files of their own.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/events.h"
#include "base/result.h"
#include "models/model.h"
#include "train/batches.h"
#include "train/options.h"
#include "train/samples.h"
#include "train/step_loss.h"
#include "train/teacher.h"

namespace sllm {

// Of one call: which step it is, and who hears of the work while it is done.
struct StepInfo {
  int64_t number = 0;                                // from 1; 0: an evaluation
  std::function<void(int64_t tokens)> seen;          // after every forward: its samples' tokens
  std::function<void(const Tensor& leaf)> on_ready;  // in the last backward (Tape::backward)
};

struct ObjectiveInput {
  const Model& model;
  const BoundAdapter* adapter;  // what is trained, or null
  const TuneOptions& options;
  std::function<Status()> may_go_on;  // asked between forwards; an error ends the work
  Teacher teacher = {};
  fs::path kept = {};  // folder of what prepare() computes
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
  // folder `kept`, so that a process that was killed is gone on with.
  virtual Status prepare(const ObjectivePlan&) { return ok(); }
  // The loss over these items of the data; with ctx.tape its gradients are added to the tape.
  virtual Result<StepLoss> loss(Context& ctx, const SampleSet& data,
                                std::span<const uint32_t> items, const StepInfo& info) = 0;
  // Of held-out data, without gradients.
  virtual Result<StepLoss> evaluate(Context& ctx, const SampleSet& data, const StepInfo& info);

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
  ObjectiveInput input_;
};

// As options.objective and options.teacher say (validate() knows the names).
std::unique_ptr<Objective> make_objective(ObjectiveInput input);
std::unique_ptr<Objective> make_preference_objective(ObjectiveInput input);
std::unique_ptr<Objective> make_distillation_objective(ObjectiveInput input);

}  // namespace sllm
