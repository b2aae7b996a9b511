// The parts of a comparison: each looks at one thing and adds its row.
#pragma once

#include "eval/sameness.h"

namespace sllm::eval {

SamenessBound choose_bound(Artefact& a, Artefact& b, const std::optional<WeightsDistance>& weights);

Status compare_tokens(Artefact& a, Artefact& b, const SamenessOptions& options, Sameness& out);
void compare_ends(Artefact& a, Artefact& b, Sameness& out);
// Nothing where there are no weights on this machine to compare.
Result<std::optional<WeightsDistance>> measure_weights(Artefact& a, Artefact& b,
                                                       const SamenessOptions& options,
                                                       Sameness& out);
void judge_weights(const std::optional<WeightsDistance>& weights, Sameness& out);
Status compare_logits(Artefact& a, Artefact& b, const SamenessOptions& options, Sameness& out);
Status compare_answers(Artefact& a, Artefact& b, const SamenessOptions& options, Sameness& out);

// The questions of the options, then the built-in ones.
std::vector<Conversation> questions_of(const SamenessOptions& options, int64_t count);

}  // namespace sllm::eval
