// Predictions that llama.cpp's llama-perplexity recorded with --kl-divergence-base: for chunks of a
// text the log-probabilities of every token after each position of the second half, in 16 bits.
// Layout: "_logits_", uint32 n_ctx, int32 n_vocab, int32 n_chunk, int32 tokens [n_chunk, n_ctx];
// then for each chunk n_ctx - 1 - n_ctx/2 rows of float scale, float lowest, uint16 [n_vocab, made
// even]: log p = scale * v + lowest. What lies more than 16 below the likeliest token is 0 there.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "text/tokenizer.h"

namespace sllm::eval {

class RecordedPredictions {
 public:
  struct Row {
    float scale = 0, lowest = 0;
    std::span<const uint16_t> values;  // [V]
    float log_prob(size_t token) const {
      return scale * static_cast<float>(values[token]) + lowest;
    }
    // Whether the token's probability is known: it was not cut off at the bottom.
    // Where the whole row spans less than 16, its lowest is 0 for being the lowest.
    bool known(size_t token) const { return values[token] > 0 || scale * 65535 < 15.99f; }
  };

  // Whether a file starts as one does.
  static bool recognises(const std::filesystem::path& path);
  // kBadInput naming what is wrong; kNotFound and the like from the file system.
  static Result<RecordedPredictions> open(const std::filesystem::path& path);
  // `owner` keeps the bytes, which must be aligned to 4.
  static Result<RecordedPredictions> parse(std::span<const std::byte> bytes, std::string file,
                                           std::shared_ptr<const void> owner = nullptr);

  int64_t window() const { return window_; }  // tokens of a chunk
  int64_t vocabulary() const { return vocabulary_; }
  int64_t chunks() const { return chunks_; }
  int64_t rows() const { return window_ - 1 - window_ / 2; }  // of a chunk
  std::span<const TokenId> tokens(int64_t chunk) const;       // [window]
  // What follows position window/2 + row of the chunk.
  Row row(int64_t chunk, int64_t row) const;

 private:
  int64_t row_bytes() const { return 2 * ((vocabulary_ + 1) / 2 * 2 + 4); }
  int64_t window_ = 0, vocabulary_ = 0, chunks_ = 0;
  std::span<const std::byte> tokens_, rows_;
  std::shared_ptr<const void> owner_;
};

}  // namespace sllm::eval
