// Perplexity of a text and divergence between two models, with the chunking of llama.cpp's
// llama-perplexity: disjoint windows of n_ctx tokens, the second half of each scored.
#pragma once

#include <string>
#include <vector>

#include "infer/engine.h"

namespace sllm::eval {

struct PerplexityOptions {
  int64_t window = 512;
  int64_t chunks = 0;  // 0: all that the text fills
  ProgressSink progress;
  std::optional<DType> kv = {};  // of the model that is measured, in divergence (EngineOptions::kv)
};
struct Perplexity {
  double value = 0, standard_error = 0;
  int64_t chunks = 0, tokens = 0;  // tokens scored
};
// The windows of a text: plain text (special tokens are not parsed), encoded with BOS where the
// tokenizer adds one; then each window's first token is BOS. Errors: kBadInput when the text fills
// less than two windows, as llama-perplexity refuses it.
Result<std::vector<std::vector<TokenId>>> perplexity_windows(const Tokenizer& tokenizer,
                                                             const std::string& text,
                                                             const PerplexityOptions& options);
Result<Perplexity> perplexity(Engine& engine, const std::string& text,
                              const PerplexityOptions& options);

struct Divergence {
  double kld_mean = 0, kld_stderr = 0;  // KL(base || model) per token, nats
  double kld_max = 0;
  double top1_agree = 0;  // share of positions whose most likely token is the same
  double perplexity = 0, base_perplexity = 0;
  int64_t tokens = 0;
};
// Errors: kBadInput when the two do not share a vocabulary.
Result<Divergence> divergence(const fs::path& model, const fs::path& base, const std::string& text,
                              Numerics numerics, int threads, const PerplexityOptions& options);
// From predictions recorded by llama-perplexity (recorded.h); options.window is the recording's.
// Their 16 bits and their cut at e^-16 of the likeliest token bias a plain sum, so both sides are
// normalised over the tokens that are known: that removes the first order of the rounding, which
// leaves about 1e-8. Errors: kBadInput when the vocabularies differ in size.
Result<Divergence> divergence_from_recorded(const fs::path& model, const fs::path& recorded,
                                            Numerics numerics, int threads,
                                            const PerplexityOptions& options);

}  // namespace sllm::eval
