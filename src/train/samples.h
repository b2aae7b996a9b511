// Training samples: token ids and, for each position, the token it must predict or -1.
#pragma once

#include <memory>
#include <span>
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
  int64_t row = -1;              // of the file's examples, from 0; -1: not known
  int64_t supervised() const;
};

struct SampleSet {
  std::vector<Sample> samples;
  // How many neighbouring samples are one item, taken into a step together: 2 in pairs, the chosen
  // answer before the rejected one.
  int64_t group = 1;
  std::vector<uint8_t> wanted;  // of answers that stand alone (KTO): the label of each sample
  int64_t rows = 0;             // read from the file
  int64_t cut = 0;              // samples cut at max_length
  int64_t dropped = 0;          // rows without anything to learn
  int64_t too_long = 0;         // of these, rows that were cut before it
  int64_t items() const { return static_cast<int64_t>(samples.size()) / group; }
  std::vector<uint32_t> samples_of(std::span<const uint32_t> items) const;
  int64_t tokens() const;
  int64_t tokens(uint32_t item) const;
  int64_t supervised() const;
  std::string hash() const;  // SHA-256 of ids, targets and labels: the data as the run sees it
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

// Preferences (data/preference.h) or their pre-tokenised rows, TRL's {"prompt_ids", "chosen_ids",
// "rejected_ids"} or {"prompt_ids", "completion_ids", "label"}: pairs, or with `labelled` answers
// that stand alone, which pairs become too (the chosen ones are wanted). What is learned from is
// the assistant's tokens behind the prompt, which ends where the prompt rendered alone and with its
// answers part. Errors as read_samples.
Result<SampleSet> read_preference_samples(const fs::path& path, const Reader& reader,
                                          bool labelled);

// Moves `fraction` of the items (at least one), chosen by `seed`, out of `set`.
SampleSet split_off(SampleSet& set, double fraction, uint64_t seed);

}  // namespace sllm
