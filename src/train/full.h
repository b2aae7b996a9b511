// Full tuning: every weight of the model is trained, as an F32 master that the forward reads
// (rounded to bf16 on its way into a product where the mode says so). A tied head is the embedding
// and counts once.
#pragma once

#include <memory>
#include <string>

#include "io/model_source.h"
#include "train/trainable.h"

namespace sllm {

class TrainableModel final : public Trainable {
 public:
  // Puts F32 copies in place of the model's weights, and changes those. `source` is where the model
  // comes from; the result takes from it what is not trained (configuration, tokenizer ...).
  // kUsage when a weight has no tensor of its name there.
  static Result<TrainableModel> create(Model& model, std::shared_ptr<const ModelSource> source,
                                       const std::string& base_name);

  const BoundAdapter* bound() const override { return nullptr; }
  // A checkpoint holds the masters; the result is a Hugging Face folder in the base's own float
  // types, BF16 for a quantised base.
  Status save(const fs::path& folder) const override;
  Status restore(const fs::path& folder) override;
  Status write(const fs::path& folder, const std::optional<fs::path>& saved) const override;

 private:
  TrainableModel(std::shared_ptr<const ModelSource> source, std::string base_name)
      : source_(std::move(source)), base_name_(std::move(base_name)) {}
  std::shared_ptr<const ModelSource> source_;
  std::string base_name_;
};

}  // namespace sllm
