// sllm run: walks a project from purpose to deployment.
#include <iostream>

#include "cli/commands.h"
#include "project/plan.h"

namespace sllm::cli {
namespace {

using project::PlannedStage;

Status show_plan(const project::Project& p, const project::StageOptions& options,
                 const Globals& globals) {
  SLLM_TRY(const auto lines, project::plan_project(p, options));
  if (globals.json) {
    nlohmann::ordered_json stages = nlohmann::ordered_json::array();
    for (const auto& line : lines)
      stages.push_back({{"stage", line.stage.name},
                        {"hash", line.stage.hash},
                        {"done", line.stage.done},
                        {"seconds", line.seconds},
                        {"memory_mb", static_cast<double>(line.memory) / 1e6},
                        {"note", line.note}});
    print_json("run", {{"project", p.name}, {"plan", stages}});
    return ok();
  }
  std::cout << fmt::format("{}: {}\n", p.name, p.goal);
  double total = 0;
  for (const auto& line : lines) {
    std::string cost;
    if (line.seconds > 0) cost += project::human_time(line.seconds);
    if (line.memory > 0)
      cost += fmt::format("{}{:.1f} GB", cost.empty() ? "" : ", ",
                          static_cast<double>(line.memory) / 1e9);
    std::cout << fmt::format("  {} {:<34} {:<24} {}\n", line.stage.done ? "✓" : "·",
                             line.stage.name, cost, line.note);
    total += line.seconds;
  }
  std::cout << fmt::format("together {}\n", project::human_time(total));
  return ok();
}

Status run(const fs::path& where, const Globals& globals) {
  SLLM_TRY(const project::Project p, project::read_project(where));
  project::StageOptions options;
  options.version = SLLM_VERSION;
  options.command = fmt::format("sllm run --project {}", where.string());
  options.progress = progress_sink(globals);
  if (globals.dry_run) return show_plan(p, options, globals);
  const auto on_stage = [&](const PlannedStage& stage, size_t index, size_t count) {
    log(LogLevel::kInfo, fmt::format("[{}/{}] {}{}", index + 1, count, stage.name,
                                     stage.done ? ": done already" : ""));
  };
  SLLM_TRY(const project::RunResult result, project::run_project(p, options, on_stage));
  if (globals.json) {
    nlohmann::ordered_json stages = nlohmann::ordered_json::array();
    for (const PlannedStage& stage : result.stages)
      stages.push_back({{"stage", stage.name}, {"folder", stage.folder.string()}});
    print_json("run", {{"project", p.name},
                       {"verdict", result.sentence},
                       {"report", result.report.string()},
                       {"ran", result.ran},
                       {"stages", stages}});
    return ok();
  }
  std::cout << result.sentence << '\n' << result.report.string() << '\n';
  std::cout << fmt::format("sllm serve -m {}\n",
                           (project::latest_folder(p) / "model.gguf").string());
  return ok();
}

}  // namespace

Action declare_run(CLI::App& app, const Globals& globals) {
  const auto where = std::make_shared<std::string>(".");
  app.add_option("-p,--project", *where, "Folder with sllm.toml, or the file")
      ->capture_default_str();
  return [=, &globals] { return run(*where, globals); };
}

}  // namespace sllm::cli
