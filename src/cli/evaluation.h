// What `eval` and `compare` share: the flags that say what to measure, and one model measured.
#pragma once

#include <string>
#include <vector>

#include "cli/model_flags.h"

namespace sllm::cli {

struct EvaluationFlags {
  std::string perplexity_file, kld_base;
  int64_t chunks = 0, window = 512;
  std::vector<std::string> tasks;
  std::string tasks_dir = "tasks", samples_file;
  int64_t limit = 0, num_fewshot = -1;
  std::string answers_file;
  std::vector<std::string> metrics = {"exact_match"};
  int64_t max_tokens = 128;
};
void add_evaluation_flags(CLI::App& app, EvaluationFlags& flags);

// The figures of one model as the JSON document that `eval --json` prints. Errors: kUsage when the
// flags ask for nothing.
Result<nlohmann::ordered_json> evaluate(const ModelFlags& model, const EvaluationFlags& flags,
                                        const Globals& globals);
// The same figures as (name, text) rows for people.
std::vector<std::pair<std::string, std::string>> figure_rows(const nlohmann::ordered_json& figures);

}  // namespace sllm::cli
