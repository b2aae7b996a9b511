// LoRA adapters as they are trained: F32 factors on some of a model's linears.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "train/trainable.h"

namespace sllm {

class TrainableLora final : public Trainable {
 public:
  // Fresh factors as PEFT makes them: A uniform in +-1/sqrt(in) (kaiming_uniform_ with a = sqrt 5),
  // B zero. Errors: kUsage naming a target that the model does not have, with those it has.
  static Result<TrainableLora> create(const Model& model, const TuneOptions& options);
  // Starts from `adapter` (PEFT's format). Errors as Model::bind.
  static Result<TrainableLora> from(const Model& model, const LoraAdapter& adapter);

  const BoundAdapter* bound() const override { return bound_.get(); }
  LoraAdapter adapter() const;  // shares the tensors
  // Checkpoints and results are adapters in PEFT's format.
  Status save(const fs::path& folder) const override;
  Status restore(const fs::path& folder) override;
  Status write(const fs::path& folder, const std::optional<fs::path>& saved) const override;
  void set_base_model(std::string name) { description_.base_model = std::move(name); }

 private:
  TrainableLora() = default;
  void attach(const std::string& module, const LoraAdapter::Pair& pair);
  LoraAdapter description_;              // rank, alpha, base; no modules
  std::map<std::string, float> alphas_;  // of modules with their own
  // A then B of each module, in the model's order, are the parameters.
  std::shared_ptr<BoundAdapter> bound_ = std::make_shared<BoundAdapter>();
};

}  // namespace sllm
