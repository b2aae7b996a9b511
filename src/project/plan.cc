// Estimates for the stages that are still to be run.
#include "project/plan.h"

#include <unistd.h>

#include "data/augment.h"
#include "data/dataset.h"
#include "eval/answers.h"
#include "hub/catalogue.h"
#include "hub/resolve.h"
#include "project/evaluate.h"
#include "train/estimate.h"

namespace sllm::project {
namespace {

// Decoding reads every weight once a token; a desktop's memory gives about this many bytes a
// second.
constexpr double kBytesPerSecond = 1e10;
constexpr double kAnswerTokens = 40;

// The training rows as the data stage would see them, in a file of their own for the estimate.
Result<fs::path> rows_for_estimate(const Project& project, const fs::path& folder) {
  std::vector<Example> rows;
  for (const std::string& file : project.data.train) {
    SLLM_TRY(std::vector<Example> part, read_examples(project.path(file)));
    std::ranges::move(part, std::back_inserter(rows));
  }
  if (!project.data.augment.empty()) {
    SLLM_TRY(const Grammar grammar, Grammar::read(project.path(project.data.augment)));
    SLLM_TRY(const auto pairs, grammar.expand({project.data.augment_count,
                                               static_cast<uint64_t>(project.data.seed)}));
    SLLM_OK(write_file_atomically(folder / "pairs.jsonl", to_jsonl(pairs)));
    SLLM_TRY(std::vector<Example> part, read_examples(folder / "pairs.jsonl"));
    std::ranges::move(part, std::back_inserter(rows));
  }
  SLLM_OK(write_examples(folder / "rows.jsonl", rows));
  return folder / "rows.jsonl";
}

Status estimate_tuning(const Project& project, const fs::path& model, PlanLine& line) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("sllm-plan-{}", ::getpid());
  std::error_code error;
  fs::create_directories(folder, error);
  const auto estimate = [&]() -> Status {
    TuneOptions options = project.tune.options;
    options.model = model;
    options.run = folder / "run";
    options.threads = static_cast<int>(project.threads);
    SLLM_TRY(options.data, rows_for_estimate(project, folder));
    SLLM_TRY(const TuneEstimate e, estimate_tune(options));
    line.seconds = e.seconds;
    line.memory = e.memory;
    line.note = fmt::format("{} steps, {} tokens", e.steps, e.tokens);
    return ok();
  };
  const Status status = estimate();
  fs::remove_all(folder, error);
  return status;
}

}  // namespace

Result<std::vector<PlanLine>> plan_project(const Project& project, const StageOptions& options) {
  StageOptions here = options;
  here.fetch = false;
  SLLM_TRY(const StageGraph graph, build_stages(project, here));
  std::error_code error;
  const fs::path local = project.path(project.base);
  const auto base =
      fs::exists(local, error) ? Result<fs::path>(local) : resolve_model(project.base);
  const CatalogueEntry* entry = find_in_catalogue(project.base);
  const double bytes = base.ok() ? static_cast<double>(size_on_disk(*base))
                       : entry   ? entry->megabytes * 1e6
                                 : 0;
  SLLM_TRY(const auto rows, eval::read_test_rows(project.path(project.data.test)));
  std::vector<PlanLine> lines;
  for (const PlannedStage& stage : graph.plan()) {
    PlanLine line{stage, 0, 0, {}};
    if (stage.done) {
      line.note = "done";
    } else if (stage.name == "pull") {
      line.note = base.ok() ? "is here"
                  : entry   ? fmt::format("{:.0f} MB to fetch", entry->megabytes)
                            : "to fetch";
    } else if (stage.name == "tune") {
      if (base.ok())
        SLLM_OK(estimate_tuning(project, *base, line));
      else
        line.note = "estimated once the base model is here";
    } else if (stage.name.starts_with("evaluate-")) {
      line.seconds = static_cast<double>(rows.size()) * kAnswerTokens * bytes / kBytesPerSecond;
      line.memory = static_cast<int64_t>(bytes * 1.2 + 6e7);
      line.note = fmt::format("{} rows", rows.size());
    } else if (stage.name == "merge" || stage.name.starts_with("quantize-")) {
      line.seconds = 1 + 2 * bytes / 1e9;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace sllm::project
