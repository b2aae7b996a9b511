// Checkpoints of a run: checkpoints/step-00000120/ with what is trained (Trainable::save), the
// optimiser's moments, the trainer's state, and MANIFEST.json, written last, with each file's size
// and SHA-256. A folder that does not match its manifest is not a checkpoint.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "ranks/ranks.h"
#include "train/batches.h"
#include "train/trainable.h"

namespace sllm {

// All that a resumed run needs besides the tensors.
struct TrainerState {
  int64_t step = 0;  // finished steps
  Cursor cursor;     // of the next step
  int64_t tokens = 0, supervised = 0;
  double seconds = 0;
  double best_eval = std::numeric_limits<double>::infinity();
  int64_t best_step = -1;       // -1: not evaluated yet
  int64_t worse = 0;            // evaluations since the best one
  bool evaluation_due = false;  // stopped between the step and its evaluation
};

// What a checkpoint must have in common with the run that resumes it.
struct RunIdentity {
  std::string base, config, data, teacher;  // hashes; teacher: "" where there is none
};

// Collective: the first rank writes what all of them have.
Status save_checkpoint(const fs::path& run, const Trainable& trained, const TrainerState& state,
                       const RunIdentity& identity, Ranks& ranks = alone());
// Restores the newest valid checkpoint, whatever number of ranks wrote it; nullopt when there is
// none. Invalid ones are named in the log and passed over. Error: kUsage when the newest valid one
// belongs to another base model, configuration or data.
Result<std::optional<TrainerState>> restore_newest(const fs::path& run, Trainable& trained,
                                                   const RunIdentity& identity,
                                                   Ranks& ranks = alone());
bool has_checkpoints(const fs::path& run);
// The same error, before anything of the run's folder is touched.
Status check_identity(const fs::path& run, const RunIdentity& identity);
// kBadInput saying what does not match.
Status verify_checkpoint(const fs::path& checkpoint);
fs::path checkpoint_path(const fs::path& run, int64_t step);
// Removes checkpoints after `step`: they are invalid when an older one was restored.
void drop_checkpoints_after(const fs::path& run, int64_t step);
// Removes all but the newest `keep` and the one of `best_step`, and what killed processes left.
void prune_checkpoints(const fs::path& run, int64_t keep, int64_t best_step);

}  // namespace sllm
