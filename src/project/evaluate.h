// One model of a project on everything that its purpose file wants to know of it.
#pragma once

#include "base/events.h"
#include "project/results.h"

namespace sllm::project {

struct EvaluateInput {
  Role role = Role::kBase;
  std::string label;
  fs::path model;        // GGUF file or Hugging Face folder
  std::string shown_as;  // the model's name for people
  std::string licence;
  std::vector<eval::TestRow> rows;
  Conversation examples;  // earlier turns in each prompt
  fs::path index;         // of documents; empty: answers without them
  fs::path kld_base;      // empty: no divergence
};

// Loads the model, answers the rows, runs the tasks. Peak memory is this process's while it did so.
Result<Candidate> evaluate_model(const Project& project, const EvaluateInput& input,
                                 const ProgressSink& progress);

// The most memory this process was resident in since the last reset, bytes (VmHWM of
// /proc/self/status); 0 where that cannot be read. The kernel may refuse the reset.
int64_t peak_memory();
bool reset_peak_memory();

// Bytes of a file, or of all files in a folder.
int64_t size_on_disk(const fs::path& path);

}  // namespace sllm::project
