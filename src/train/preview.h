// Answers while a model is tuned: some held-out prompts are answered at each evaluation, so that a
// reader sees what the loss means. They decide nothing. answers.jsonl in the run's folder holds all
// of them, a line each.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "models/model.h"
#include "train/options.h"
#include "train/samples.h"

namespace sllm {

struct PreviewAnswer {
  int64_t step = 0;    // after which it was given
  int64_t sample = 0;  // of the held-out rows
  std::string prompt, expected, answer;
};

class Preview {
 public:
  // `tokenizer`: null where rows are token ids; nothing is answered then. Answers of an earlier
  // process after `last_step` are forgotten.
  static Result<Preview> open(const TuneOptions& options,
                              std::shared_ptr<const Tokenizer> tokenizer, int64_t last_step);
  // Answers the first options.answers prompts and writes the file anew. Errors: kResource.
  Status answer(Context& ctx, const Model& model, const BoundAdapter* adapter,
                const SampleSet& held_out, int64_t step);

 private:
  Preview(const TuneOptions& options, std::shared_ptr<const Tokenizer> tokenizer)
      : options_(&options), tokenizer_(std::move(tokenizer)) {}
  const TuneOptions* options_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<PreviewAnswer> answers_;
};

// In the order in which they were given; empty where the run has none.
Result<std::vector<PreviewAnswer>> read_preview(const fs::path& run);

}  // namespace sllm
