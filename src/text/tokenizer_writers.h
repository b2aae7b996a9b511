// The two writers of text/tokenizer_convert.h, and what they share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer_spec.h"

namespace sllm {

// Errors: kBadInput naming what GGUF has no words for, or a token whose id is `V` or more.
Result<TokenizerSource::Gguf> write_tokenizer_gguf(const TokenizerSpec& spec, int64_t V);

struct TokenizerJson {
  std::string tokenizer_json, config_json;
};
Result<TokenizerJson> write_tokenizer_json(const TokenizerSpec& spec,
                                           const std::string& chat_template, int64_t max_context);

// What read_tokenizer_steps() reads; `added` are the tokens to list. The charsmap stays outside.
std::string write_tokenizer_steps(TokenizerSpec spec, std::vector<AddedToken> added);

// Merges by rank that do what merging by score does: every cut of a token into two, tokens of
// higher scores first (transformers, convert_slow_tokenizer.py, generate_merges).
std::vector<std::pair<std::string, std::string>> merges_of_scores(const TokenizerSpec& spec);

// Scores by which SentencePiece merges as spec.merges do; empty where no scores could, because some
// cut of a token is no merge or ranks of tokens overlap.
std::vector<double> scores_of_merges(const TokenizerSpec& spec);

// Whether `id` is an entry that only fills a hole between the tokens.
bool is_hole(const TokenizerSpec& spec, size_t id);

}  // namespace sllm
