// LoRA adapters as they are trained: F32 factors on some of a model's linears, with DoRA's
// magnitudes where those are wanted.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "train/dora.h"
#include "train/trainable.h"

namespace sllm {

class TrainableLora final : public Trainable {
 public:
  // Fresh factors as PEFT makes them: A uniform in +-1/sqrt(in) (kaiming_uniform_ with a = sqrt 5),
  // B zero. Errors: kUsage naming a target that the model does not have, with those it has.
  static Result<TrainableLora> create(const Model& model, const TuneOptions& options);
  // Starts from `adapter`, whose rank, alphas and targets count; its magnitudes, too, where it has
  // them. Errors as Model::bind.
  static Result<TrainableLora> from(const Model& model, const LoraAdapter& adapter,
                                    const TuneOptions& options);

  const BoundAdapter* bound() const override { return bound_.get(); }
  void watch(Tape& tape) const override;
  void derive(Backend& backend) override;
  void collect_gradients(Tape& tape, Backend& backend) const override;
  LoraAdapter adapter() const;  // shares the tensors
  // Checkpoints and results are adapters in PEFT's format.
  Status save(const fs::path& folder) const override;
  Status restore(const fs::path& folder) override;
  Status write(const fs::path& folder, const std::optional<fs::path>& saved) const override;
  void set_base_model(std::string name) { description_.base_model = std::move(name); }

 private:
  explicit TrainableLora(const TuneOptions& options)
      : dora_(options.dora), lr_ratio_(options.lora_plus) {}
  void attach(const std::string& module, const Weight& base, const LoraAdapter::Pair& pair);
  bool dora_;
  double lr_ratio_;                      // LoRA+ (Hayou et al. 2024): of B and the magnitude
  LoraAdapter description_;              // rank, alpha, base; no modules
  std::map<std::string, float> alphas_;  // of modules with their own
  // A, then B, then the magnitude of each module, in the model's order, are the parameters.
  std::shared_ptr<BoundAdapter> bound_ = std::make_shared<BoundAdapter>();
  std::map<std::string, DoraMagnitude> magnitudes_;  // by module
};

}  // namespace sllm
