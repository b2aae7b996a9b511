// What evaluation found out about each model of a project, and the verdict over it.
#pragma once

#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/answers.h"
#include "project/project_file.h"

namespace sllm::project {

using Json = nlohmann::ordered_json;

enum class Role { kBase, kTuned, kQuantised, kReference };
std::string_view name(Role role);  // "base", "tuned", "quantised", "reference"

// One model on the held-out rows.
struct Candidate {
  Role role = Role::kBase;
  std::string label;  // "base", "tuned", "q8_0", or the reference's name
  std::string model;  // where it lies, for people
  std::string licence;
  int64_t bytes = 0;        // of the model's files
  int64_t peak_memory = 0;  // bytes resident at most while answering
  double load_seconds = 0;
  int64_t examples = 0;  // in its prompt
  eval::AnswerReport answers;
  std::map<std::string, eval::Figure> tasks;  // "hellaswag" -> acc; "hellaswag.acc_norm" -> ...
  std::optional<double> perplexity, kld, top1_agree;

  // A figure by the name that thresholds use; absent when it was not measured.
  std::optional<eval::Figure> figure(const std::string& metric, const std::string& language) const;
  Json to_json() const;
  static Result<Candidate> from_json(const Json& json);
};

// One requirement on one model.
struct Check {
  Threshold threshold;
  std::string label;  // of the candidate
  std::optional<double> value;
  bool met = false;
  std::string to_string() const;  // "q4_k: json_match (ko) is 0.82, needed >= 0.85"
};

// All thresholds and the device's limits against every quantised model (against the tuned or the
// base one when nothing was quantised).
struct Verdict {
  std::vector<Check> checks;
  bool passed() const;
  std::vector<Check> missed() const;
};
Verdict judge(const Project& project, const std::vector<Candidate>& candidates);

}  // namespace sllm::project
