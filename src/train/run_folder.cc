// Reading and writing the files of a run.
#include "train/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

fs::path metrics_path(const fs::path& run) { return run / "metrics.jsonl"; }

// JSON has no infinity or NaN: null stands for them.
Json number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

void put(Json& json, const std::string& prefix, const std::optional<Rewards>& rewards) {
  if (!rewards) return;
  for (const auto& [name, value] :
       {std::pair("chosen", rewards->chosen), std::pair("rejected", rewards->rejected),
        std::pair("accuracies", rewards->accuracy), std::pair("margins", rewards->margin())})
    if (value) json[prefix + "rewards/" + name] = number(*value);
}

std::optional<Rewards> rewards_of(const Json& json, const std::string& prefix) {
  const auto get = [&](const char* name) -> std::optional<double> {
    const auto at = json.find(prefix + "rewards/" + name);
    if (at == json.end()) return std::nullopt;
    return at->is_number() ? at->get<double>() : std::nan("");
  };
  const Rewards rewards{get("chosen"), get("rejected"), get("accuracies")};
  if (!rewards.chosen && !rewards.rejected) return std::nullopt;
  return rewards;
}

std::string to_line(const StepMetrics& m) {
  Json json = {{"step", m.step},
               {"epoch", m.epoch},
               {"loss", number(m.loss)},
               {"lr", m.lr},
               {"grad_norm", number(m.grad_norm)},
               {"tokens", m.tokens},
               {"supervised", m.supervised},
               {"tok_s", m.tok_s},
               {"supervised_tok_s", m.supervised_tok_s},
               {"memory_mb", static_cast<double>(m.memory) / 1e6}};
  put(json, "", m.rewards);
  return json.dump() + "\n";
}

std::string evaluation_line(int64_t step, const StepLoss& found) {
  Json json = {{"step", step}, {"eval_loss", number(found.loss)}};
  put(json, "eval_", found.rewards);
  return json.dump() + "\n";
}

std::optional<StepMetrics> from_line(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("step")) return std::nullopt;
  const auto get = [&](const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_number() ? at->get<double>() : std::nan("");
  };
  StepMetrics m;
  m.step = static_cast<int64_t>(get("step"));
  m.epoch = get("epoch");
  m.loss = get("loss");
  if (json.contains("eval_loss")) m.eval_loss = get("eval_loss");
  m.lr = get("lr");
  m.grad_norm = get("grad_norm");
  m.tokens = static_cast<int64_t>(get("tokens"));
  m.supervised = static_cast<int64_t>(get("supervised"));
  m.tok_s = get("tok_s");
  m.supervised_tok_s = get("supervised_tok_s");
  m.memory = static_cast<int64_t>(get("memory_mb") * 1e6);
  m.rewards = rewards_of(json, "");
  m.eval_rewards = rewards_of(json, "eval_");
  return m;
}

}  // namespace

Result<std::vector<StepMetrics>> read_metrics(const fs::path& run) {
  SLLM_TRY(const std::string text, read_file(metrics_path(run), uint64_t{4} << 30));
  std::vector<StepMetrics> all;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    if (auto m = from_line(std::string_view(text).substr(begin, end - begin))) {
      if (!m->eval_loss)
        all.push_back(*m);
      else if (!all.empty() && all.back().step == m->step)
        all.back().eval_loss = m->eval_loss, all.back().eval_rewards = m->eval_rewards;
    }
    begin = end + 1;
  }
  return all;
}

Result<MetricsLog> MetricsLog::open(const fs::path& run, int64_t last_step) {
  const fs::path path = metrics_path(run);
  std::string kept;
  if (fs::exists(path)) {
    SLLM_TRY(const auto lines, read_metrics(run));
    for (const StepMetrics& m : lines)
      if (m.step <= last_step)
        kept += to_line(m) +
                (m.eval_loss ? evaluation_line(m.step, {*m.eval_loss, m.eval_rewards}) : "");
  }
  SLLM_OK(write_file_atomically(path, kept));
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0)
    return make_error(ErrorCode::kUsage, "{}: cannot be opened: {}", path.string(),
                      std::strerror(errno));
  return MetricsLog(path, fd);
}

Status MetricsLog::append(const StepMetrics& metrics) { return write(to_line(metrics)); }
Status MetricsLog::append_evaluation(int64_t step, const StepLoss& found) {
  return write(evaluation_line(step, found));
}

Status MetricsLog::write(const std::string& line) {
  if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    return make_error(ErrorCode::kResource, "{}: a line could not be written: {}", path_.string(),
                      std::strerror(errno));
  return ok();
}

MetricsLog::~MetricsLog() {
  if (fd_ >= 0) ::close(fd_);
}

Result<TuneOptions> read_run_options(const fs::path& run) {
  const fs::path config = run / "config.toml";
  SLLM_TRY(const std::string text, read_file(config, 1 << 20));
  return tune_options_from_toml(text, config.string());
}

Result<RunSummary> read_run(const fs::path& run) {
  RunSummary summary;
  summary.path = run;
  SLLM_TRY(summary.options, read_run_options(run));
  std::error_code none;
  if (fs::exists(metrics_path(run), none)) {
    SLLM_TRY(const auto metrics, read_metrics(run));
    for (const StepMetrics& m : metrics) {
      summary.steps_done = m.step;
      summary.last_loss = m.loss;
      if (m.eval_loss)
        summary.best_eval_loss = std::min(summary.best_eval_loss.value_or(INFINITY), *m.eval_loss);
    }
  }
  const auto lock = fs::exists(lock_path(run), none)
                        ? std::optional(FileLock::acquire(lock_path(run)))
                        : std::nullopt;
  if (lock && !lock->ok() && lock->error().code == ErrorCode::kLocked)
    summary.state = "running";
  else
    summary.state = fs::exists(adapter_path(run), none) || fs::exists(model_path(run), none)
                        ? "finished"
                        : "stopped";
  return summary;
}

std::vector<RunSummary> list_runs(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (std::error_code none; fs::exists(entry.path() / "config.toml", none))
      paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<RunSummary> runs;
  for (const fs::path& path : paths)
    if (auto run = read_run(path); run.ok()) runs.push_back(std::move(*run));
  return runs;
}

}  // namespace sllm
