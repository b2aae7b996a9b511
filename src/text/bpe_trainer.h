// A byte-level BPE vocabulary from the words of a text (Sennrich et al. 2016, "Neural Machine
// Translation of Rare Words with Subword Units"; over bytes as in GPT-2, Radford et al. 2019): the
// pair of tokens that stands side by side most often becomes a token, again and again. The same
// tokens, ids and merges as Hugging Face's BpeTrainer gives (docs/parity.md).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/events.h"
#include "base/result.h"
#include "text/word_counter.h"

namespace sllm {

struct BpeTraining {
  size_t vocab_size = 32000;              // tokens in all, special ones too
  uint64_t min_frequency = 2;             // a pair that occurs less often does not become a token
  std::vector<std::string> first_tokens;  // special tokens: the first ids, in this order
};

struct TrainedBpe {
  // By id: the special tokens, the 256 bytes in the order of their printable characters, what was
  // merged. In GPT-2's alphabet ("Ġthe").
  std::vector<std::string> tokens;
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  uint64_t words_as_tokens = 0;  // tokens that all the words, with their repetitions, become
};

// `words` hold raw bytes. Of pairs that occur equally often the one with the lower left id wins,
// then that with the lower right id. Fewer tokens come out when no pair occurs min_frequency times.
// Errors: kUsage when vocab_size has no room for bytes and special tokens; kInterrupted.
Result<TrainedBpe> train_bpe(const WordCounts& words, const BpeTraining& training,
                             const ProgressSink& progress = {});

}  // namespace sllm
