// Tuning of a model on a file of examples or preferences, from options to an adapter in PEFT's
// format or, where all weights are trained, to a model.
#pragma once

#include <memory>
#include <vector>

#include "base/events.h"
#include "base/result.h"
#include "io/model_source.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/run_folder.h"
#include "train/samples.h"
#include "train/teacher.h"

namespace sllm {

struct TuneResult {
  // What was made, the best by evaluation loss, else the last: a PEFT folder or, by full tuning, a
  // Hugging Face folder; the other one is empty.
  fs::path adapter, model;
  std::vector<double> loss;                           // one per step, resumed ones included
  std::vector<Rewards> rewards;                       // of preferences: one per step
  std::vector<std::pair<int64_t, double>> eval_loss;  // (step, loss)
  int64_t steps = 0, best_step = -1;
  int64_t samples = 0, eval_samples = 0, cut = 0, dropped = 0;  // samples: pairs count once
  int64_t trained_parameters = 0;
  int64_t tokens = 0, supervised = 0;      // of all steps
  double seconds = 0;                      // of all steps, evaluation and checkpoints not counted
  double tok_s = 0, supervised_tok_s = 0;  // over this process's steps after its first
  int64_t peak_memory = 0;                 // VmHWM, bytes
  bool stopped_early = false;
  int64_t resumed_from = -1;  // step of the checkpoint
};

// Errors: kUsage (settings; a loss that is no longer finite, with the last good state kept),
// kBadInput (model, data), kResource (disk), kLocked (another process tunes into this folder),
// kInterrupted and kTerminated after a signal, with a checkpoint written.
Result<TuneResult> tune(const TuneOptions& options, const ProgressSink& progress = {});

// What the options name, opened and read.
struct TuneFiles {
  std::shared_ptr<ModelSource> source, teacher;  // teacher: null unless one is named
  SampleSet train, eval;
};
Result<TuneFiles> open_tune_files(const TuneOptions& options);

// The same on a loaded model and read samples (tests, later methods). `identity.base` names the
// model; the other hashes are filled in here.
struct TuneInput {
  Model& model;  // full tuning changes its weights
  Backend& backend;
  SampleSet train, eval;
  std::string base_hash, base_name;
  std::shared_ptr<const ModelSource> source;  // of the model; for full tuning alone
  Teacher teacher = {};                       // with options.teacher
};
Result<TuneResult> tune(TuneInput input, const TuneOptions& options,
                        const ProgressSink& progress = {});

}  // namespace sllm
