// Learning from what a teacher said when it made the rows: their column "logprobs"
// (data/said_tokens.h, `sllm distill --logprobs`). Any server will do, whatever its tokens.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "base/file.h"
#include "train/samples.h"
#include "train/teacher.h"

namespace sllm {

// Adds what the rows of `path` say of `samples`, read from there, by their keys, in the student's
// tokens: of the last answer of each, k tokens kept, of ids below `vocabulary`. Errors: kBadInput
// "file:line: ...", also when no row has log-probabilities.
using SaidRows = std::unordered_map<std::string, TeacherRows>;
Status add_said_rows(SaidRows& said, const fs::path& path, const SampleSet& samples,
                     const std::shared_ptr<const Tokenizer>& student, int64_t k,
                     int64_t vocabulary);

}  // namespace sllm
