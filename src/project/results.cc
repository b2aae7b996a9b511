// Candidates to and from JSON, and the verdict.
#include "project/results.h"

#include <algorithm>

namespace sllm::project {

std::string_view name(Role role) {
  static constexpr std::string_view kNames[] = {"base", "tuned", "quantised", "reference"};
  return kNames[static_cast<int>(role)];
}

std::optional<eval::Figure> Candidate::figure(const std::string& metric,
                                              const std::string& language) const {
  const auto exactly = [](double value) { return eval::Figure{value, 0, 1}; };
  if (metric == "first_word_seconds") return exactly(answers.first_word_seconds);
  if (metric == "memory_mb") return exactly(static_cast<double>(peak_memory) / 1e6);
  if (metric == "disk_mb") return exactly(static_cast<double>(bytes) / 1e6);
  if (metric == "kld" && kld) return exactly(*kld);
  if (metric == "perplexity" && perplexity) return exactly(*perplexity);
  if (metric.starts_with("task.")) {
    const auto it = tasks.find(metric.substr(5));
    if (it == tasks.end()) return std::nullopt;
    return it->second;
  }
  const auto by_language = answers.figures.find(metric);
  if (by_language == answers.figures.end()) return std::nullopt;
  const auto it = by_language->second.find(language.empty() ? "all" : language);
  if (it == by_language->second.end()) return std::nullopt;
  return it->second;
}

Json Candidate::to_json() const {
  Json out = {
      {"role", name(role)},           {"label", label},       {"model", model},
      {"licence", licence},           {"bytes", bytes},       {"peak_memory", peak_memory},
      {"load_seconds", load_seconds}, {"examples", examples}, {"answers", answers.to_json()},
      {"tasks", Json::object()}};
  for (const auto& [task, f] : tasks)
    out["tasks"][task] = {{"value", f.value}, {"stderr", f.standard_error}, {"items", f.items}};
  if (perplexity) out["perplexity"] = *perplexity;
  if (kld) out["kld"] = *kld;
  if (top1_agree) out["top1_agree"] = *top1_agree;
  return out;
}

Result<Candidate> Candidate::from_json(const Json& json) {
  try {
    Candidate c;
    const std::string role = json.at("role");
    bool known = false;
    for (const Role r : {Role::kBase, Role::kTuned, Role::kQuantised, Role::kReference})
      if (name(r) == role) c.role = r, known = true;
    if (!known) return bad_input("a candidate's role is \"{}\"", role);
    c.label = json.at("label"), c.model = json.at("model"), c.licence = json.at("licence");
    c.bytes = json.at("bytes"), c.peak_memory = json.at("peak_memory");
    c.load_seconds = json.at("load_seconds"), c.examples = json.at("examples");
    SLLM_TRY(c.answers, eval::AnswerReport::from_json(json.at("answers")));
    for (const auto& [task, f] : json.at("tasks").items())
      c.tasks[task] = {f.at("value"), f.at("stderr"), f.at("items")};
    const auto optional = [&](const char* key, std::optional<double>& out) {
      if (json.contains(key)) out = json.at(key).get<double>();
    };
    optional("perplexity", c.perplexity);
    optional("kld", c.kld);
    optional("top1_agree", c.top1_agree);
    return c;
  } catch (const Json::exception& e) {
    return bad_input("not the results of an evaluation: {}", e.what());
  }
}

std::string Check::to_string() const {
  const std::string what =
      threshold.metric + (threshold.language.empty() ? "" : " (" + threshold.language + ")");
  return fmt::format("{}: {} is {}, needed {} {:g}", label, what,
                     value ? fmt::format("{:.4g}", *value) : "not measured",
                     threshold.upper ? "<=" : ">=", threshold.bound);
}

bool Verdict::passed() const {
  return std::ranges::all_of(checks, [](const Check& c) { return c.met; });
}

std::vector<Check> Verdict::missed() const {
  std::vector<Check> out;
  std::ranges::copy_if(checks, std::back_inserter(out), [](const Check& c) { return !c.met; });
  return out;
}

Verdict judge(const Project& project, const std::vector<Candidate>& candidates) {
  std::vector<Threshold> bounds = project.thresholds;
  if (project.memory_mb > 0)
    bounds.push_back({"memory_mb", "", static_cast<double>(project.memory_mb), true});
  if (project.disk_mb > 0)
    bounds.push_back({"disk_mb", "", static_cast<double>(project.disk_mb), true});
  Verdict verdict;
  for (const Threshold& bound : bounds)
    for (const Candidate& c : candidates) {
      if (c.role != Role::kQuantised) continue;
      const auto figure = c.figure(bound.metric, bound.language);
      Check check{bound, c.label, std::nullopt, false};
      if (figure) check.value = figure->value, check.met = bound.met_by(figure->value);
      verdict.checks.push_back(std::move(check));
    }
  return verdict;
}

}  // namespace sllm::project
