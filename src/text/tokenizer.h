// Text to token ids and back, as Hugging Face's tokenizers library does it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/model_source.h"

namespace sllm {

using TokenId = int32_t;

struct EncodeOptions {
  bool add_special = false;  // the post-processor's tokens (BOS for Llama-3)
  bool parse_special =
      true;  // "<|im_start|>" in the text becomes its token; false: it is plain text
};

class Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> load(const TokenizerSource& source);
  virtual ~Tokenizer() = default;

  // Thread-safe. Invalid UTF-8 is replaced by U+FFFD, as Python's decoder does before HF sees it.
  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const = 0;
  // Bytes of the tokens joined (may end inside a character). Special tokens are skipped on request.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;
  virtual std::string_view token_bytes(TokenId id) const = 0;  // raw bytes of one token
  virtual std::string_view token_text(
      TokenId id) const = 0;  // as in the vocabulary ("Ġthe", "<|im_end|>")
  virtual bool is_special(TokenId id) const = 0;
  virtual TokenId id_of(std::string_view token_text) const = 0;  // -1: none
  virtual int64_t vocab_size() const = 0;
  virtual TokenId bos_id() const = 0;                       // -1: none
  virtual const std::vector<TokenId>& eos_ids() const = 0;  // all tokens that end an answer
};

// Turns tokens into text as they arrive, never splitting a character: push() returns what has
// become complete (possibly ""), finish() what is left, invalid bytes as U+FFFD.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = true)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  std::string push(TokenId id);
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace sllm
