// What a search tries, and how much of it fits in the time.
#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "train/search.h"

namespace sllm {
namespace {

constexpr int64_t kMostByItself = 81;   // candidates: more draws of three settings find little
constexpr int64_t kMostRungs = 12;      // 3^11 candidates would have to begin
constexpr uint64_t kStream = 0x5EA5C4;  // apart from the streams that a run draws from
constexpr int kTries = 100;             // to draw what was not drawn before

struct Axes {
  std::vector<double> lr;  // empty: drawn
  std::vector<int64_t> rank, epochs;
};

Axes axes_of(const SearchSpace& space, const TuneOptions& options) {
  Axes axes{space.lr, space.rank, space.epochs};
  if (axes.lr.empty() && space.lr_low == space.lr_high) axes.lr = {space.lr_low};
  if (axes.rank.empty() || !options.init_adapter.empty()) axes.rank = {options.rank};
  if (axes.epochs.empty() || options.steps > 0) axes.epochs = {options.epochs};
  return axes;
}

SearchCandidate candidate_of(double lr, int64_t rank, int64_t epochs, const TuneOptions& options) {
  SearchCandidate c;
  c.lr = lr, c.rank = rank, c.epochs = epochs;
  c.alpha = options.rslora
                ? options.alpha
                : options.alpha * static_cast<double>(rank) / static_cast<double>(options.rank);
  return c;
}

bool same(const SearchCandidate& a, const SearchCandidate& b) {
  return a.lr == b.lr && a.rank == b.rank && a.epochs == b.epochs;
}

// Three digits: nobody can read or needs more.
double rounded(double lr) { return std::stod(fmt::format("{:.2e}", lr)); }

SearchCandidate draw(const SearchSpace& space, const Axes& axes, const TuneOptions& options,
                     Rng& rng) {
  const double low = std::log(space.lr_low), high = std::log(space.lr_high);
  const double lr = rounded(std::exp(low + (high - low) * rng.uniform_double()));
  const int64_t rank = axes.rank[rng.below(axes.rank.size())];
  const int64_t epochs = axes.epochs[rng.below(axes.epochs.size())];
  return candidate_of(lr, rank, epochs, options);
}

// Candidates that begin at rung `rung`.
int64_t left_at(int64_t candidates, size_t rung, int64_t eta) {
  for (size_t i = 0; i < rung; ++i) candidates /= eta;
  return std::max<int64_t>(candidates, 1);
}

// Those that go on pay only for what is new to them.
double seconds_of(int64_t candidates, const std::vector<double>& shares, const SearchCost& cost,
                  int64_t eta) {
  double seconds = 0, before = 0;
  for (size_t k = 0; k < shares.size(); ++k) {
    seconds += static_cast<double>(left_at(candidates, k, eta)) *
               (cost.run * (shares[k] - before) + cost.rung);
    before = shares[k];
  }
  return seconds;
}

std::vector<double> shares_of(int64_t eta, int64_t last, int64_t rungs) {
  std::vector<double> shares;
  for (int64_t k = 0; k < rungs; ++k)
    shares.push_back(
        std::pow(static_cast<double>(eta), -static_cast<double>(last + rungs - 1 - k)));
  return shares;
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t value = 1;
  while (exponent-- > 0) value *= base;
  return value;
}

}  // namespace

Status validate(const SearchOptions& o) {
  const auto require = [](bool holds, const char* setting, const char* expected) -> Status {
    if (holds) return ok();
    return usage_error("{} must be {}", setting, expected);
  };
  const auto is_rate = [](double lr) { return std::isfinite(lr) && lr > 0 && lr < 10; };
  SLLM_OK(require(std::isfinite(o.minutes) && o.minutes > 0, "minutes", "above 0"));
  SLLM_OK(require(o.eta >= 2 && o.eta <= 64, "eta", "from 2 to 64"));
  SLLM_OK(require(o.brackets >= 1 && o.brackets <= kMostRungs, "brackets", "from 1 to 12"));
  SLLM_OK(require(o.candidates == 0 || (o.candidates >= 2 && o.candidates <= kMostSearchCandidates),
                  "candidates", "0 (as the time allows) or from 2 to 2000"));
  SLLM_OK(require(o.rungs >= 0 && o.rungs <= kMostRungs, "rungs", "0 (as useful) or up to 12"));
  SLLM_OK(require(o.rung_steps >= 1, "rung steps", "at least 1"));
  const SearchSpace& s = o.space;
  if (s.lr.empty())
    SLLM_OK(require(is_rate(s.lr_low) && is_rate(s.lr_high) && s.lr_low <= s.lr_high,
                    "the learning rates to search", "LOW:HIGH, above 0 and below 10"));
  SLLM_OK(require(std::ranges::all_of(s.lr, is_rate), "each learning rate to search",
                  "above 0 and below 10"));
  SLLM_OK(require(std::ranges::all_of(s.rank, [](int64_t r) { return r >= 1 && r <= 4096; }),
                  "each rank to search", "from 1 to 4096"));
  return require(std::ranges::all_of(s.epochs, [](int64_t e) { return e >= 1; }),
                 "each number of epochs to search", "at least 1");
}

std::vector<SearchCandidate> draw_candidates(const SearchSpace& space, const TuneOptions& options,
                                             int64_t count) {
  const Axes axes = axes_of(space, options);
  std::vector<SearchCandidate> all;
  const auto is_new = [&](const SearchCandidate& c) {
    return std::ranges::none_of(all, [&](const SearchCandidate& b) { return same(b, c); });
  };
  if (!axes.lr.empty()) {
    for (const double lr : axes.lr)
      for (const int64_t rank : axes.rank)
        for (const int64_t epochs : axes.epochs)
          if (const auto c = candidate_of(lr, rank, epochs, options); is_new(c)) all.push_back(c);
    Rng rng(options.seed, kStream);
    shuffle(all, rng);
    if (std::ssize(all) > count) all.resize(static_cast<size_t>(count));
  } else {
    all.push_back(candidate_of(options.lr, options.rank, options.epochs, options));
    for (int64_t i = 1; i < count; ++i) {
      Rng rng(options.seed, kStream + static_cast<uint64_t>(i));
      SearchCandidate c = draw(space, axes, options, rng);
      for (int tries = 1; tries < kTries && !is_new(c); ++tries)
        c = draw(space, axes, options, rng);
      all.push_back(c);
    }
  }
  for (size_t i = 0; i < all.size(); ++i) all[i].id = static_cast<int64_t>(i);
  return all;
}

TuneOptions candidate_options(const TuneOptions& options, const SearchCandidate& candidate) {
  TuneOptions o = options;
  o.lr = candidate.lr, o.rank = candidate.rank, o.alpha = candidate.alpha;
  o.epochs = candidate.epochs;
  o.run = candidate_path(options.run, candidate.id);
  o.resume = true, o.answers = 0;
  return o;
}

double least_share(const SearchOptions& search, const TuneOptions& options, int64_t shortest_run) {
  const auto steps = static_cast<double>(std::max<int64_t>(shortest_run, 1));
  const double warmup = options.warmup < 1 ? options.warmup : options.warmup / steps;
  return std::min(1.0, std::max(warmup, static_cast<double>(search.rung_steps) / steps));
}

std::optional<BracketPlan> plan_bracket(const SearchOptions& options, const SearchCost& cost,
                                        double seconds, int64_t pool, int64_t index) {
  const int64_t eta = options.eta;
  // With fewer candidates it is better to give up whole runs.
  const int64_t wanted = std::min(options.candidates > 0 ? options.candidates : 2 * eta, pool);
  const bool fixed = options.candidates > 0 && options.rungs > 0;
  std::optional<BracketPlan> best;
  // Rungs that are asked for end in whole runs.
  for (int64_t last = 0; last < (options.rungs > 0 ? 1 : kMostRungs); ++last) {
    // As many rungs as the least share allows, less one a bracket.
    int64_t most = 1;
    while (most < kMostRungs && shares_of(eta, last, most + 1).front() >= cost.least_share) ++most;
    if (last > 0 && shares_of(eta, last, most).front() < cost.least_share) break;
    if (options.rungs > 0) most = options.rungs;
    most = std::max<int64_t>(1, most - index);
    const int64_t fewest = options.rungs > 0 ? most : 1;
    for (int64_t rungs = most; rungs >= fewest; --rungs) {
      BracketPlan plan{0, shares_of(eta, last, rungs), 0};
      if (options.candidates > 0) {
        plan.candidates = wanted;
      } else {
        const auto fits = [&](int64_t n) {
          return seconds_of(n, plan.shares, cost, eta) <= seconds;
        };
        int64_t low = 0, high = std::min(pool, kMostByItself);  // the most that fit
        while (low < high) {
          const int64_t middle = low + (high - low + 1) / 2;
          if (fits(middle))
            low = middle;
          else
            high = middle - 1;
        }
        plan.candidates = low;
      }
      plan.seconds = seconds_of(plan.candidates, plan.shares, cost, eta);
      if (fixed) return plan;
      // A rung that halves nothing is no rung, unless it was asked for.
      const bool enough = options.rungs > 0 || plan.candidates >= power(eta, rungs - 1);
      if (!enough || plan.candidates < 2 || plan.seconds > seconds) continue;
      if (plan.candidates >= wanted) return plan;
      if (!best || plan.candidates > best->candidates) best = plan;
      break;
    }
  }
  return best;
}

}  // namespace sllm
