// What a tuning run trains, as the loop (tune.cc), its checkpoints and its result see it. One
// implementation a method: TrainableLora (lora.h) and TrainableModel (full.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "models/model.h"
#include "train/moments.h"
#include "train/options.h"
#include "train/slices.h"

namespace sllm {

// One trained tensor, its AdamW moments beside it.
struct Parameter {
  std::string name;     // "model.layers.0.self_attn.q_proj.lora_A"
  Weight weight;        // F32
  double lr_ratio = 1;  // of its learning rate to the run's
  Moment m, v;          // first and second moment of this rank's part (make_moments)
};

class Trainable {
 public:
  virtual ~Trainable() = default;
  // Deals the parameters out to ranks and makes zero moments for the part of this one, before
  // anything is learned; those of large tensors in 8 bits where that is asked for.
  void make_moments(bool in_8_bits, int rank = 0, int ranks = 1);
  const Slices& slices() const { return *slices_; }
  // Which turn 8-bit moments into f32 and back; the same ones in every step.
  ThreadPool& threads_of_moments(int threads);
  Trainable(Trainable&&) = default;
  Trainable& operator=(Trainable&&) = default;

  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t size() const;  // trained numbers

  // What the rows of a forward use beside the model's own weights; null: nothing.
  virtual const BoundAdapter* bound() const = 0;

  // Announces what gradients are wanted of: the parameters, and what is derived from them.
  virtual void watch(Tape& tape) const;
  // Makes what is derived from the parameters' values anew; once before the first forward and after
  // every change.
  virtual void derive(Backend&) {}
  // Turns the gradients of what is derived into those of the parameters.
  virtual void collect_gradients(Tape&, Backend&) const {}

  // The values, bit for bit, as files of their own in `folder`, and back from there. restore:
  // kBadInput when something is missing or misshapen; nothing has changed then.
  virtual Status save(const fs::path& folder) const = 0;
  virtual Status restore(const fs::path& folder) = 0;

  // The result as other programs read it, into the empty `folder`: the values of now or, where one
  // is given, those that save() put into the folder `saved`.
  virtual Status write(const fs::path& folder, const std::optional<fs::path>& saved) const = 0;

 protected:
  Trainable() = default;
  void add(std::string name, const Weight& weight, double lr_ratio = 1);
  std::vector<Parameter> parameters_;
  std::optional<Slices> slices_;
  std::unique_ptr<ThreadPool> threads_;
};

// A model to train, where it comes from, and what the result is to call it.
struct TrainedBase {
  Model& model;
  std::shared_ptr<const ModelSource> source;
  std::string name;
};
// What `options` say is trained of it, with the moments of this rank; the model must outlive that.
// Errors: those of the method's own constructors.
Result<std::unique_ptr<Trainable>> make_trainable(const TrainedBase& base,
                                                  const TuneOptions& options, int rank = 0,
                                                  int ranks = 1);

}  // namespace sllm
