// The files of a run: config.toml, env.json, metrics.jsonl (a line per step, and one {"step",
// "eval_loss"} per evaluation; of preferences also "rewards/chosen", "rewards/rejected",
// "rewards/accuracies" and "rewards/margins", with "eval_" before them in evaluations),
// reference.log (what preference tuning compares with), teacher.bin (what a teacher says),
// checkpoints/, and the result: adapter/, or model/ of full tuning. Pages, plots and `sllm runs`
// read these files and nothing else.
#pragma once

#include <optional>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "train/options.h"
#include "train/step_loss.h"

namespace sllm {

// A step as metrics.jsonl has it.
struct StepMetrics {
  int64_t step = 0;  // from 1
  double epoch = 0;  // e.g. 1.25
  double loss = 0;   // the objective's: of sft the mean over the step's supervised tokens
  std::optional<double> eval_loss;
  std::optional<Rewards> rewards, eval_rewards;
  double lr = 0, grad_norm = 0;
  int64_t tokens = 0, supervised = 0;  // of this step
  double tok_s = 0, supervised_tok_s = 0;
  int64_t memory = 0;  // VmHWM, bytes
};

class MetricsLog {
 public:
  // Appends to <run>/metrics.jsonl. Lines after `last_step` (of a process that got further than its
  // last checkpoint) are removed first.
  static Result<MetricsLog> open(const fs::path& run, int64_t last_step);
  Status append(const StepMetrics& metrics);
  Status append_evaluation(int64_t step, const StepLoss& found);
  MetricsLog(MetricsLog&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  MetricsLog& operator=(MetricsLog&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~MetricsLog();

 private:
  MetricsLog(fs::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  Status write(const std::string& line);
  fs::path path_;
  int fd_;
};
// The steps in order, evaluations joined to theirs; a torn last line is left out.
Result<std::vector<StepMetrics>> read_metrics(const fs::path& run);

struct RunSummary {
  fs::path path;
  TuneOptions options;
  int64_t steps_done = 0;
  std::optional<double> last_loss, best_eval_loss;
  std::string state;  // "running", "finished", "stopped"
};
// What it was started with. kBadInput when `run` is not a run's folder.
Result<TuneOptions> read_run_options(const fs::path& run);
// And how far it is; looks whether a process has its lock, by taking it for a moment.
Result<RunSummary> read_run(const fs::path& run);
// All runs right under `folder`, oldest first.
std::vector<RunSummary> list_runs(const fs::path& folder);

inline fs::path adapter_path(const fs::path& run) { return run / "adapter"; }
inline fs::path model_path(const fs::path& run) { return run / "model"; }
// That of the two which a run with these options makes.
inline fs::path result_path(const TuneOptions& o) {
  return o.method == "full" ? model_path(o.run) : adapter_path(o.run);
}
inline fs::path lock_path(const fs::path& run) { return run / ".lock"; }

}  // namespace sllm
