// From stage folders to the report's input.
#include "project/report_stage.h"

#include <fstream>
#include <thread>

#include "base/sha256.h"
#include "base/thread_pool.h"
#include "project/report.h"
#include "project/stage_bodies.h"

namespace sllm::project {
namespace {

std::string describe_machine() {
  std::string processor;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line) && processor.empty();)
    if (line.starts_with("model name"))
      processor = line.substr(std::min(line.size(), line.find(':') + 2));
  return fmt::format("{} · {} threads", processor.empty() ? "unknown processor" : processor,
                     usable_cores());
}

void gather_tuning(ReportInput& input, const fs::path& folder) {
  const auto tune = read_json(folder / "tune.json");
  if (!tune.ok()) return;
  input.loss = tune->value("loss", std::vector<double>{});
  for (const Json& pair : tune->value("eval_loss", Json::array()))
    input.eval_loss.emplace_back(pair.at(0).get<int64_t>(), pair.at(1).get<double>());
  input.tune_seconds = tune->value("seconds", 0.0);
  input.tune_tok_s = tune->value("tok_s", 0.0);
  input.tune_tokens = tune->value("tokens", int64_t{0});
  input.trained_parameters = tune->value("trained_parameters", int64_t{0});
}

void gather_data(ReportInput& input, const fs::path& folder) {
  constexpr size_t kExamples = 20;
  const auto summary = read_json(folder / "rows" / "summary.json");
  if (!summary.ok()) return;
  input.rows_read = summary->value("read", int64_t{0});
  input.rows_kept = summary->value("kept", int64_t{0});
  const Json reasons = summary->value("dropped", Json::object());
  for (const auto& [reason, rows] : reasons.items())
    if (rows.is_number_integer()) input.rows_dropped.emplace_back(reason, rows.get<int64_t>());
  std::ifstream dropped(folder / "rows" / "dropped.jsonl");
  for (std::string line; input.drop_examples.size() < kExamples && std::getline(dropped, line);) {
    const Json row = Json::parse(line, nullptr, false);
    if (!row.is_object()) continue;
    input.drop_examples.push_back({row.value("source", std::string()),
                                   row.value("reason", std::string()),
                                   row.value("detail", std::string())});
  }
}

void gather_parts(ReportInput& input, const Project& project, const Json& base) {
  input.parts.push_back({"base model", project.base, base.value("licence", std::string()),
                         base.value("sha256", std::string())});
  const auto file = [&](const char* what, const std::string& name) {
    const auto hash = sha256_file(project.path(name));
    input.parts.push_back({what, name, "", hash.ok() ? *hash : std::string()});
  };
  for (const std::string& name : project.data.train) file("training data", name);
  if (!project.data.augment.empty()) file("grammar", project.data.augment);
  file("held-out data", project.data.test);
  for (const Candidate& c : input.candidates)
    if (c.role == Role::kReference)
      input.parts.push_back({"reference model", c.model, c.licence, ""});
  if (!project.index.documents.empty())
    input.parts.push_back({"documents", project.index.documents, "", ""});
}

Json lineage(const ReportInput& input, const StageContext& context) {
  Json out = {{"project", input.project.name}, {"goal", input.project.goal},
              {"version", input.version},      {"machine", input.machine},
              {"parts", Json::array()},        {"stages", Json::object()}};
  for (const auto& part : input.parts)
    out["parts"].push_back({{"what", part.what},
                            {"name", part.name},
                            {"licence", part.licence},
                            {"sha256", part.sha256}});
  for (const auto& [name, folder] : context.inputs)
    if (const auto stage = read_json(folder / "stage.json"); stage.ok())
      out["stages"][name] = *stage;
  return out;
}

Json verdict_json(const ReportInput& input) {
  Json out = {{"passed", input.verdict.passed()},
              {"sentence", verdict_sentence(input.verdict, input.project.report_language)},
              {"checks", Json::array()}};
  for (const Check& check : input.verdict.checks)
    out["checks"].push_back({{"model", check.label},
                             {"metric", check.threshold.metric},
                             {"language", check.threshold.language},
                             {"bound", check.threshold.bound},
                             {"upper", check.threshold.upper},
                             {"value", check.value ? Json(*check.value) : Json(nullptr)},
                             {"met", check.met}});
  return out;
}

}  // namespace

Status write_report(const Project& project, const std::vector<std::string>& evaluations,
                    const std::vector<std::string>& gates, const std::string& version,
                    const std::string& command, const StageContext& context) {
  ReportInput input;
  input.project = project;
  input.version = version;
  input.command = command;
  input.machine = describe_machine();
  for (const std::string& stage : evaluations) {
    SLLM_TRY(const Json json, read_json(context.inputs.at(stage) / "result.json"));
    SLLM_TRY(Candidate candidate, Candidate::from_json(json));
    input.candidates.push_back(std::move(candidate));
  }
  for (const std::string& gate : gates) {
    SLLM_TRY(GateResult result, read_gate(context.inputs.at(gate)));
    input.gates.push_back(std::move(result));
  }
  input.verdict = judge(project, input.candidates);
  if (context.inputs.contains("tune")) gather_tuning(input, context.inputs.at("tune"));
  gather_data(input, context.inputs.at("data"));
  SLLM_TRY(const Json base, read_json(context.inputs.at("pull") / "model.json"));
  gather_parts(input, project, base);
  for (const auto& [name, folder] : context.inputs)
    if (const auto stage = read_json(folder / "stage.json"); stage.ok())
      input.stage_seconds.emplace_back(name, stage->value("seconds", 0.0));
  SLLM_OK(write_file_atomically(context.folder / "report.html", render_report(input)));
  Json metrics = Json::array();
  for (const Candidate& c : input.candidates) metrics.push_back(c.to_json());
  SLLM_OK(write_file_atomically(context.folder / "metrics.json", metrics.dump(1) + "\n"));
  SLLM_OK(write_file_atomically(context.folder / "lineage.json",
                                lineage(input, context).dump(1) + "\n"));
  return write_file_atomically(context.folder / "verdict.json", verdict_json(input).dump(1) + "\n");
}

}  // namespace sllm::project
