// LoRA adapters as they are trained: F32 factors on some of a model's linears.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/model.h"
#include "train/options.h"

namespace sllm {

// One trained tensor, its AdamW moments beside it.
struct Parameter {
  std::string name;  // "model.layers.0.self_attn.q_proj.lora_A"
  Weight weight;
  Tensor m, v;  // first and second moment, F32, zero at the start
};

class TrainableLora {
 public:
  // Fresh factors as PEFT makes them: A uniform in +-1/sqrt(in) (kaiming_uniform_ with a = sqrt 5),
  // B zero. Errors: kUsage naming a target that the model does not have, with those it has.
  static Result<TrainableLora> create(const Model& model, const TuneOptions& options);
  // Starts from `adapter` (PEFT's format). Errors as Model::bind.
  static Result<TrainableLora> from(const Model& model, const LoraAdapter& adapter);

  const BoundAdapter& bound() const { return *bound_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t size() const;         // trained numbers
  LoraAdapter adapter() const;  // shares the tensors
  // Copies the values in; kBadInput when a module is missing or misshapen.
  Status restore(const LoraAdapter& adapter);
  void set_base_model(std::string name) { description_.base_model = std::move(name); }

 private:
  TrainableLora() = default;
  void attach(const std::string& module, const LoraAdapter::Pair& pair);
  LoraAdapter description_;              // rank, alpha, base; no modules
  std::map<std::string, float> alphas_;  // of modules with their own
  std::shared_ptr<BoundAdapter> bound_ = std::make_shared<BoundAdapter>();
  std::vector<Parameter> parameters_;  // A then B of each module, in the model's order
};

}  // namespace sllm
