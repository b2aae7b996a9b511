// Looks for a tuning run's learning rate, rank and epochs within a time budget, by successive
// halving (Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter
// Optimization"), in one bracket or in several with fewer and fewer rungs (Li et al. 2017,
// "Hyperband").
//
// Every candidate is a run of its own with the learning-rate schedule of its whole length, paused
// at the rungs: a rung is a share of each candidate's own steps, so that all that are compared
// stand at the same point of warm-up and decay, and a candidate that is trained to its end is the
// run that tune() makes of its settings, bit for bit. At a rung the evaluation loss decides; 1/eta
// go on from their checkpoints.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "train/estimate.h"
#include "train/tune.h"

namespace sllm {

struct SearchSpace {
  double lr_low = 2e-5, lr_high = 2e-3;  // learning rates are drawn log-uniformly from these, ...
  std::vector<double> lr;                // ... unless some are stated: then all is a grid
  std::vector<int64_t> rank = {8, 16, 32};
  std::vector<int64_t> epochs = {1, 2, 3};  // not looked for where options.steps says the length
};

struct SearchOptions {
  SearchSpace space;
  double minutes = 0;             // of all processes that have worked on the search
  int64_t eta = 3;                // one in so many goes on from a rung
  int64_t brackets = 1;           // each with a rung less than the one before it
  int64_t candidates = 0;         // of a bracket; 0: as many as the time allows
  int64_t rungs = 0;              // of the first bracket; 0: as many as are useful
  int64_t rung_steps = 10;        // of the first rung at least
  std::function<double()> clock;  // seconds; empty: this machine's
};
inline constexpr int64_t kMostSearchCandidates = 2000;
// kUsage naming the first setting that is out of range.
Status validate(const SearchOptions& options);

struct SearchRung {
  double share = 0;  // of the candidate's steps
  int64_t step = 0;
  double loss = 0;     // evaluation loss; infinite when the training loss was not finite any more
  double seconds = 0;  // of training until here
};
struct SearchCandidate {
  int64_t id = 0;
  double lr = 0, alpha = 0;  // alpha / rank is as given (with rslora: alpha is)
  int64_t rank = 0, epochs = 0;
  int64_t total_steps = 0;
  std::vector<SearchRung> rungs;  // that it has reached
  bool out = false;               // others were better at its last rung
  bool diverged() const;
};
struct SearchBracket {
  std::vector<double> shares;       // of each rung, rising
  std::vector<int64_t> candidates;  // that begin
};

// What search.json holds: the journal while it runs, the result afterwards.
struct Search {
  std::string base, data, settings, space;  // what a resumed search must have in common
  double minutes = 0, seconds = 0;          // given; spent
  int64_t eta = 0, eval_samples = 0;
  double run_seconds = 0, rung_seconds = 0;  // SearchCost as measured; 0: not needed
  std::vector<SearchBracket> brackets;       // empty before the plan is made
  std::vector<SearchCandidate> candidates;   // by id
  int64_t best = -1;                         // its id; -1 before the end
  bool out_of_time = false;                  // it ended because the time was up
  // "best", "diverged", "out", "waiting", or "kept" for one that is still in the race.
  std::string state_of(const SearchCandidate& candidate) const;
  // Ids: those trained furthest first, of these the lowest loss.
  std::vector<int64_t> ranking() const;
  nlohmann::ordered_json to_json() const;
};
Result<Search> search_from_json(const nlohmann::ordered_json& json, const std::string& file);
// kBadInput when `folder` holds no search.
Result<Search> read_search(const fs::path& folder);
inline fs::path search_path(const fs::path& folder) { return folder / "search.json"; }
inline fs::path best_path(const fs::path& folder) { return folder / "best.toml"; }
fs::path candidate_path(const fs::path& folder, int64_t id);

// Searches in the folder options.run: search.json, a run per candidate, and at the end best.toml,
// the best settings as `sllm tune --config` and [tune] of a project file take them. options.resume
// goes on with a search that was stopped or killed; what was decided stays, and the time spent
// counts. Errors as tune(); kUsage without evaluation data, for a time too short to compare two
// candidates, and where every candidate diverged.
Result<Search> search(const TuneInput& input, const TuneOptions& options,
                      const SearchOptions& search, const ProgressSink& progress = {});
Result<Search> search(const TuneOptions& options, const SearchOptions& search,
                      const ProgressSink& progress = {});

// The parts of it that need no model.

// The first `count` candidates, or all there are: for a grid in an order of the seed; else the
// settings as given, then draws of the seed.
std::vector<SearchCandidate> draw_candidates(const SearchSpace& space, const TuneOptions& options,
                                             int64_t count);
TuneOptions candidate_options(const TuneOptions& options, const SearchCandidate& candidate);

struct SearchCost {
  double run = 0;          // seconds of a whole run, on average over the space
  double rung = 0;         // of a rung beside the steps: evaluation, checkpoints
  double least_share = 0;  // of a run, before which nothing can be said
};
struct BracketPlan {
  int64_t candidates = 0;
  std::vector<double> shares;
  double seconds = 0;
};
// The plan of bracket `index` in `seconds`, of at most `pool` candidates: as many rungs as the
// least share allows, and the last one a whole run if 2 eta candidates (or the pool) fit in the
// time then; else its eta-th part, and so on. nullopt when no two candidates fit.
std::optional<BracketPlan> plan_bracket(const SearchOptions& options, const SearchCost& cost,
                                        double seconds, int64_t pool, int64_t index = 0);
double least_share(const SearchOptions& search, const TuneOptions& options, int64_t shortest_run);

// What a search would do, by a measurement of about a second (train/estimate.h).
struct SearchEstimate {
  TuneEstimate run;  // of the settings as given
  SearchCost cost;
  std::vector<BracketPlan> brackets;  // empty: the time is too short
};
Result<SearchEstimate> estimate_search(const TuneOptions& options, const SearchOptions& search);

}  // namespace sllm
