// The sampler chain; see sampler.h.
#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/rng.h"

namespace sllm {
namespace {

// Where it is colder, the best token is certain as it is here, but quotients would leave f32's
// range.
constexpr float kColdest = 1e-30f;

struct Candidate {
  TokenId id;
  float logit;
  double p = 0;
};
// Best first; the lower id wins a tie, so that the order is total.
bool better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

double sum_exp(std::span<const float> logits, float largest) {
  double sum = 0;
  for (float x : logits) sum += std::exp(x - largest);
  return sum;
}

// Fills in p, normalised over the candidates.
void normalise(std::vector<Candidate>& candidates, float largest) {
  double sum = 0;
  for (Candidate& c : candidates) sum += c.p = std::exp(c.logit - largest);
  for (Candidate& c : candidates) c.p /= sum;
}

// The smallest set of best candidates whose mass reaches top_p (Holtzman et al. 2020). What is
// lighter than (1 - top_p) / n can never be in it, which spares sorting the whole vocabulary.
void keep_nucleus(std::vector<Candidate>& candidates, float top_p) {
  const double floor = (1.0 - top_p) / static_cast<double>(candidates.size());
  std::erase_if(candidates, [&](const Candidate& c) { return c.p < floor; });
  std::sort(candidates.begin(), candidates.end(), better);
  double mass = 0;
  size_t kept = 0;
  while (kept < candidates.size() && mass < top_p) mass += candidates[kept++].p;
  candidates.resize(std::max<size_t>(kept, 1));
}

}  // namespace

TokenId argmax(std::span<const float> logits) {
  TokenId best = -1;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i)
    if (logits[i] > largest) largest = logits[i], best = static_cast<TokenId>(i);
  return std::isfinite(largest) ? best : -1;
}

TokenLogprob token_logprob(std::span<const float> logits, TokenId id, int top) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  const double log_sum = std::log(sum_exp(logits, largest)) + largest;
  const auto logprob = [&](TokenId t) {
    return static_cast<float>(logits[static_cast<size_t>(t)] - log_sum);
  };
  TokenLogprob out{id, logprob(id), {}};
  if (top <= 0) return out;
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::min<size_t>(static_cast<size_t>(top), order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
      [&](TokenId a, TokenId b) {
        return better({a, logits[static_cast<size_t>(a)]}, {b, logits[static_cast<size_t>(b)]});
      });
  for (size_t i = 0; i < count; ++i) out.top.emplace_back(order[i], logprob(order[i]));
  return out;
}

Sampler::Sampler(SamplingOptions options, std::span<const TokenId> prompt)
    : options_(std::move(options)) {
  if (options_.repetition_penalty != 1.0f)
    for (TokenId id : prompt) counts_[id].in_prompt = true;
}

// Repetition penalty as in CTRL (Keskar et al. 2019), over prompt and answer; frequency and
// presence penalties as the OpenAI API defines them, over the answer.
void Sampler::apply_bias_and_penalties(std::span<float> logits) const {
  const auto size = static_cast<TokenId>(logits.size());
  for (const auto& [id, bias] : options_.logit_bias)
    if (id >= 0 && id < size) logits[static_cast<size_t>(id)] += bias;
  for (const auto& [id, count] : counts_) {
    if (id < 0 || id >= size) continue;
    float& x = logits[static_cast<size_t>(id)];
    x = x > 0 ? x / options_.repetition_penalty : x * options_.repetition_penalty;
    if (count.generated == 0) continue;
    x -= options_.frequency_penalty * static_cast<float>(count.generated);
    x -= options_.presence_penalty;
  }
}

TokenId Sampler::sample(std::span<float> logits, uint64_t index) {
  apply_bias_and_penalties(logits);
  const TokenId best = argmax(logits);
  if (best < 0 || options_.temperature <= 0 || options_.top_k == 1) return best;

  const float temperature = std::max(options_.temperature, kColdest);
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    candidates.push_back({static_cast<TokenId>(i), logits[i] / temperature});
  const float largest = logits[static_cast<size_t>(best)] / temperature;
  const auto k = static_cast<size_t>(std::max(options_.top_k, 0));
  if (k > 0 && k < candidates.size()) {
    const auto end = candidates.begin() + static_cast<std::ptrdiff_t>(k);
    std::nth_element(candidates.begin(), end - 1, candidates.end(), better);
    candidates.erase(end, candidates.end());
  }
  normalise(candidates, largest);
  if (options_.top_p < 1.0f)
    keep_nucleus(candidates, options_.top_p), normalise(candidates, largest);
  if (options_.min_p > 0.0f) {
    double heaviest = 0;
    for (const Candidate& c : candidates) heaviest = std::max(heaviest, c.p);
    std::erase_if(candidates, [&](const Candidate& c) { return c.p < options_.min_p * heaviest; });
    normalise(candidates, largest);
  }
  // A selection leaves its survivors in no order of its own; the draw needs one.
  if (candidates.size() < logits.size())
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  double left = Rng(options_.seed, 0, 2 * index).uniform_double();
  for (const Candidate& c : candidates)
    if ((left -= c.p) < 0) return c.id;
  return candidates.back().id;
}

}  // namespace sllm
