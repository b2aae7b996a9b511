// The gate: at every border that a model crosses (merged, converted, quantised, served) what came
// out is compared with what went in. A project stops where they are not the same model.
#pragma once

#include "eval/sameness.h"
#include "project/project_file.h"
#include "project/stage_graph.h"

namespace sllm::project {

// Tokens of prompts that one side reads and answers that it writes, for estimates.
inline constexpr int64_t kGatePrompts = 4, kGatePromptTokens = 48, kGateAnswers = 2,
                         kGateAnswerTokens = 12;

struct GateResult {
  std::string border;  // "merge", "q8_0", "serve"
  eval::Sameness sameness;
};
// Writes gate.json. Error: kThreshold with a sentence when `b` is not the model that `a` is.
Status gate_files(const Project& project, const std::string& border, const eval::ArtefactName& a,
                  const eval::ArtefactName& b, const StageContext& context);
// Serves `model` on a free loopback port as `sllm serve` would and compares the server with the
// file.
Status gate_server(const Project& project, const fs::path& model, const StageContext& context);
Result<GateResult> read_gate(const fs::path& folder);

}  // namespace sllm::project
