// Everything that reads a model without generating: log-likelihoods, logits, embeddings. Called on
// the engine's thread, with a state pool of its own.
#pragma once

#include <span>
#include <vector>

#include "infer/engine.h"
#include "infer/runner.h"
#include "models/pooler.h"

namespace sllm {

// Requests that share a context: it runs once, each continuation on a fork of its state.
struct ScoreGroup {
  std::span<const TokenId> context;  // already cut to fit
  const BoundAdapter* adapter = nullptr;
  int64_t text_length = 0;  // of the longest text, and all are alike for Rope::stretches
  std::vector<size_t> requests;
};

class Scorer {
 public:
  Scorer(Runner& runner, Pooler pooler, StatePool& pool, int64_t chunk)
      : runner_(runner), pooler_(std::move(pooler)), pool_(pool), chunk_(chunk) {}

  // Groups in an order that keeps equal contexts together. Errors as Engine::score.
  static Result<std::vector<ScoreGroup>> group(
      const std::vector<ScoreRequest>& requests, int64_t max_context, const Rope& rope,
      const std::function<Result<const BoundAdapter*>(const std::string&)>& adapter);
  // Rows that a group costs.
  static int64_t rows(const ScoreGroup& group, const std::vector<ScoreRequest>& requests);
  // Whether the states of one more group fit beside `pages`, which then grows.
  bool fits(const ScoreGroup& group, const std::vector<ScoreRequest>& requests,
            int64_t& pages) const;
  void score(std::span<const ScoreGroup> groups, const std::vector<ScoreRequest>& requests,
             std::vector<ScoreResult>& results);

  std::vector<std::vector<float>> logits(const std::vector<std::vector<TokenId>>& prompts,
                                         const BoundAdapter* adapter);
  std::vector<float> token_logprobs(const std::vector<TokenId>& ids, int64_t first,
                                    const BoundAdapter* adapter);
  std::vector<float> embed(const std::vector<TokenId>& ids);

 private:
  Runner& runner_;
  Pooler pooler_;
  StatePool& pool_;
  int64_t chunk_;
};

}  // namespace sllm
