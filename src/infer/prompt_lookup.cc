// Guessing from the text itself, and what that may cost; see prompt_lookup.h.
#include "infer/prompt_lookup.h"

#include <algorithm>

namespace sllm {
namespace {

constexpr double kFading = 0.9;         // of a sequence's record, a guess
constexpr double kRestFading = 0.97;    // a step without one: half after 23
constexpr double kStepFading = 0.98;    // of the measured steps
constexpr double kRowUnmeasured = 0.1;  // a row's time beside the step's, until both are known

uint64_t hash(std::span<const TokenId> tokens) {
  uint64_t h = 0;
  for (const TokenId t : tokens) {
    h = (h ^ static_cast<uint32_t>(t)) * 0x9E3779B97F4A7C15;
    h ^= h >> 32;
  }
  return h;
}

}  // namespace

size_t PromptLookup::Places::find(std::span<const TokenId> text) {
  // The last n tokens themselves enter with the next call: what follows them is not known yet.
  for (size_t end = std::max(seen, n); end < text.size(); ++end)
    after[hash(text.subspan(end - n, n))] = end;
  seen = text.size();
  if (text.size() <= n) return 0;
  const auto last = text.last(n);
  const auto found = after.find(hash(last));
  if (found == after.end()) return 0;
  return std::ranges::equal(text.subspan(found->second - n, n), last) ? found->second : 0;
}

std::vector<TokenId> PromptLookup::guess(std::span<const TokenId> text, int64_t most) {
  size_t at = four_.find(text);
  if (at == 0) at = two_.find(text);
  if (at == 0) return {};
  const auto follows = text.subspan(at);
  return {follows.begin(),
          follows.begin() + std::min<int64_t>(most, static_cast<int64_t>(follows.size()))};
}

void PromptLookup::learn(int64_t guessed, int64_t right) {
  right_ = kFading * right_ + static_cast<double>(right);
  wrong_ = kFading * wrong_ + (right < guessed ? 1 : 0);
}

void PromptLookup::rest() {
  right_ *= kRestFading;
  wrong_ *= kRestFading;
}

void GuessBudget::measured(int64_t rows, double seconds) {
  const auto r = static_cast<double>(rows);
  for (double* sum : {&weight_, &rows_, &seconds_, &rows_rows_, &rows_seconds_})
    *sum *= kStepFading;
  weight_ += 1, rows_ += r, seconds_ += seconds, rows_rows_ += r * r, rows_seconds_ += r * seconds;
}

std::vector<int64_t> GuessBudget::share(const std::vector<double>& likelihoods, int64_t most,
                                        int64_t all) const {
  std::vector<int64_t> guesses(likelihoods.size(), 0);
  if (likelihoods.empty()) return guesses;
  // A row's time and the step's without guesses, in units of the latter.
  const auto sequences = static_cast<double>(likelihoods.size());
  double row = kRowUnmeasured;
  const double spread = weight_ * rows_rows_ - rows_ * rows_;
  if (spread > 1e-3 * rows_ * rows_) {
    const double slope = (weight_ * rows_seconds_ - rows_ * seconds_) / spread;
    const double step = (seconds_ - slope * rows_) / weight_ + slope * sequences;
    if (step > 0) row = std::clamp(slope / step, 1e-3, 1.0);
  }
  std::vector<double> next = likelihoods;  // that the next row of each is reached and right
  double tokens = sequences, time = 1;
  for (int64_t n = 0; n < all; ++n) {
    size_t best = 0;
    for (size_t i = 1; i < next.size(); ++i)
      if (next[i] > next[best]) best = i;
    if ((tokens + next[best]) * time <= tokens * (time + row)) break;
    tokens += next[best], time += row;
    next[best] = ++guesses[best] < most ? next[best] * likelihoods[best] : 0;
  }
  return guesses;
}

}  // namespace sllm
