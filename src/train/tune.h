// Tuning of a model on a file of examples or preferences, from options to an adapter in PEFT's
// format or, where all weights are trained, to a model.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "base/events.h"
#include "base/result.h"
#include "io/model_source.h"
#include "ranks/ranks.h"
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

// One process, or one of several `ranks` that tune together, all with the same options and on a
// folder that all of them see; the first one writes it. The weights are those of one process with
// as many shards, bit for bit. Errors: kUsage (settings; a loss that is no longer finite, with the
// last good state kept), kBadInput (model, data), kResource (disk), kLocked (another process tunes
// into this folder), kInterrupted and kTerminated after a signal, with a checkpoint written.
Result<TuneResult> tune(const TuneOptions& options, const ProgressSink& progress = {},
                        Ranks& ranks = alone());

// What the options name, opened and read.
struct TuneFiles {
  std::shared_ptr<ModelSource> source, teacher;  // teacher: null unless one is named
  std::shared_ptr<const Tokenizer> tokenizer;    // null where the model has none
  SampleSet train, eval;
  TeacherModel reading = {};  // how the teacher reads them where its tokens are others
};
Result<TuneFiles> open_tune_files(const TuneOptions& options);

// The same on a loaded model and read samples (tests, later methods). `identity.base` names the
// model; the other hashes are filled in here.
struct TuneInput {
  Model& model;  // full tuning changes its weights
  Backend& backend;
  SampleSet train, eval;
  std::string base_hash, base_name;
  std::shared_ptr<const ModelSource> source;             // of the model; for full tuning alone
  TeacherModel teacher = {};                             // with options.teacher
  std::shared_ptr<const Tokenizer> tokenizer = nullptr;  // null: no answers to read
  // Folder of what is computed before the first step, teacher.bin and reference.log; empty: the
  // run's. Runs of one base, data and teacher may share it, one after the other.
  fs::path kept = {};
  Ranks& ranks = alone();
};
Result<TuneResult> tune(TuneInput input, const TuneOptions& options,
                        const ProgressSink& progress = {});

// What the options name, loaded; input() refers to it.
struct LoadedTune {
  std::shared_ptr<const ModelSource> source;
  std::shared_ptr<Model> model;
  std::shared_ptr<Backend> backend;
  SampleSet train, eval;
  std::string base_hash, base_name;
  TeacherModel teacher;
  std::shared_ptr<const Tokenizer> tokenizer;
  TuneInput input() const {
    return {*model, *backend, train, eval, base_hash, base_name, source, teacher, tokenizer};
  }
};
Result<LoadedTune> load_tune(const TuneOptions& options);

// A run in parts, for a search that compares many (train/search.h): its learning rate is that of
// the whole run, so that the last of its parts leaves what tune() leaves, bit for bit.
struct TunePause {
  int64_t step = 0;           // pauses after this step ...
  std::function<bool()> now;  // ... or before the next one where this, if given, says so
};
struct TunePart {
  enum class End {
    kStep,
    kNow,
    kFinished,
    kDiverged
  };  // diverged: the loss is not finite any more
  End end = End::kStep;
  TuneResult result;  // of all parts so far; no adapter before the run is finished
  // At kStep the evaluation loss where the run stands, which decides nothing in the run; at
  // kFinished that of its adapter. Infinite else.
  double eval_loss = std::numeric_limits<double>::infinity();
  double evaluation_seconds = 0;  // that the loss at kStep took; 0 where the run had it anyway
};
// Goes on with the run where it stands, with a checkpoint at the end of the part. Needs evaluation
// samples. Errors as tune(), but for a loss that is not finite.
Result<TunePart> tune_part(TuneInput input, const TuneOptions& options, const TunePause& pause,
                           const ProgressSink& progress = {});

}  // namespace sllm
