// The two writers of text/tokenizer_convert.h, and what they share.
#pragma once

#include <span>
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
std::string write_tokenizer_steps(const TokenizerSpec& spec, std::span<const AddedToken> added);

// Merges by rank for merges by score: every cut of a token into two, tokens of higher scores first
// (transformers, convert_slow_tokenizer.py, generate_merges). By score the leftmost of equals wins,
// by rank the first that is listed (docs/parity.md). Errors: kBadInput where the cuts are too many.
Result<std::vector<std::pair<std::string, std::string>>> merges_of_scores(
    const TokenizerSpec& spec);

// Scores by which SentencePiece merges as spec.merges do; empty where no scores could, because some
// cut of a token is no merge or ranks of tokens overlap.
std::vector<double> scores_of_merges(const TokenizerSpec& spec);

// By id: the entries that only fill holes between the tokens.
std::vector<bool> holes(const TokenizerSpec& spec);

}  // namespace sllm
