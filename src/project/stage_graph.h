// Stages and what they depend on, content-addressed: a stage's folder is named by the hash of its
// recipe and of the stages before it, so what is there is what would be made again. A stage writes
// into a work folder of that name, which survives a kill (so that it can go on), and is renamed
// into place when it is complete.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/events.h"
#include "base/file.h"
#include "base/result.h"

namespace sllm::project {

using Json = nlohmann::ordered_json;

struct StageContext {
  fs::path folder;                         // write here; what an earlier try left is still there
  std::map<std::string, fs::path> inputs;  // finished folders of the stages named in `after`
  ProgressSink progress;
};

struct Stage {
  std::string name;                // unique, [a-z0-9-]
  std::vector<std::string> after;  // stages whose output it reads, listed before it
  Json recipe;                     // parameters, hashes of files, and the recipe's version
  std::function<Status(const StageContext&)> body;
  // Whether what a killed try left in the folder may be gone on from; else it starts empty.
  bool resumes = false;
};

struct PlannedStage {
  std::string name;
  std::string hash;  // 16 hexadecimal digits
  fs::path folder;   // when finished
  bool done = false;
};

class StageGraph {
 public:
  explicit StageGraph(fs::path root) : root_(std::move(root)) {}
  void add(Stage stage);
  // In order; what is done already is marked.
  std::vector<PlannedStage> plan() const;
  // Runs what is not done. Each finished stage leaves stage.json (recipe, inputs, seconds). Stops
  // at the first error, which carries the stage's name; what was finished stays. kLocked when
  // another run works in the same root.
  Result<std::vector<PlannedStage>> run(
      const ProgressSink& progress,
      const std::function<void(const PlannedStage&, size_t index, size_t count)>& on_stage = {});
  const std::vector<Stage>& stages() const { return stages_; }

 private:
  Status run_stage(const Stage& stage, const PlannedStage& planned,
                   const std::map<std::string, fs::path>& finished, const ProgressSink& progress);
  fs::path root_;
  std::vector<Stage> stages_;
};

}  // namespace sllm::project
