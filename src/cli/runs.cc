// sllm runs: list tuning runs, show one, compare several, or go on with one.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include "cli/commands.h"
#include "cli/tune_result.h"
#include "project/report_charts.h"
#include "project/terminal_plot.h"
#include "train/preview.h"
#include "train/run_folder.h"
#include "train/search.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;
using project::TextCurve;

constexpr const char* kRuns = "runs";  // where they lie unless one says otherwise

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

Result<std::vector<StepMetrics>> metrics_of(const fs::path& run) {
  std::error_code error;
  if (!fs::exists(run / "metrics.jsonl", error)) return std::vector<StepMetrics>();
  return read_metrics(run);
}

// The terminal's width, less the axis; 64 columns off it.
int plot_width() {
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? std::clamp(size.ws_col - 13, 20, 120) : 64;
}

TextCurve trained(const std::vector<StepMetrics>& metrics, char32_t mark) {
  std::vector<double> loss;
  for (const StepMetrics& m : metrics) loss.push_back(m.loss);
  return {mark, project::moving_average(loss)};
}
TextCurve evaluated(const std::vector<StepMetrics>& metrics, char32_t mark) {
  TextCurve curve{mark, {}};
  for (const StepMetrics& m : metrics)
    if (m.eval_loss) curve.points.emplace_back(static_cast<double>(m.step), *m.eval_loss);
  return curve;
}

// Folders of searches right under `folder`, in which their candidates' runs lie.
std::vector<fs::path> searches_under(const fs::path& folder) {
  std::vector<fs::path> searches;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (fs::exists(search_path(entry.path()), none)) searches.push_back(entry.path());
  std::ranges::sort(searches);
  return searches;
}

std::string search_line(const fs::path& folder) {
  const auto search = read_search(folder);
  if (!search.ok()) return fmt::format("{:<40} search   {}", folder.string(), "cannot be read");
  const auto& all = search->candidates;
  const auto tried = std::ranges::count_if(all, [](const auto& c) { return !c.rungs.empty(); });
  std::string text = fmt::format("{:<40} search    {:>6} candidates", folder.string(), tried);
  if (search->best >= 0) {
    const SearchCandidate& best = all[static_cast<size_t>(search->best)];
    text += fmt::format("  best: lr {:.3g}, rank {}, {} epochs", best.lr, best.rank, best.epochs);
  }
  return text;
}

Status list(const fs::path& folder, const Globals& globals) {
  std::error_code none;
  if (!fs::exists(folder, none) && folder != kRuns)
    return bad_input("{}: no such folder", folder.string());
  const auto runs = list_runs(folder);
  const auto searches = searches_under(folder);
  if (globals.json) {
    Json all = Json::array(), paths = Json::array();
    for (const RunSummary& r : runs) all.push_back(to_json(r));
    for (const fs::path& path : searches) paths.push_back(path.string());
    print_json("runs", {{"runs", all}, {"searches", paths}});
    return ok();
  }
  if (runs.empty() && searches.empty())
    std::cout << "There are no runs under " << folder.string() << '\n';
  for (const RunSummary& r : runs) std::cout << line(r) << '\n';
  for (const fs::path& path : searches) std::cout << search_line(path) << '\n';
  return ok();
}

Status show(const fs::path& run, bool plot, const Globals& globals) {
  SLLM_TRY(const RunSummary summary, read_run(run));
  SLLM_TRY(const std::vector<StepMetrics> metrics, metrics_of(run));
  SLLM_TRY(const std::vector<PreviewAnswer> answers, read_preview(run));
  if (globals.json) {
    Json steps = Json::array();
    for (const StepMetrics& m : metrics)
      steps.push_back({{"step", m.step}, {"loss", m.loss}, {"eval_loss", optional(m.eval_loss)}});
    Json json = to_json(summary);
    json["config"] = to_toml(summary.options);
    json["metrics"] = steps;
    json["answers"] = Json::array();
    for (const PreviewAnswer& a : answers)
      json["answers"].push_back(
          {{"step", a.step}, {"prompt", a.prompt}, {"expected", a.expected}, {"answer", a.answer}});
    print_json("runs", json);
    return ok();
  }
  std::cout << line(summary) << "\n\n";
  if (plot) {
    const std::string text =
        project::text_plot({trained(metrics, U'·'), evaluated(metrics, U'o')}, plot_width());
    std::cout << (text.empty() ? "It has taken no step yet\n"
                               : text + "· training loss (moving average)  o evaluation loss\n");
    return ok();
  }
  std::cout << to_toml(summary.options) << '\n';
  const size_t every = std::max<size_t>(1, metrics.size() / 20);
  for (size_t i = 0; i < metrics.size(); ++i)
    if (i % every == 0 || i + 1 == metrics.size() || metrics[i].eval_loss)
      std::cout << fmt::format("step {:>6}  loss {:.4f}{}  {:.0f} tokens/s{}\n", metrics[i].step,
                               metrics[i].loss, rewards_text(metrics[i].rewards), metrics[i].tok_s,
                               metrics[i].eval_loss
                                   ? fmt::format("  eval {:.4f}{}", *metrics[i].eval_loss,
                                                 rewards_text(metrics[i].eval_rewards))
                                   : "");
  for (const PreviewAnswer& a : answers)
    if (a.step == answers.back().step)
      std::cout << fmt::format("\nAfter step {}: {}\n  expected  {}\n  answered  {}\n", a.step,
                               a.prompt, a.expected, a.answer);
  return ok();
}

// The lines of config.toml, by name.
std::map<std::string, std::string> settings_of(const TuneOptions& options) {
  std::map<std::string, std::string> settings;
  const std::string text = to_toml(options);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string one = text.substr(begin, end - begin);
    begin = end + 1;
    if (const size_t equals = one.find(" = "); one.front() != '#' && equals != one.npos)
      settings[one.substr(0, equals)] = one.substr(equals + 3);
  }
  return settings;
}

// Settings in which the runs differ, and what came of them.
Status compare(const std::vector<fs::path>& paths, bool plot, const Globals& globals) {
  std::vector<RunSummary> runs;
  std::vector<TextCurve> curves;
  std::map<std::string, std::vector<std::string>> differing;
  for (const fs::path& path : paths) {
    SLLM_TRY(RunSummary run, read_run(path));
    SLLM_TRY(const auto metrics, metrics_of(path));
    const auto mark = static_cast<char32_t>(U'a' + curves.size());
    TextCurve curve = evaluated(metrics, mark);
    curves.push_back(curve.points.empty() ? trained(metrics, mark) : std::move(curve));
    for (const auto& [name, value] : settings_of(run.options)) differing[name].push_back(value);
    runs.push_back(std::move(run));
  }
  differing.erase("run");
  std::erase_if(differing, [](const auto& setting) {
    const auto& values = setting.second;
    return std::ranges::all_of(values, [&](const auto& v) { return v == values.front(); });
  });
  if (globals.json) {
    Json all = Json::array();
    for (const RunSummary& r : runs) all.push_back(to_json(r));
    print_json("runs", {{"runs", all}, {"differing", differing}});
    return ok();
  }
  for (size_t i = 0; i < runs.size(); ++i)
    std::cout << static_cast<char>('a' + i) << "  " << line(runs[i]) << '\n';
  std::cout << '\n';
  for (const auto& [name, values] : differing) {
    std::cout << fmt::format("{:<16}", name);
    for (const std::string& value : values) std::cout << fmt::format(" {:>16}", value);
    std::cout << '\n';
  }
  if (differing.empty()) std::cout << "They have the same settings\n";
  if (plot) std::cout << '\n' << project::text_plot(curves, plot_width());
  return ok();
}

Status resume(const fs::path& run, const Globals& globals) {
  SLLM_TRY(const RunSummary summary, read_run(run));
  TuneOptions options = summary.options;
  options.run = run;  // it may have been moved
  options.resume = true;
  SLLM_TRY(const TuneResult result, tune(options, progress_sink(globals)));
  print_tune_result(result, "runs", globals);
  return ok();
}

}  // namespace

Action declare_runs(CLI::App& app, const Globals& globals) {
  struct Flags {
    std::vector<fs::path> paths = {kRuns};
    bool plot = false, resume = false;
  };
  const auto flags = std::make_shared<Flags>();
  app.add_option("paths", flags->paths,
                 "A run to show, several to compare, or a folder of runs to list (default: runs)")
      ->expected(1, 26);
  app.add_flag("--plot", flags->plot, "Draw the losses");
  app.add_flag("--resume", flags->resume,
               "Go on with a run that was stopped, with the settings and files of its config.toml");
  return [flags, &globals]() -> Status {
    const auto& paths = flags->paths;
    const auto is_run = [](const fs::path& path) {
      std::error_code none;
      return fs::exists(path / "config.toml", none);
    };
    if (flags->resume) {
      if (paths.size() != 1 || !is_run(paths[0]))
        return with_hint(
            usage_error("--resume needs the folder of one run, and {} is none", paths[0].string()),
            "See them with: sllm runs");
      return resume(paths[0], globals);
    }
    if (paths.size() > 1) return compare(paths, flags->plot, globals);
    return is_run(paths[0]) ? show(paths[0], flags->plot, globals) : list(paths[0], globals);
  };
}

}  // namespace sllm::cli
