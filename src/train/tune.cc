// The tuning loop.
#include "train/tune.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/sha256.h"
#include "infer/memory.h"
#include "train/batches.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/preview.h"
#include "train/trainable.h"

namespace sllm {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ranks on other machines must see the run's folder and read the same model and rows.
Status check_company(Ranks& ranks, const fs::path& run, const RunIdentity& identity) {
  const auto number = [](const std::string& text) {
    return std::stoull(sha256_hex(text).substr(0, 16), nullptr, 16);
  };
  const auto config = read_file(run / "config.toml", 1 << 20);
  struct Seen {
    uint64_t config, base, settings, data, teacher;
    bool operator==(const Seen&) const = default;
  };
  const Seen mine{number(config.ok() ? *config : ""), number(identity.base),
                  number(identity.config), number(identity.data), number(identity.teacher)};
  const Seen first = ranks.gather(mine).front();
  if (mine == first) return ok();
  const char* what = mine.base != first.base         ? "another base model"
                     : mine.data != first.data       ? "other rows"
                     : mine.teacher != first.teacher ? "another teacher"
                     : mine.settings != first.settings
                         ? "other settings"
                         : "another folder of the run, which must lie where all machines see it";
  return usage_error("{}: rank {} has {}", run.string(), ranks.rank(), what);
}

class Run {
 public:
  Run(TuneInput input, const TuneOptions& options, std::unique_ptr<Trainable> trained,
      const ProgressSink& progress)
      : input_(std::move(input)),
        ranks_(input_.ranks),
        options_(options),
        progress_(progress),
        trained_(std::move(trained)),
        schedule_(input_.train, options_),
        objective_(make_objective(
            {input_.model, trained_->bound(), options_, [this] { return stop_if_asked(); },
             input_.teacher, input_.kept.empty() ? options_.run : input_.kept, input_.ranks})) {
    identity_ = {input_.base_hash, sha256_hex(learning_fields(options_) + first_adapter()),
                 sha256_hex(input_.train.hash() + input_.eval.hash()), input_.teacher.hash};
    trained_->watch(tape_);
  }

  Result<TuneResult> go();
  Result<TunePart> go(const TunePause& pause);

 private:
  Result<TunePart::End> advance(const TunePause* pause);
  std::string first_adapter() const;
  // What the first rank alone does, and how that ended, on all ranks.
  template <class Work>
  Status on_first(Work work) {
    return ranks_.agree(ranks_.first() ? work() : ok());
  }
  Status prepare();
  Status prepare_objective();
  Status restore();
  Result<StepLoss> gradients(Context& ctx, std::span<const uint32_t> items,
                             OptimizerStep& optimizer, int64_t step);
  Status step();
  Result<StepLoss> evaluation_loss();
  Status evaluate();
  Status save();
  Status stop(const std::string& why, ErrorCode code, const std::string& hint);
  Status stop_if_asked() const;
  Status saved_when_stopped(Status status);
  void show(const StepMetrics& metrics) const;
  void add_up();
  Result<TuneResult> finish();
  bool finished() const {
    return state_.step >= schedule_.total_steps() ||
           (options_.patience > 0 && state_.worse >= options_.patience);
  }
  bool evaluates_after(int64_t step, const Cursor& next) const {
    if (input_.eval.samples.empty()) return false;
    if (options_.eval_every > 0) return step % options_.eval_every == 0;
    return next.epoch != state_.cursor.epoch || step == schedule_.total_steps();
  }
  bool save_is_due() {
    if (state_.step % options_.save_every == 0) return true;
    const bool late = seconds_since(saved_) > options_.save_minutes * 60;
    return ranks_.gather(uint8_t{late}).front() != 0;  // clocks differ
  }

  TuneInput input_;
  Ranks& ranks_;
  const TuneOptions& options_;
  const ProgressSink& progress_;
  std::unique_ptr<Trainable> trained_;
  Schedule schedule_;
  std::unique_ptr<Objective> objective_;
  RunIdentity identity_;
  Tape tape_;
  TrainerState state_;
  TuneResult result_;
  std::optional<MetricsLog> log_;
  std::optional<Preview> preview_;
  Clock::time_point saved_ = Clock::now();
  int64_t saved_step_ = -1;
  int64_t timed_tokens_ = 0, timed_supervised_ = 0, steps_here_ = 0;
  double timed_seconds_ = 0;
  bool diverged_ = false;
};

// What is in the adapter that the run starts from: at its path another one may lie when it resumes.
std::string Run::first_adapter() const {
  if (options_.init_adapter.empty()) return "";
  Sha256 sha;
  for (const Parameter& p : trained_->parameters()) {
    const Tensor& t = p.weight.tensor();
    sha.update(std::span(static_cast<const std::byte*>(t.raw()), static_cast<size_t>(t.bytes())));
  }
  return sha.hex();
}

Status Run::prepare() {
  const auto open_folder = [&]() -> Status {
    const bool goes_on = has_checkpoints(options_.run);
    if (goes_on && !options_.resume)
      return with_hint(usage_error("{}: holds a run already", options_.run.string()),
                       "Add --resume to go on with it, or name another folder");
    std::error_code error;
    fs::create_directories(options_.run / "checkpoints", error);
    if (goes_on) SLLM_OK(check_identity(options_.run, identity_));
    return write_file_atomically(options_.run / "config.toml", to_toml(options_));
  };
  SLLM_OK(on_first(open_folder));
  SLLM_OK(ranks_.agree(check_company(ranks_, options_.run, identity_)));
  trained_->derive(input_.backend);
  SLLM_OK(prepare_objective());
  SLLM_OK(restore());
  const auto open_files = [&]() -> Status {
    drop_checkpoints_after(options_.run, state_.step);
    const nlohmann::ordered_json env = {{"base", identity_.base},
                                        {"base_name", input_.base_name},
                                        {"data", identity_.data},
                                        {"config", identity_.config},
                                        {"samples", input_.train.items()},
                                        {"eval_samples", input_.eval.items()},
                                        {"total_steps", schedule_.total_steps()},
                                        {"trained_parameters", trained_->size()},
                                        {"threads", input_.backend.threads()},
                                        {"ranks", ranks_.size()},
                                        {"mode", std::string(name(options_.mode))}};
    SLLM_OK(write_file_atomically(options_.run / "env.json", env.dump(1)));
    SLLM_TRY(log_, MetricsLog::open(options_.run, state_.step));
    SLLM_TRY(preview_, Preview::open(options_, input_.tokenizer, state_.step));
    SLLM_TRY(const auto lines, read_metrics(options_.run));
    for (const StepMetrics& m : lines) {
      result_.loss.push_back(m.loss);
      if (m.rewards) result_.rewards.push_back(*m.rewards);
      if (m.eval_loss) result_.eval_loss.emplace_back(m.step, *m.eval_loss);
    }
    return ok();
  };
  return on_first(open_files);
}

// The first rank computes what is missing, the others find it.
Status Run::prepare_objective() {
  const auto prepare = [&] {
    return objective_->prepare(
        {input_.backend, input_.train, input_.eval, schedule_, input_.base_hash, progress_});
  };
  SLLM_OK(on_first(prepare));
  return ranks_.agree(ranks_.first() ? ok() : prepare());
}

Status Run::restore() {
  if (!options_.resume) return ok();
  if (ranks_.gather(uint8_t{has_checkpoints(options_.run)}).front() == 0) return ok();
  auto restored = restore_newest(options_.run, *trained_, identity_, ranks_);
  SLLM_OK(ranks_.agree(restored.ok() ? ok() : Status(restored.error())));
  const int64_t step = *restored ? (**restored).step : -1;
  for (const int64_t other : ranks_.gather(step))
    if (other != step)
      return make_error(ErrorCode::kResource,
                        "{}: the ranks read the checkpoints of steps {} and {}",
                        options_.run.string(), std::min(step, other), std::max(step, other));
  if (step < 0) return ok();
  state_ = **restored;
  saved_step_ = result_.resumed_from = step;
  if (ranks_.first()) log(LogLevel::kInfo, fmt::format("resumed after step {}", step));
  trained_->derive(input_.backend);
  return ok();
}

// The loss of a step, whose gradients `optimizer` then has: this rank's shards, one after the
// other, and what the others found. Collective.
Result<StepLoss> Run::gradients(Context& ctx, std::span<const uint32_t> items,
                                OptimizerStep& optimizer, int64_t step) {
  std::vector<int64_t> begins;
  for (int r = 0; r <= ranks_.size(); ++r)
    begins.push_back(first_shard(r, ranks_.size(), options_.shards));
  const auto rank = static_cast<size_t>(ranks_.rank());
  std::vector<LossSum> sums(static_cast<size_t>(options_.shards));
  const auto mine = [&]() -> Status {
    Shard shard{0, options_.shards, begins[rank], begins[rank + 1]};
    for (shard.index = shard.first; shard.index < shard.last; ++shard.index) {
      StepInfo info{.number = step, .shard = shard};
      if (shard.index == shard.last - 1) info.on_ready = optimizer.on_ready();
      SLLM_TRY(sums[static_cast<size_t>(shard.index)],
               objective_->loss(ctx, input_.train, items, info));
      optimizer.end_shard();
    }
    return ok();
  };
  SLLM_OK(optimizer.gather(mine()));
  ranks_.gather<LossSum>(std::span(sums), begins);
  LossSum all;
  for (const LossSum& sum : sums) all.add(sum);
  return all.mean();
}

// One optimiser step; on a signal or a loss that is not finite nothing has changed.
Status Run::step() {
  const auto start = Clock::now();
  Cursor cursor = state_.cursor;
  const std::vector<uint32_t> items = schedule_.next(cursor);
  StepMetrics m;
  for (const uint32_t i : input_.train.samples_of(items)) {
    m.tokens += static_cast<int64_t>(input_.train.samples[i].ids.size());
    m.supervised += input_.train.samples[i].supervised();
  }
  tape_.clear();
  Context ctx{input_.backend, options_.mode, &tape_};
  m.step = state_.step + 1;
  m.lr = options_.lr * lr_factor(options_, state_.step, schedule_.total_steps());
  OptimizerStep optimizer(input_.backend, tape_, *trained_, options_, m.lr, m.step, ranks_);
  SLLM_TRY(const StepLoss found, gradients(ctx, items, optimizer, m.step));
  m.loss = found.loss, m.rewards = found.rewards;
  const StepResult done =
      std::isfinite(m.loss) ? optimizer.finish() : StepResult{m.loss, false, false};
  tape_.clear();
  diverged_ = !done.finite;
  if (diverged_ && done.changed)  // what is in memory is no state to keep
    return with_hint(usage_error("{}: a gradient is no longer finite in step {} (lr {:.3g}); {}",
                                 options_.run.string(), m.step, m.lr,
                                 saved_step_ >= 0 ? "the newest checkpoint is kept"
                                                  : "there is no checkpoint yet"),
                     "Tune again with a lower --lr, a longer --warmup or --clip");
  if (diverged_)
    SLLM_OK(stop(fmt::format("the loss or its gradient is no longer finite in step {} (lr {:.3g}); "
                             "the state before it is kept",
                             m.step, m.lr),
                 ErrorCode::kUsage, "Tune again with a lower --lr or a longer --warmup"));
  m.grad_norm = done.grad_norm;
  m.epoch = static_cast<double>(cursor.epoch) +
            static_cast<double>(cursor.position) / static_cast<double>(input_.train.items());
  const double seconds = seconds_since(start);
  m.tok_s = static_cast<double>(m.tokens) / seconds;
  m.supervised_tok_s = static_cast<double>(m.supervised) / seconds;
  m.memory = peak_resident_memory();
  state_.evaluation_due = evaluates_after(m.step, cursor);
  state_.step = m.step, state_.cursor = cursor;
  state_.tokens += m.tokens, state_.supervised += m.supervised, state_.seconds += seconds;
  if (steps_here_++ > 0)  // the first one also faults the weights in
    timed_tokens_ += m.tokens, timed_supervised_ += m.supervised, timed_seconds_ += seconds;
  result_.loss.push_back(m.loss);
  if (m.rewards) result_.rewards.push_back(*m.rewards);
  show(m);
  return on_first([&] { return log_->append(m); });
}

// Of the held-out rows, where the run stands.
Result<StepLoss> Run::evaluation_loss() {
  Context ctx{input_.backend, options_.mode, nullptr};
  uint64_t done = 0;
  const auto seen = [&](int64_t tokens) {
    done += static_cast<uint64_t>(tokens);
    if (progress_)
      progress_({"evaluate", "tokens", done, static_cast<uint64_t>(input_.eval.tokens()), ""});
  };
  return objective_->evaluate(ctx, input_.eval, {.seen = seen});
}

Status Run::evaluate() {
  SLLM_TRY(const StepLoss found, evaluation_loss());
  const double loss = found.loss;
  state_.evaluation_due = false;
  const bool improved = loss < state_.best_eval;
  state_.worse = improved ? 0 : state_.worse + 1;
  if (improved) state_.best_eval = loss, state_.best_step = state_.step;
  result_.eval_loss.emplace_back(state_.step, loss);
  const auto write = [&]() -> Status {
    SLLM_OK(log_->append_evaluation(state_.step, found));
    Context ctx{input_.backend, options_.mode, nullptr};
    return preview_->answer(ctx, input_.model, trained_->bound(), input_.eval, state_.step);
  };
  SLLM_OK(on_first(write));
  return improved ? save() : ok();
}

Status Run::save() {
  if (saved_step_ == state_.step) return ok();
  SLLM_OK(save_checkpoint(options_.run, *trained_, state_, identity_, ranks_));
  saved_step_ = state_.step;
  saved_ = Clock::now();
  if (ranks_.first()) prune_checkpoints(options_.run, options_.keep, state_.best_step);
  return ok();
}

Status Run::stop(const std::string& why, ErrorCode code, const std::string& hint) {
  SLLM_OK(save());
  return with_hint(make_error(code, "{}: {}", options_.run.string(), why), hint);
}

Status Run::stop_if_asked() const {
  const int signal = stop_requested();
  if (signal == 0) return ok();
  return with_hint(make_error(signal == 2 ? ErrorCode::kInterrupted : ErrorCode::kTerminated,
                              "{}: stopped by signal {}", options_.run.string(), signal),
                   "Add --resume to go on");
}

// The state before the step or the evaluation that a signal ended is kept.
Status Run::saved_when_stopped(Status status) {
  if (status.ok() || (status.error().code != ErrorCode::kInterrupted &&
                      status.error().code != ErrorCode::kTerminated))
    return status;
  tape_.clear();
  SLLM_OK(save());
  Error error = std::move(status).error();
  error.message += fmt::format(" after step {}", state_.step);
  return error;
}

void Run::show(const StepMetrics& m) const {
  if (!progress_) return;
  std::string detail =
      fmt::format("step {}/{}, loss {:.4f}", m.step, schedule_.total_steps(), m.loss);
  if (m.rewards && m.rewards->accuracy)
    detail += fmt::format(", accuracy {:.2f}", *m.rewards->accuracy);
  if (!result_.eval_loss.empty())
    detail += fmt::format(", eval {:.4f}", result_.eval_loss.back().second);
  detail += fmt::format(", {:.1f} GB", static_cast<double>(m.memory) / 1e9);
  progress_({"tune", "tokens", static_cast<uint64_t>(state_.tokens),
             static_cast<uint64_t>(schedule_.total_tokens()), detail});
}

// The figures of all steps so far.
void Run::add_up() {
  result_.steps = state_.step;
  result_.best_step = state_.best_step;
  result_.samples = input_.train.items();
  result_.eval_samples = input_.eval.items();
  result_.cut = input_.train.cut, result_.dropped = input_.train.dropped;
  result_.trained_parameters = trained_->size();
  result_.tokens = state_.tokens, result_.supervised = state_.supervised;
  result_.seconds = state_.seconds;
  if (steps_here_ == 1 || timed_seconds_ == 0)
    timed_tokens_ = state_.tokens, timed_supervised_ = state_.supervised,
    timed_seconds_ = state_.seconds;
  result_.tok_s = static_cast<double>(timed_tokens_) / timed_seconds_;
  result_.supervised_tok_s = static_cast<double>(timed_supervised_) / timed_seconds_;
  result_.peak_memory = peak_resident_memory();
  result_.stopped_early = state_.step < schedule_.total_steps();
}

Result<TuneResult> Run::finish() {
  // The best state is on disk; the last one is in memory.
  const bool best_is_older = state_.best_step >= 0 && state_.best_step != state_.step;
  const fs::path made = result_path(options_);
  (options_.method == "full" ? result_.model : result_.adapter) = made;
  const auto write = [&]() -> Status {
    SLLM_TRY(AtomicDir folder, AtomicDir::replace(made));
    std::optional<fs::path> best;
    if (best_is_older) {
      best = checkpoint_path(options_.run, state_.best_step);
      SLLM_OK(verify_checkpoint(*best));
    }
    SLLM_OK(trained_->write(folder.path(), best));
    return folder.commit();
  };
  SLLM_OK(on_first(write));
  add_up();
  return result_;
}

Result<TunePart::End> Run::advance(const TunePause* pause) {
  SLLM_OK(prepare());
  for (;;) {
    if (state_.evaluation_due) SLLM_OK(saved_when_stopped(evaluate()));
    if (finished()) return TunePart::End::kFinished;
    if (pause && state_.step >= pause->step) return TunePart::End::kStep;
    if (pause && pause->now && pause->now()) return TunePart::End::kNow;
    if (save_is_due()) SLLM_OK(save());
    SLLM_OK(saved_when_stopped(step()));
  }
}

Result<TuneResult> Run::go() {
  SLLM_TRY(const TunePart::End end, advance(nullptr));
  SLLM_CHECK(end == TunePart::End::kFinished, "tune: paused");
  SLLM_OK(save());
  return finish();
}

Result<TunePart> Run::go(const TunePause& pause) {
  TunePart part;
  auto end = advance(&pause);
  if (!end.ok() && !diverged_) return std::move(end).error();
  part.end = end.ok() ? *end : TunePart::End::kDiverged;
  SLLM_OK(save());
  if (part.end == TunePart::End::kFinished) {
    SLLM_TRY(part.result, finish());
    if (state_.best_step >= 0) part.eval_loss = state_.best_eval;
  }
  const bool unknown = part.end == TunePart::End::kStep ||
                       (part.end == TunePart::End::kFinished && state_.best_step < 0);
  if (unknown && !result_.eval_loss.empty() && result_.eval_loss.back().first == state_.step) {
    part.eval_loss = result_.eval_loss.back().second;
  } else if (unknown) {
    const auto start = Clock::now();
    SLLM_TRY(const StepLoss found, evaluation_loss());
    part.eval_loss = found.loss;
    part.evaluation_seconds = seconds_since(start);
  }
  add_up();
  part.result = result_;
  return part;
}

}  // namespace

// Of a resumed run that names none: those it was started with.
static Result<int64_t> shards_of(const TuneOptions& options, const Ranks& ranks) {
  int64_t shards = options.shards;
  if (shards == 0 && options.resume && fs::exists(options.run / "config.toml")) {
    SLLM_TRY(const TuneOptions before, read_run_options(options.run));
    shards = std::max<int64_t>(before.shards, 1);
  }
  if (shards == 0) shards = ranks.size();
  if (ranks.size() > shards)
    return with_hint(
        usage_error("{} ranks share the work of a step that is divided into {} shard{}",
                    ranks.size(), shards, shards == 1 ? "" : "s"),
        "Start at most as many ranks, or a run with more --shards");
  return shards;
}

// A run of its folder's only process, or ranks; `work` makes it go.
template <class Work>
static auto with_run(TuneInput input, const TuneOptions& asked, const ProgressSink& progress,
                     Work work) -> decltype(work(std::declval<Run&>())) {
  Ranks& ranks = input.ranks;
  TuneOptions options = asked;
  std::optional<FileLock> lock;
  std::unique_ptr<Trainable> trained;
  const auto open = [&]() -> Status {
    SLLM_TRY(options.shards, shards_of(asked, ranks));
    SLLM_OK(validate(options));
    SLLM_CHECK(!input.train.samples.empty(), "tune: no samples");
    std::error_code error;
    fs::create_directories(options.run, error);
    if (ranks.first()) {
      SLLM_TRY(lock, FileLock::acquire(lock_path(options.run)));
    }
    if (options.resume && fs::exists(options.run / "config.toml")) {
      SLLM_TRY(const TuneOptions before, read_run_options(options.run));
      if (const auto fields = differing_fields(before, options); !fields.empty())
        return with_hint(
            usage_error("{}: was started with another {}", options.run.string(),
                        fmt::join(fields, ", ")),
            "Resume with the settings of its config.toml, or tune into another folder");
    }
    SLLM_TRY(trained, make_trainable({input.model, input.source, input.base_name}, options,
                                     ranks.rank(), ranks.size()));
    return ok();
  };
  SLLM_OK(ranks.agree(open()));
  Run run(std::move(input), options, std::move(trained), progress);
  return work(run);
}

Result<TuneResult> tune(TuneInput input, const TuneOptions& options, const ProgressSink& progress) {
  return with_run(std::move(input), options, progress, [](Run& run) { return run.go(); });
}

Result<TunePart> tune_part(TuneInput input, const TuneOptions& options, const TunePause& pause,
                           const ProgressSink& progress) {
  SLLM_CHECK(!input.eval.samples.empty(), "tune_part: no evaluation samples");
  SLLM_CHECK(options.method != "full", "tune_part: the next run would begin with this one's model");
  return with_run(std::move(input), options, progress, [&](Run& run) { return run.go(pause); });
}

Result<TuneResult> tune(const TuneOptions& options, const ProgressSink& progress, Ranks& ranks) {
  auto files = load_tune(options);
  SLLM_OK(ranks.agree(files.ok() ? ok() : Status(files.error())));
  LoadedTune loaded = std::move(files).value();
  return tune({*loaded.model,
               *loaded.backend,
               std::move(loaded.train),
               std::move(loaded.eval),
               std::move(loaded.base_hash),
               std::move(loaded.base_name),
               std::move(loaded.source),
               std::move(loaded.teacher),
               std::move(loaded.tokenizer),
               {},
               ranks},
              options, progress);
}

}  // namespace sllm
