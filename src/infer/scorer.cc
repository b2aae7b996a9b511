// Log-likelihoods, logits and embeddings; see scorer.h.
#include "infer/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/checked.h"
#include "infer/sampler.h"

namespace sllm {
namespace {

// One hidden state and the tokens whose probability after it is asked for.
struct Question {
  Tensor hidden;  // [1, D]
  struct Target {
    size_t request;
    size_t index;  // in the continuation
    TokenId id;
  };
  std::vector<Target> targets;
};

}  // namespace

Result<std::vector<ScoreGroup>> Scorer::group(
    const std::vector<ScoreRequest>& requests, int64_t max_context, const Rope& rope,
    const std::function<Result<const BoundAdapter*>(const std::string&)>& adapter) {
  std::vector<std::span<const TokenId>> contexts;
  std::vector<const BoundAdapter*> adapters;
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < requests.size(); ++i) {
    const ScoreRequest& r = requests[i];
    const auto length = static_cast<int64_t>(r.continuation.size());
    if (r.context.empty() || length == 0)
      return usage_error("score: request {} has an empty {}", i,
                         r.context.empty() ? "context" : "continuation");
    if (length > max_context)
      return usage_error("score: the continuation of request {} has {} tokens, the context {}", i,
                         length, max_context);
    SLLM_TRY(const BoundAdapter* bound, adapter(r.adapter));
    // The last token is only predicted, so max_context + 1 tokens fit.
    const auto keep = std::min(r.context.size(), static_cast<size_t>(max_context + 1 - length));
    contexts.push_back(std::span(r.context).last(keep));
    adapters.push_back(bound);
    lengths.push_back(static_cast<int64_t>(keep) + length - 1);
  }
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto less = [&](size_t a, size_t b) {
    if (adapters[a] != adapters[b]) return std::less<>()(adapters[a], adapters[b]);
    if (rope.stretches(lengths[a]) != rope.stretches(lengths[b])) return rope.stretches(lengths[b]);
    return std::ranges::lexicographical_compare(contexts[a], contexts[b]);
  };
  std::stable_sort(order.begin(), order.end(), less);
  std::vector<ScoreGroup> groups;
  for (size_t i : order) {
    if (groups.empty() || groups.back().adapter != adapters[i] ||
        rope.stretches(groups.back().text_length) != rope.stretches(lengths[i]) ||
        !std::ranges::equal(groups.back().context, contexts[i]))
      groups.push_back({contexts[i], adapters[i], lengths[i], {}});
    groups.back().text_length = std::max(groups.back().text_length, lengths[i]);
    groups.back().requests.push_back(i);
  }
  return groups;
}

int64_t Scorer::rows(const ScoreGroup& group, const std::vector<ScoreRequest>& requests) {
  size_t rows = group.context.size();
  for (size_t i : group.requests) rows += requests[i].continuation.size() - 1;
  return static_cast<int64_t>(rows);
}

bool Scorer::fits(const ScoreGroup& group, const std::vector<ScoreRequest>& requests,
                  int64_t& pages) const {
  constexpr int64_t kPage = KvView::kBlockTokens;
  const auto context = static_cast<int64_t>(group.context.size());
  int64_t more = ceil_div(context, kPage) + pool_.pages_of_fixed();
  for (size_t i : group.requests)  // a fork copies the last page and adds its own
    if (const auto n = static_cast<int64_t>(requests[i].continuation.size()) - 1; n > 0)
      more += ceil_div(context % kPage + n, kPage) + pool_.pages_of_fixed();
  if ((pages + more) * kPage > pool_.free_tokens()) return false;
  pages += more;
  return true;
}

void Scorer::score(std::span<const ScoreGroup> groups, const std::vector<ScoreRequest>& requests,
                   std::vector<ScoreResult>& results) {
  std::vector<Question> questions(groups.size());  // first the ends of the contexts
  std::vector<SequenceState> states;
  std::vector<Feed> feeds;
  states.reserve(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    states.emplace_back(pool_);
    feeds.push_back({&states.back(), groups[g].context, groups[g].adapter, groups[g].text_length});
    for (size_t i : groups[g].requests)
      questions[g].targets.push_back({i, 0, requests[i].continuation.front()});
  }
  runner_.run(feeds, chunk_, [&](size_t g, int64_t first, const Tensor& hidden) {
    if (first + hidden.rows() == static_cast<int64_t>(groups[g].context.size()))
      questions[g].hidden = hidden.slice_rows(hidden.rows() - 1, hidden.rows());
  });

  // All but the last token of each continuation, on a fork.
  std::vector<SequenceState> forks;
  std::vector<size_t> of;  // feed -> request
  feeds.clear();
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i : groups[g].requests)
      if (requests[i].continuation.size() > 1) forks.push_back(states[g].fork()), of.push_back(i);
  size_t next = 0;
  for (const ScoreGroup& group : groups)
    for (size_t i : group.requests) {
      const auto& continuation = requests[i].continuation;
      if (continuation.size() > 1)
        feeds.push_back({&forks[next++], std::span(continuation).first(continuation.size() - 1),
                         group.adapter, group.text_length});
    }
  states.clear();
  runner_.run(feeds, chunk_, [&](size_t f, int64_t first, const Tensor& hidden) {
    for (int64_t row = 0; row < hidden.rows(); ++row) {
      const auto index = static_cast<size_t>(first + row + 1);
      questions.push_back(
          {hidden.slice_rows(row, row + 1), {{of[f], index, requests[of[f]].continuation[index]}}});
    }
  });

  for (const ScoreGroup& group : groups)
    for (size_t i : group.requests)
      results[i] = {0, true, std::vector<float>(requests[i].continuation.size())};
  std::vector<Tensor> rows;
  for (const Question& q : questions) rows.push_back(q.hidden);
  runner_.logits(concatenate_rows(rows), [&](int64_t row, std::span<float> logits) {
    const TokenId best = argmax(logits);
    const float log_sum = runner_.log_sum_exp(logits, std::max(best, 0));
    for (const auto& [request, index, id] : questions[static_cast<size_t>(row)].targets) {
      ScoreResult& result = results[request];
      result.token_logprobs[index] = logits[static_cast<size_t>(id)] - log_sum;
      result.greedy &= id == best;
    }
  });
  for (const ScoreGroup& group : groups)
    for (size_t i : group.requests)
      for (float x : results[i].token_logprobs) results[i].logprob += x;
}

std::vector<std::vector<float>> Scorer::logits(const std::vector<std::vector<TokenId>>& prompts,
                                               const BoundAdapter* adapter) {
  std::vector<SequenceState> states;
  std::vector<Feed> feeds;
  std::vector<Tensor> last(prompts.size());
  states.reserve(prompts.size());
  for (const auto& prompt : prompts) {
    states.emplace_back(pool_);
    feeds.push_back({&states.back(), prompt, adapter});
  }
  runner_.run(feeds, chunk_, [&](size_t p, int64_t first, const Tensor& hidden) {
    if (first + hidden.rows() == static_cast<int64_t>(prompts[p].size()))
      last[p] = hidden.slice_rows(hidden.rows() - 1, hidden.rows());
  });
  std::vector<std::vector<float>> all(prompts.size());
  runner_.logits(concatenate_rows(last), [&](int64_t row, std::span<float> logits) {
    all[static_cast<size_t>(row)].assign(logits.begin(), logits.end());
  });
  return all;
}

std::vector<float> Scorer::token_logprobs(const std::vector<TokenId>& ids, int64_t first,
                                          const BoundAdapter* adapter) {
  SequenceState state(pool_);
  const Feed feed{&state, std::span(ids).first(ids.size() - 1), adapter};
  std::vector<float> logprobs;
  runner_.run({&feed, 1}, chunk_, [&](size_t, int64_t begin, const Tensor& hidden) {
    // The row of token i predicts token i + 1.
    const int64_t skip = std::clamp<int64_t>(first - 1 - begin, 0, hidden.rows());
    const Tensor asked = hidden.slice_rows(skip, hidden.rows());
    runner_.logits(asked, [&](int64_t row, std::span<float> logits) {
      const TokenId next = ids[static_cast<size_t>(begin + skip + row + 1)];
      logprobs.push_back(logits[static_cast<size_t>(next)] -
                         runner_.log_sum_exp(logits, std::max(argmax(logits), 0)));
    });
  });
  return logprobs;
}

std::vector<float> Scorer::embed(const std::vector<TokenId>& ids) {
  Context& ctx = runner_.context();
  std::vector<Tensor> parts;
  if (!runner_.model().config().causal) {  // an encoder reads a text in one piece
    parts.push_back(runner_.model().forward(ctx, Batch::single(ids)));
  } else {
    SequenceState state(pool_);
    const Feed feed{&state, ids, nullptr};
    runner_.run({&feed, 1}, chunk_,
                [&](size_t, int64_t, const Tensor& hidden) { parts.push_back(hidden); });
  }
  const Tensor hidden = concatenate_rows(parts);
  const AttentionSegment whole{0, hidden.rows(), 0, {}};
  const Tensor vector = pooler_.forward(ctx, hidden, {&whole, 1});
  return {vector.data<float>(), vector.data<float>() + vector.size()};
}

}  // namespace sllm
