// From logits to a token: logit bias, penalties, temperature, top-k, top-p, min-p, then one draw.
// The order is that of transformers' logits processors. A draw depends on (seed, index of the
// generated token) alone, so an answer is the same in whatever company it is made.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "infer/engine.h"

namespace sllm {

class Sampler {
 public:
  explicit Sampler(SamplingOptions options, std::span<const TokenId> prompt);
  // Changes `logits` [V] in place. `index` counts the generated tokens from 0. -1 when no logit is
  // finite.
  TokenId sample(std::span<float> logits, uint64_t index);
  // The token has been added to the text: penalties see it from now on.
  void accept(TokenId id) { ++counts_[id].generated; }

 private:
  struct Count {
    bool in_prompt = false;
    int generated = 0;
  };
  void apply_bias_and_penalties(std::span<float> logits) const;
  SamplingOptions options_;
  std::unordered_map<TokenId, Count> counts_;
};

// The lowest id among the largest; -1 when no logit is finite.
TokenId argmax(std::span<const float> logits);
// log softmax(logits)[id] with the `top` best alternatives (0: none).
TokenLogprob token_logprob(std::span<const float> logits, TokenId id, int top);

}  // namespace sllm
