// The stages of a project: pull, data, tune, merge, quantize, index, evaluate, report,
// deploy-check.
#pragma once

#include "project/project_file.h"
#include "project/results.h"
#include "project/stage_graph.h"

namespace sllm::project {

struct StageOptions {
  std::string version;  // the program's, for the report
  std::string command;  // what repeats the run, for the report
  bool fetch = true;    // false: reference models that are not here are left out, not fetched
  ProgressSink progress;
};

// Errors: kUsage and kBadInput for files that the project names and that are not there.
Result<StageGraph> build_stages(const Project& project, const StageOptions& options);

// The stage that evaluates a reference model, and the earlier turns in its prompts. Errors: kUsage
// when there is no file to take them from, kBadInput for what is in it.
std::string reference_stage(const Reference& reference);
Result<Conversation> reference_examples(const Project& project, const Reference& reference);

// runs/ beside sllm.toml; runs/NAME/ for another purpose file, NAME.toml, in the same folder.
fs::path runs_folder(const Project& project);
// Where finished stages lie, and where people look.
fs::path stages_folder(const Project& project);
fs::path latest_folder(const Project& project);
// Whether latest_folder() shows this report stage. A purpose file that was changed back finds all
// its stages done, but other ones published.
bool is_published(const Project& project, const fs::path& report);

struct RunResult {
  std::vector<PlannedStage> stages;
  std::vector<std::string> ran;  // stages that were not done before
  fs::path report;
  Verdict verdict;
  std::string sentence;
};
// Runs what is not done, publishes runs_folder()/latest. Error: kThreshold when a requirement is
// missed, after the report was written and before the deploy check; what a stage returns otherwise.
Result<RunResult> run_project(
    const Project& project, const StageOptions& options,
    const std::function<void(const PlannedStage&, size_t index, size_t count)>& on_stage = {});

}  // namespace sllm::project
