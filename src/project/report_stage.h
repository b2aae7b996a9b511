// The report stage: gathers what the stages before it left, judges, writes report.html,
// verdict.json, metrics.json and lineage.json.
#pragma once

#include "project/project_file.h"
#include "project/stage_graph.h"

namespace sllm::project {

Status write_report(const Project& project, const std::vector<std::string>& evaluations,
                    const std::vector<std::string>& gates, const std::string& version,
                    const std::string& command, const StageContext& context);

}  // namespace sllm::project
