// Successive halving over the parts of tuning runs, with a journal.
#include "train/search.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/sha256.h"
#include "train/batches.h"
#include "train/checkpoint.h"

namespace sllm {
namespace {

constexpr double kJournalSeconds = 10;  // of spent time that a kill may forget at most

double this_machines_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// All that decides which candidates there are and when they are compared; the time apart.
std::string text_of(const SearchOptions& o) {
  const SearchSpace& s = o.space;
  return fmt::format(
      "lr {} {}:{}, rank {}, epochs {}, eta {}, brackets {}, candidates {}, rungs "
      "{}, rung steps {}",
      fmt::join(s.lr, ","), s.lr_low, s.lr_high, fmt::join(s.rank, ","), fmt::join(s.epochs, ","),
      o.eta, o.brackets, o.candidates, o.rungs, o.rung_steps);
}

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

// The lines of config.toml that decide what is learned, but for those that a project's stages fill
// in.
std::string recipe_of(const TuneOptions& options) {
  std::string searched, others;
  const std::string lines = learning_fields(options);
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = lines.find('\n', begin) + 1;
    const std::string line = lines.substr(begin, end - begin);
    const std::string name = line.substr(0, line.find(' '));
    begin = end;
    if (name == "eval_fraction" || (name == "init_adapter" && options.init_adapter.empty()))
      continue;
    const bool is_searched = name == "lr" || name == "rank" || name == "alpha" || name == "epochs";
    (is_searched ? searched : others) += line;
  }
  if (!options.teacher.empty())
    others += fmt::format("teacher = {}\n", nlohmann::json(options.teacher.string()).dump());
  return searched + "\n# As they were given to the search.\n" + others;
}

// What candidates cost on average at so many tokens a second. Going forward alone takes a third.
SearchCost cost_at(double tok_s, const SampleSet& train, const SampleSet& eval,
                   const TuneOptions& options, const SearchOptions& search) {
  constexpr int64_t kSome = 24;  // of a space that has no end
  const auto some = draw_candidates(search.space, options, kSome);
  double tokens = 0;
  int64_t shortest = std::numeric_limits<int64_t>::max();
  for (const SearchCandidate& c : some) {
    const TuneOptions one = candidate_options(options, c);
    const Schedule schedule(train, one);
    shortest = std::min(shortest, schedule.total_steps());
    tokens += static_cast<double>(schedule.total_tokens()) / static_cast<double>(some.size());
  }
  return {tokens / tok_s, static_cast<double>(eval.tokens()) / tok_s / 3,
          least_share(search, options, shortest)};
}

// One plan a bracket, each with an equal part of the time.
std::vector<BracketPlan> plan_all(const SearchOptions& search, const TuneOptions& options,
                                  const SearchCost& cost, double seconds) {
  std::vector<BracketPlan> plans;
  int64_t pool = std::ssize(draw_candidates(search.space, options, kMostSearchCandidates));
  for (int64_t b = 0; b < search.brackets && pool > 0; ++b) {
    const auto plan =
        plan_bracket(search, cost, seconds / static_cast<double>(search.brackets), pool, b);
    if (!plan) break;
    pool -= plan->candidates;
    plans.push_back(*plan);
  }
  return plans;
}

class Searching {
 public:
  Searching(const TuneInput& input, const TuneOptions& options, const SearchOptions& search,
            const ProgressSink& progress)
      : input_(input), options_(options), search_options_(search), progress_(progress) {
    if (!search_options_.clock) search_options_.clock = this_machines_seconds;
    started_ = written_ = search_options_.clock();
  }

  Result<Search> go();

 private:
  Status open();
  Status make_plan();
  Result<SearchCost> measure();
  std::vector<SearchCandidate> drawn(int64_t count) const;
  Result<bool> run_bracket(const SearchBracket& bracket);
  // Whether it got there; no when the time was up.
  Result<bool> run_to(SearchCandidate& candidate, double share, size_t rung, size_t rungs);
  Result<TunePart> part(const SearchCandidate& candidate, int64_t step, const std::string& what);
  std::vector<int64_t> best_first(std::vector<int64_t> ids) const;
  Status finish();
  Status write();
  int64_t steps_at(const SearchCandidate& candidate, double share) const {
    const double steps = std::ceil(share * static_cast<double>(candidate.total_steps) - 1e-9);
    return std::clamp<int64_t>(static_cast<int64_t>(steps), 1, candidate.total_steps);
  }
  double spent() const { return before_ + search_options_.clock() - started_; }
  bool time_is_up() const { return spent() >= 60 * search_options_.minutes; }
  SearchCandidate& candidate(int64_t id) { return search_.candidates[static_cast<size_t>(id)]; }

  const TuneInput& input_;
  const TuneOptions& options_;
  SearchOptions search_options_;
  const ProgressSink& progress_;
  Search search_;
  double before_ = 0;                 // seconds that earlier processes spent
  double started_ = 0, written_ = 0;  // of the clock
  uint64_t tokens_ = 0;               // of the parts that are done
};

Status Searching::write() {
  search_.seconds = spent();
  written_ = search_options_.clock();
  return write_file_atomically(search_path(options_.run), search_.to_json().dump(1) + "\n");
}

Status Searching::open() {
  search_.base = input_.base_hash;
  search_.data = sha256_hex(input_.train.hash() + input_.eval.hash() + input_.teacher.hash);
  search_.settings = learning_fields(options_);
  search_.space = text_of(search_options_);
  search_.eta = search_options_.eta;
  search_.eval_samples = std::ssize(input_.eval.samples);
  search_.minutes = search_options_.minutes;
  std::error_code error;
  if (!fs::exists(search_path(options_.run), error)) return ok();
  const std::string folder = options_.run.string();
  if (!options_.resume)
    return with_hint(usage_error("{}: holds a search already", folder),
                     "Add --resume to go on with it, or name another folder");
  SLLM_TRY(Search before, read_search(options_.run));
  for (const auto& [what, theirs, mine] :
       {std::tuple("base model", before.base, search_.base),
        std::tuple("data", before.data, search_.data),
        std::tuple("settings", before.settings, search_.settings),
        std::tuple("space", before.space, search_.space)})
    if (theirs != mine)
      return with_hint(usage_error("{}: was started with another {}", folder, what),
                       "Resume with the same flags (--minutes may differ), or search in another "
                       "folder");
  before.minutes = search_options_.minutes;
  search_ = std::move(before);
  before_ = search_.seconds;
  return ok();
}

std::vector<SearchCandidate> Searching::drawn(int64_t count) const {
  auto all = draw_candidates(search_options_.space, options_, count);
  for (SearchCandidate& c : all) {
    const TuneOptions one = candidate_options(options_, c);  // which the schedule refers to
    c.total_steps = Schedule(input_.train, one).total_steps();
  }
  return all;
}

Result<TunePart> Searching::part(const SearchCandidate& candidate, int64_t step,
                                 const std::string& what) {
  const TuneOptions options = candidate_options(options_, candidate);
  TunePause pause;
  pause.step = step;
  pause.now = [&] {
    // The next event writes it again and says what is wrong.
    if (search_options_.clock() - written_ > kJournalSeconds) static_cast<void>(write());
    return time_is_up();
  };
  std::optional<uint64_t> first;
  uint64_t tokens = 0;
  const auto show = [&](const Progress& p) {
    if (p.label != "tune") return;
    if (!first) first = p.done;
    tokens = p.done - *first;
    progress_(
        {"search", "tokens", tokens_ + tokens, 0,
         fmt::format("{} of {}, candidate {}, {}, {}", clock_text(spent()),
                     clock_text(60 * search_options_.minutes), candidate.id, what, p.detail)});
  };
  TuneInput input = input_;
  input.kept = options_.run;  // a teacher is asked once for all candidates
  auto result =
      tune_part(std::move(input), options, pause, progress_ ? ProgressSink(show) : ProgressSink());
  tokens_ += tokens;
  if (!result.ok()) {
    const ErrorCode code = result.error().code;
    if (code == ErrorCode::kInterrupted || code == ErrorCode::kTerminated) SLLM_OK(write());
    return std::move(result).error().context(fmt::format("candidate {}", candidate.id));
  }
  return result;
}

// Trains the first candidate to where the first rung may be, which is not lost.
Result<SearchCost> Searching::measure() {
  const SearchCandidate first_one = drawn(1).front();
  const double first = search_options_.rungs == 0
                           ? 1
                           : std::pow(static_cast<double>(search_options_.eta),
                                      1.0 - static_cast<double>(search_options_.rungs));
  const int64_t steps = std::min(search_options_.rung_steps, steps_at(first_one, first));
  // What a teacher or a reference says is not a part of what a rung costs.
  if (!options_.teacher.empty() || options_.objective != "sft") {
    SLLM_TRY(const TunePart before, part(first_one, 0, "preparing"));
    if (before.end == TunePart::End::kNow)
      return with_hint(usage_error("{}: {:.3g} minutes were over before the first step",
                                   options_.run.string(), search_options_.minutes),
                       "Resume with more --minutes");
  }
  const double start = search_options_.clock();
  SLLM_TRY(const TunePart measured, part(first_one, steps, "measuring"));
  if (measured.end == TunePart::End::kNow)
    return with_hint(
        usage_error("{}: {:.3g} minutes were over after {} steps of the first candidate",
                    options_.run.string(), search_options_.minutes, measured.result.steps),
        "Resume with more --minutes");
  if (measured.result.steps == 0)
    return with_hint(usage_error("{}: the first candidate's loss is not finite in its first step",
                                 options_.run.string()),
                     "Look at the data and the model: sllm show, sllm eval --perplexity");
  SearchCost cost =
      cost_at(measured.result.tok_s, input_.train, input_.eval, options_, search_options_);
  if (measured.evaluation_seconds > 0)
    cost.rung = std::max(measured.evaluation_seconds,
                         search_options_.clock() - start - measured.result.seconds);
  return cost;
}

Status Searching::make_plan() {
  const bool fixed = search_options_.candidates > 0 && search_options_.rungs > 0;
  SearchCost cost;
  if (!fixed) {
    SLLM_TRY(cost, measure());
    search_.run_seconds = cost.run, search_.rung_seconds = cost.rung;
  }
  int64_t begun = 0;
  for (const BracketPlan& plan :
       plan_all(search_options_, options_, cost, 60 * search_options_.minutes - spent())) {
    SearchBracket bracket{plan.shares, {}};
    for (int64_t i = 0; i < plan.candidates; ++i) bracket.candidates.push_back(begun++);
    search_.brackets.push_back(std::move(bracket));
  }
  if (search_.brackets.empty())
    return with_hint(
        usage_error("{:.3g} minutes are too short to compare two candidates: a whole run takes "
                    "about {}, a comparison {}",
                    search_options_.minutes, clock_text(cost.run), clock_text(cost.rung)),
        "Resume with more --minutes, or search in another folder with fewer --epochs or rows");
  search_.candidates = drawn(begun);
  for (const SearchBracket& b : search_.brackets)
    log(LogLevel::kInfo, fmt::format("{} candidates, compared after {:.3g} of their steps",
                                     b.candidates.size(), fmt::join(b.shares, ", ")));
  return write();
}

// Lower losses at the last rung first; then lower ids.
std::vector<int64_t> Searching::best_first(std::vector<int64_t> ids) const {
  const auto loss = [&](int64_t id) {
    const auto& rungs = search_.candidates[static_cast<size_t>(id)].rungs;
    return rungs.empty() ? 0.0 : rungs.back().loss;
  };
  std::ranges::sort(ids);
  std::ranges::stable_sort(ids, {}, loss);
  return ids;
}

Result<bool> Searching::run_to(SearchCandidate& c, double share, size_t rung, size_t rungs) {
  const int64_t step = steps_at(c, share);
  SLLM_TRY(const TunePart done, part(c, step, fmt::format("rung {} of {}", rung + 1, rungs)));
  if (done.end == TunePart::End::kNow) return false;
  const bool finite = done.end != TunePart::End::kDiverged && std::isfinite(done.eval_loss);
  c.rungs.push_back({share, done.result.steps,
                     finite ? done.eval_loss : std::numeric_limits<double>::infinity(),
                     done.result.seconds});
  SLLM_OK(write());
  return true;
}

// Whether it came to its end; no when the time was up.
Result<bool> Searching::run_bracket(const SearchBracket& bracket) {
  std::vector<int64_t> alive = bracket.candidates;
  auto begin = std::ssize(alive);  // candidates that would begin if none diverged
  for (size_t rung = 0; rung < bracket.shares.size(); ++rung) {
    // The best first: they are trained further where the time ends within a rung.
    for (const int64_t id : best_first(alive)) {
      SearchCandidate& c = candidate(id);
      if (c.rungs.size() > rung) continue;  // before it was resumed
      if (time_is_up()) return false;
      SLLM_TRY(const bool there, run_to(c, bracket.shares[rung], rung, bracket.shares.size()));
      if (!there) return false;
    }
    // Resumed, a candidate may have later rungs: those of this one decide.
    const auto loss = [&](int64_t id) { return candidate(id).rungs[rung].loss; };
    std::erase_if(alive, [&](int64_t id) { return !std::isfinite(loss(id)); });
    if (rung + 1 == bracket.shares.size()) break;
    std::ranges::sort(alive);
    std::ranges::stable_sort(alive, {}, loss);
    begin = std::max<int64_t>(1, begin / search_options_.eta);
    std::vector<int64_t> out;
    while (std::ssize(alive) > begin) out.push_back(alive.back()), alive.pop_back();
    for (const int64_t id : out) candidate(id).out = true;
    SLLM_OK(write());
    for (const int64_t id : out)  // nobody goes on from them any more
      drop_checkpoints_after(candidate_path(options_.run, id), -1);
  }
  return true;
}

// The lowest loss among those that were trained furthest.
Status Searching::finish() {
  const SearchCandidate* best = nullptr;
  for (const int64_t id : search_.ranking())
    if (!best && !candidate(id).rungs.empty() && !candidate(id).diverged()) best = &candidate(id);
  if (!best) {
    SLLM_OK(write());
    if (search_.out_of_time)
      return with_hint(usage_error("{}: {:.3g} minutes were over before any candidate was measured",
                                   options_.run.string(), search_options_.minutes),
                       "Resume with more --minutes");
    return with_hint(usage_error("{}: the loss of every candidate left the finite numbers",
                                 options_.run.string()),
                     "Search lower learning rates, in another folder");
  }
  search_.best = best->id;
  const TuneOptions options = candidate_options(options_, *best);
  const SearchRung& last = best->rungs.back();
  SLLM_OK(write_file_atomically(
      best_path(options_.run),
      fmt::format("# The best of {} candidates: evaluation loss {:.6g} after {} of its {} steps.\n"
                  "# For `sllm tune --config`, or below [tune] in sllm.toml.\n{}",
                  search_.candidates.size(), last.loss, last.step, best->total_steps,
                  recipe_of(options))));
  return write();
}

Result<Search> Searching::go() {
  SLLM_OK(open());
  SLLM_OK(write());
  if (search_.brackets.empty()) SLLM_OK(make_plan());
  search_.out_of_time = false, search_.best = -1;  // with more minutes it may go on
  for (const SearchBracket& bracket : std::vector(search_.brackets)) {
    SLLM_TRY(const bool ended, run_bracket(bracket));
    if (!ended) search_.out_of_time = true;
    if (!ended) break;
  }
  SLLM_OK(finish());
  return std::move(search_);
}

}  // namespace

// Candidates share one model, which full tuning changes.
static Status searchable(const TuneOptions& options) {
  if (options.method != "full") return validate(options);
  return with_hint(usage_error("a search tries adapters, and full tuning makes none"),
                   "Leave out --full, or search with --dora for what comes nearest");
}

static Error no_evaluation_rows() {
  return with_hint(
      usage_error("a search decides by the evaluation loss, and there are no evaluation rows"),
      "Name held-out rows with --eval FILE, or hold some out with --eval-fraction 0.1");
}

Result<Search> search(const TuneInput& input, const TuneOptions& options,
                      const SearchOptions& search, const ProgressSink& progress) {
  SLLM_OK(searchable(options));
  SLLM_OK(validate(search));
  if (input.eval.samples.empty()) return no_evaluation_rows();
  std::error_code error;
  fs::create_directories(options.run, error);
  SLLM_TRY(const FileLock lock, FileLock::acquire(lock_path(options.run)));
  return Searching(input, options, search, progress).go();
}

Result<Search> search(const TuneOptions& options, const SearchOptions& search_options,
                      const ProgressSink& progress) {
  SLLM_OK(searchable(options));
  SLLM_OK(validate(search_options));
  if (options.eval.empty() && options.eval_fraction <= 0) return no_evaluation_rows();
  SLLM_TRY(const LoadedTune loaded, load_tune(options));
  return search(loaded.input(), options, search_options, progress);
}

Result<SearchEstimate> estimate_search(const TuneOptions& options, const SearchOptions& search) {
  SLLM_OK(searchable(options));
  SLLM_OK(validate(search));
  SLLM_TRY(const TuneFiles files, open_tune_files(options));
  if (files.eval.samples.empty()) return no_evaluation_rows();
  SearchEstimate estimate;
  SLLM_TRY(estimate.run, estimate_tune(options));
  const double tok_s = static_cast<double>(estimate.run.tokens) / estimate.run.seconds;
  estimate.cost = cost_at(tok_s, files.train, files.eval, options, search);
  estimate.brackets = plan_all(search, options, estimate.cost, 60 * search.minutes);
  return estimate;
}

}  // namespace sllm
