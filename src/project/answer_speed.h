// How fast a model of some shape answers on this machine, measured before it is here.
#pragma once

#include "base/result.h"
#include "io/model_config.h"
#include "ops/numerics.h"
#include "train/blank_model.h"

namespace sllm::project {

// Mean of one held-out row.
struct AnswerWork {
  int64_t rows = 0;
  double prompt_tokens = 0, answer_tokens = 0;
};

struct AnswerSpeed {
  double prompt = 0;  // seconds per token of a prompt
  double answer = 0;  // seconds per token of an answer, where kTogether are written at a time
  double seconds(const AnswerWork& work) const {
    return static_cast<double>(work.rows) *
           (work.prompt_tokens * prompt + work.answer_tokens * answer);
  }
};

// As many rows as evaluate_answers() has in work at a time.
inline constexpr int64_t kTogether = 4;

// Runs some layers with blank weights for about half a second. Error: kBadInput for an architecture
// that is not known.
Result<AnswerSpeed> measure_answer_speed(const ModelConfig& config, const TypeOf& type_of,
                                         Numerics numerics, int threads);

}  // namespace sllm::project
