// Records of guesses and the arithmetic of what they cost; see guess_budget.h.
#include "infer/guess_budget.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace sllm {
namespace {

constexpr double kFading = 0.9;         // of a sequence's record, a guess
constexpr double kRestFading = 0.97;    // a step without one: half after 23
constexpr double kStepFading = 0.98;    // of the measured steps
constexpr double kRowUnmeasured = 0.1;  // a row's time beside the step's, until both are known
constexpr double kHeldUp = 2;           // times what a step should take, at most counted
constexpr int64_t kHorizon = 256;       // tokens of an answer that may come, at most counted on
constexpr int64_t kLongestPause = 4096;
constexpr double kTrying = 1.0 / 8;  // of the time waited, what a try may take

}  // namespace

void GuessRecord::learn(int64_t guessed, int64_t right) {
  right_ = kFading * right_ + static_cast<double>(right);
  wrong_ = kFading * wrong_ + (right < guessed ? 1 : 0);
}

void GuessRecord::rest() {
  right_ *= kRestFading;
  wrong_ *= kRestFading;
}

void DraftRecord::learn(int64_t guessed, int64_t right) {
  record_.learn(guessed, right);
  if (record_.likelihood() > fresh().likelihood()) pause_ = kFirstPause;
}

void DraftRecord::give_up() {
  resting_ = true;
  waited_ = 0;
}

bool DraftRecord::tries_again(double cost) {
  ++waited_;
  if (waited_ < pause_ || cost > kTrying * static_cast<double>(waited_)) return false;
  pause_ = std::min(2 * pause_, kLongestPause);
  record_ = fresh();
  resting_ = false;
  return true;
}

void StepCost::measured(int64_t rows, double seconds) {
  const auto r = static_cast<double>(rows);
  if (known())
    seconds = std::min(seconds, kHeldUp * at(r).step * std::max(1.0, r * weight_ / rows_));
  for (double* sum : {&weight_, &rows_, &seconds_, &rows_rows_, &rows_seconds_})
    *sum *= kStepFading;
  weight_ += 1, rows_ += r, seconds_ += seconds, rows_rows_ += r * r, rows_seconds_ += r * seconds;
}

StepCost::Seconds StepCost::at(double rows) const {
  if (!known()) return {1, kRowUnmeasured};
  const double mean = seconds_ / weight_;
  const double spread = weight_ * rows_rows_ - rows_ * rows_;
  if (spread > 1e-3 * rows_ * rows_) {
    const double slope = (weight_ * rows_seconds_ - rows_ * seconds_) / spread;
    const double step = mean + slope * (rows - rows_ / weight_);
    if (step > 0) return {step, std::clamp(slope, 1e-3 * step, step)};
  }
  return {mean, kRowUnmeasured * mean};
}

std::vector<int64_t> GuessBudget::share(const std::vector<double>& likelihoods, int64_t most,
                                        int64_t all) const {
  std::vector<int64_t> guesses(likelihoods.size(), 0);
  if (likelihoods.empty()) return guesses;
  auto tokens = static_cast<double>(likelihoods.size());
  auto [time, row] = step_.at(tokens);
  std::vector<double> next = likelihoods;  // that the next row of each is reached and right
  for (int64_t n = 0; n < all; ++n) {
    size_t best = 0;
    for (size_t i = 1; i < next.size(); ++i)
      if (next[i] > next[best]) best = i;
    if ((tokens + next[best]) * time <= tokens * (time + price_ * row)) break;
    tokens += next[best], time += price_ * row;
    next[best] = ++guesses[best] < most ? next[best] * likelihoods[best] : 0;
  }
  return guesses;
}

// One more token for the likeliest of those who have all so far, as many of them as pay for the
// draft's step together; what is likely falls from token to token, so the first that does not pay
// is the end.
std::vector<int64_t> GuessBudget::share_drafts(std::span<const Drafting> drafting,
                                               const StepCost& draft, int64_t rows, double tokens,
                                               int64_t all) const {
  std::vector<int64_t> guesses(drafting.size(), 0);
  std::vector<double> next;  // that the next token of each is reached and right
  for (const Drafting& d : drafting) next.push_back(d.likelihood);
  std::vector<size_t> going(drafting.size());
  std::iota(going.begin(), going.end(), 0);
  auto [time, row] = step_.at(static_cast<double>(rows));
  for (int64_t depth = 0; !going.empty() && all > 0; ++depth) {
    std::erase_if(going, [&](size_t i) { return drafting[i].most <= depth; });
    const auto tried = [&](size_t i) { return depth == 0 && drafting[i].trial; };
    std::ranges::stable_sort(going, std::greater(),
                             [&](size_t i) { return std::pair(tried(i), next[i]); });
    going.resize(std::min(going.size(), static_cast<size_t>(all)));
    double right = 0, read = 0, best_tokens = tokens, best_time = time;
    size_t take = 0;
    for (size_t n = 0; n < going.size(); ++n) {
      const Drafting& d = drafting[going[n]];
      right += next[going[n]];
      read += 1;
      if (depth == 0)
        read += static_cast<double>(d.unread - 1) /
                static_cast<double>(std::clamp<int64_t>(d.left, 1, kHorizon));
      const double with = time + price_ * (draft.at(read).step + static_cast<double>(n + 1) * row);
      if (!tried(going[n]) && (tokens + right) * best_time <= best_tokens * with) continue;
      best_tokens = tokens + right, best_time = with, take = n + 1;
    }
    going.resize(take);
    for (const size_t i : going) ++guesses[i], --all, next[i] *= drafting[i].likelihood;
    tokens = best_tokens, time = best_time;
  }
  return guesses;
}

double GuessBudget::cost_of_trial(const StepCost& draft, int64_t unread) const {
  const auto [step, row] = step_.at(1);
  return price_ * (draft.at(static_cast<double>(unread)).step + row) / step;
}

double expected_right(double p, int64_t n) {
  double sum = 0, reached = 1;
  for (int64_t i = 0; i < n; ++i) sum += reached *= p;
  return sum;
}

}  // namespace sllm
