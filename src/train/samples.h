// Training samples: token ids and, for each position, the token it must predict or -1.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace sllm {

struct Sample {
  std::vector<TokenId> ids;
  std::vector<TokenId> targets;  // targets[i] is what row i is to predict (id i+1), -1: not learned
  int64_t supervised() const;
};

struct SampleSet {
  std::vector<Sample> samples;
  int64_t rows = 0;      // read from the file
  int64_t cut = 0;       // samples cut at max_length
  int64_t dropped = 0;   // rows without anything to learn
  int64_t too_long = 0;  // of these, rows that were cut before it
  int64_t tokens() const;
  int64_t supervised() const;
  std::string hash() const;  // SHA-256 of all ids and targets: the data as the run sees it
};

// Tokenizers and templates are needed for rows of text only; pre-tokenised rows
// ({"input_ids": [..], "labels": [..]}, labels as in Hugging Face: unshifted, -100 not learned) do
// without. Errors: kBadInput "file:line: ...", also when no row has anything to learn.
struct Reader {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;
  int64_t vocabulary = 0;
  int64_t max_length = 1024;
};
Result<SampleSet> read_samples(const fs::path& path, const Reader& reader);

// Moves `fraction` of the samples (at least one), chosen by `seed`, out of `set`.
SampleSet split_off(SampleSet& set, double fraction, uint64_t seed);

}  // namespace sllm
