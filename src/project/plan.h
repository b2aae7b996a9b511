// What `sllm run` would do, with time and memory as estimated on this machine.
#pragma once

#include "project/stages.h"

namespace sllm::project {

struct PlanLine {
  PlannedStage stage;
  double seconds = 0;  // 0: not known yet
  int64_t memory = 0;  // bytes; 0: not known yet
  std::string note;
};
// Nothing is fetched or written. Estimates of tuning read the data and measure this machine for
// about a second; they need the base model here.
Result<std::vector<PlanLine>> plan_project(const Project& project, const StageOptions& options);

}  // namespace sllm::project
