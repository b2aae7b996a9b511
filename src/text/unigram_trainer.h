// A unigram vocabulary (Kudo 2018, "Subword Regularization"): from all repeated substrings of the
// words, expectation maximisation and pruning leave the pieces under which the words are likeliest.
// The steps and constants are SentencePiece's, which Hugging Face's UnigramTrainer shares.
#pragma once

#include <string>
#include <vector>

#include "base/events.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "text/word_counter.h"

namespace sllm {

struct UnigramTraining {
  size_t vocab_size = 32000;              // tokens in all, special ones and bytes too
  std::vector<std::string> first_tokens;  // the unknown token, then the special ones: the first ids
  bool byte_fallback = true;              // 256 tokens for the bytes of what no piece covers
  double coverage = 1;          // share of the text's characters that pieces have to cover
  uint32_t longest = 16;        // characters of a piece
  size_t seeds = 1'000'000;     // pieces to begin with, at most
  double kept_each_time = .75;  // share of the pieces that a round of pruning leaves
};

struct TrainedUnigram {
  // By id: first_tokens, "<0x00>" to "<0xFF>", the pieces, likeliest first.
  std::vector<std::string> tokens;
  std::vector<double> scores;  // log-probabilities of pieces; 0 for first_tokens
};

// `words` are UTF-8. The same for any number of threads. Fewer tokens come out when the text has no
// more pieces to give. Errors: kUsage when vocab_size has no room for what it must hold, naming how
// much that is; kInterrupted.
Result<TrainedUnigram> train_unigram(const WordCounts& words, const UnigramTraining& training,
                                     ThreadPool& pool, const ProgressSink& progress = {});

}  // namespace sllm
