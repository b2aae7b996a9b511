// Hashing, skipping and running of stages.
#include "project/stage_graph.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/sha256.h"

namespace sllm::project {

void StageGraph::add(Stage stage) {
  for (const std::string& name : stage.after)
    SLLM_CHECK(std::ranges::any_of(stages_, [&](const Stage& s) { return s.name == name; }),
               "stage {} comes after {}, which is not there", stage.name, name);
  stages_.push_back(std::move(stage));
}

std::vector<PlannedStage> StageGraph::plan() const {
  std::vector<PlannedStage> planned;
  std::map<std::string, std::string> hashes;
  for (const Stage& stage : stages_) {
    Json identity = {{"stage", stage.name}, {"recipe", stage.recipe}, {"after", Json::object()}};
    for (const std::string& name : stage.after) identity["after"][name] = hashes.at(name);
    PlannedStage p{stage.name, sha256_hex(identity.dump()).substr(0, 16), {}, false};
    p.folder = root_ / fmt::format("{}-{}", stage.name, p.hash);
    p.done = fs::exists(p.folder / "stage.json");
    hashes[stage.name] = p.hash;
    planned.push_back(std::move(p));
  }
  return planned;
}

Status StageGraph::run_stage(const Stage& stage, const PlannedStage& planned,
                             const std::map<std::string, fs::path>& finished,
                             const ProgressSink& progress) {
  const fs::path work = planned.folder.string() + ".part";
  std::error_code error;
  if (!stage.resumes) fs::remove_all(work, error);
  fs::create_directories(work, error);
  if (error) return make_error(ErrorCode::kResource, "{}: {}", work.string(), error.message());
  StageContext context{work, {}, progress};
  Json inputs = Json::object();
  for (const std::string& name : stage.after) {
    context.inputs[name] = finished.at(name);
    inputs[name] = finished.at(name).filename().string();
  }
  const auto begin = std::chrono::steady_clock::now();
  Status status = stage.body(context);
  if (const int signal = stop_requested(); signal && status.ok())
    status = make_error(static_cast<ErrorCode>(128 + signal), "stopped");
  if (!status.ok()) {
    if (!stage.resumes) fs::remove_all(work, error);
    return status;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const Json record = {{"stage", stage.name},
                       {"hash", planned.hash},
                       {"recipe", stage.recipe},
                       {"inputs", inputs},
                       {"seconds", seconds}};
  SLLM_OK(write_file_atomically(work / "stage.json", record.dump(2) + "\n"));
  // stage.json came last and is synced, so the renamed folder is complete whenever it is there.
  fs::remove_all(planned.folder, error);
  fs::rename(work, planned.folder, error);
  if (error)
    return make_error(ErrorCode::kResource, "{}: {}", planned.folder.string(), error.message());
  return fsync_path(root_);
}

Result<std::vector<PlannedStage>> StageGraph::run(
    const ProgressSink& progress,
    const std::function<void(const PlannedStage&, size_t, size_t)>& on_stage) {
  std::error_code error;
  fs::create_directories(root_, error);
  SLLM_TRY(const FileLock lock, FileLock::acquire(root_ / ".lock"));
  std::vector<PlannedStage> planned = plan();
  std::map<std::string, fs::path> finished;
  for (size_t i = 0; i < planned.size(); ++i) {
    if (on_stage) on_stage(planned[i], i, planned.size());
    if (!planned[i].done) {
      if (Status status = run_stage(stages_[i], planned[i], finished, progress); !status.ok())
        return std::move(status).error().context(planned[i].name);
      planned[i].done = true;
    }
    finished[planned[i].name] = planned[i].folder;
  }
  return planned;
}

}  // namespace sllm::project
