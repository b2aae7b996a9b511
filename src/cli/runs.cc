// sllm runs: list tuning runs, or show one.
#include <algorithm>
#include <iostream>

#include "cli/commands.h"
#include "train/run_folder.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

Json optional(const std::optional<double>& x) { return x ? Json(*x) : Json(nullptr); }

Json to_json(const RunSummary& r) {
  return {{"path", r.path.string()},           {"state", r.state},
          {"model", r.options.model.string()}, {"steps", r.steps_done},
          {"loss", optional(r.last_loss)},     {"best_eval_loss", optional(r.best_eval_loss)}};
}

std::string line(const RunSummary& r) {
  const auto loss = [](const std::optional<double>& x) {
    return x ? fmt::format("{:.4f}", *x) : std::string("-");
  };
  return fmt::format("{:<40} {:<9} {:>6} steps  loss {:>8}  eval {:>8}  {}", r.path.string(),
                     r.state, r.steps_done, loss(r.last_loss), loss(r.best_eval_loss),
                     r.options.model.filename().string());
}

std::string rewards_text(const std::optional<Rewards>& rewards) {
  if (!rewards || !rewards->margin()) return "";
  return fmt::format("  margin {:.4f}{}", *rewards->margin(),
                     rewards->accuracy ? fmt::format("  accuracy {:.2f}", *rewards->accuracy) : "");
}

Status list(const fs::path& folder, const Globals& globals) {
  const auto runs = list_runs(folder);
  if (globals.json) {
    Json all = Json::array();
    for (const RunSummary& r : runs) all.push_back(to_json(r));
    print_json("runs", {{"runs", all}});
  } else if (runs.empty()) {
    std::cout << "There are no runs under " << folder.string() << '\n';
  } else {
    for (const RunSummary& r : runs) std::cout << line(r) << '\n';
  }
  return ok();
}

Status show(const fs::path& run, const Globals& globals) {
  SLLM_TRY(const RunSummary summary, read_run(run));
  std::vector<StepMetrics> metrics;
  if (fs::exists(run / "metrics.jsonl")) {
    SLLM_TRY(metrics, read_metrics(run));
  }
  if (globals.json) {
    Json steps = Json::array();
    for (const StepMetrics& m : metrics)
      steps.push_back({{"step", m.step}, {"loss", m.loss}, {"eval_loss", optional(m.eval_loss)}});
    Json json = to_json(summary);
    json["config"] = to_toml(summary.options);
    json["metrics"] = steps;
    print_json("runs", json);
    return ok();
  }
  std::cout << line(summary) << "\n\n" << to_toml(summary.options) << '\n';
  const size_t every = std::max<size_t>(1, metrics.size() / 20);
  for (size_t i = 0; i < metrics.size(); ++i)
    if (i % every == 0 || i + 1 == metrics.size() || metrics[i].eval_loss)
      std::cout << fmt::format("step {:>6}  loss {:.4f}{}  {:.0f} tokens/s{}\n", metrics[i].step,
                               metrics[i].loss, rewards_text(metrics[i].rewards), metrics[i].tok_s,
                               metrics[i].eval_loss
                                   ? fmt::format("  eval {:.4f}{}", *metrics[i].eval_loss,
                                                 rewards_text(metrics[i].eval_rewards))
                                   : "");
  return ok();
}

}  // namespace

Action declare_runs(CLI::App& app, const Globals& globals) {
  const auto path = std::make_shared<fs::path>("runs");
  app.add_option("path", *path, "A run to show, or a folder of runs to list (default: runs)");
  return [=, &globals] {
    return fs::exists(*path / "config.toml") ? show(*path, globals) : list(*path, globals);
  };
}

}  // namespace sllm::cli
