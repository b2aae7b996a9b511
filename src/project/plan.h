// What `sllm run` would do, with time and memory as estimated on this machine.
#pragma once

#include "project/new_project.h"
#include "project/stages.h"

namespace sllm::project {

struct PlanLine {
  PlannedStage stage;
  double seconds = 0;  // 0: not known yet
  int64_t memory = 0;  // bytes; 0: not known yet
  std::string note;
};
// Nothing is fetched, and nothing is written but a folder for temporary files that is removed. The
// data is read, and this machine is measured for some seconds on models of the right shape; a base
// that is not here is taken by its size in the catalogue.
Result<std::vector<PlanLine>> plan_project(const Project& project, const StageOptions& options);

// What tuning will take, before there are rows: for those that are there already, else for a number
// that is assumed.
struct NewPlan {
  double seconds = 0;
  int64_t memory = 0;         // bytes
  int64_t rows = 0, row = 0;  // and tokens of each
  int64_t epochs = 0;
  bool assumed = false;           // no rows are there yet
  std::string to_string() const;  // one sentence
};
// Measures this machine for a second or two. Error: kBadInput when the base's size is not known
// before it is fetched.
Result<NewPlan> plan_new(const Project& project);

std::string human_time(double seconds);  // "about 3 min"

}  // namespace sllm::project
