// What a model that is being tuned answers to the prompts of samples.
#pragma once

#include <span>
#include <vector>

#include "models/model.h"
#include "train/samples.h"

namespace sllm {

// The first token that is learned, and the place behind the last one of that answer, the token that
// ends it among them. Where nothing is learned: the sample's end.
size_t answer_begin(const Sample& sample);
size_t answer_end(const Sample& sample);

struct GenerateOptions {
  int64_t max_tokens = 64;
  float temperature = 0;  // 0: the likeliest token
  uint64_t seed = 0;      // of the draws; each sample has its own
};
struct GeneratedAnswer {
  std::vector<TokenId> ids;  // without the token that ends it
  bool ended = false;        // by the token that ends the sample's own answer
};
// One for each sample, all of them together in one batch. What comes out does not depend on which
// others are there, but for the seed's: sample i draws from stream i.
std::vector<GeneratedAnswer> generate_answers(Context& ctx, const Model& model,
                                              const BoundAdapter* adapter,
                                              std::span<const Sample* const> samples,
                                              const GenerateOptions& options);

}  // namespace sllm
