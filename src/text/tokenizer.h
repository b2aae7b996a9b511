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

struct EncodedText {
  std::vector<TokenId> ids;
  std::vector<size_t> ends;  // for each token the byte of the text where it ends
};

class Tokenizer {
 public:
  // Errors: kBadInput naming the entry that is malformed or the part that is not supported.
  static Result<std::shared_ptr<const Tokenizer>> load(const TokenizerSource& source);
  // The tokenizer of a model. Errors as load()'s, with the model's path before them; and kBadInput
  // where every text would hold a token that the model's embedding has no row for.
  static Result<std::shared_ptr<const Tokenizer>> of(const ModelSource& source);
  virtual ~Tokenizer() = default;

  // Thread-safe; throws ResultError where a file's own pattern or steps would not end or take all
  // memory. Invalid UTF-8 is replaced by U+FFFD, as Python's decoder does before HF sees it.
  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const = 0;
  // As encode(), but a special token is recognised only where all its bytes have plain[i] == 0 (one
  // entry per byte of `text`, which must be valid UTF-8). Tokens that are added but not special
  // ("<think>") are recognised everywhere.
  virtual EncodedText encode_marked(std::string_view text,
                                    std::span<const uint8_t> plain) const = 0;
  // The text of the tokens (may end inside a character). Special tokens are skipped on request.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;
  // What one token adds to a text that has already begun, in raw bytes.
  virtual std::string_view token_bytes(TokenId id) const = 0;
  virtual std::string_view token_text(
      TokenId id) const = 0;  // as in the vocabulary ("Ġthe", "<|im_end|>")
  virtual bool is_special(TokenId id) const = 0;
  virtual TokenId id_of(std::string_view token_text) const = 0;  // -1: none
  virtual int64_t vocab_size() const = 0;
  virtual TokenId bos_id() const = 0;  // -1: none
  // All tokens that end an answer; the one that the files call eos first.
  virtual const std::vector<TokenId>& eos_ids() const = 0;
  // How many spaces in front of its first token a whole text loses when it is decoded
  // (SentencePiece: "▁Hello" begins a text as "Hello").
  virtual size_t spaces_to_trim() const { return 0; }
};

// Turns tokens into text as they arrive, never splitting a character: push() returns what has
// become complete (possibly ""), finish() what is left, invalid bytes as U+FFFD. The tokens go on
// after others, so a space in front of the first stays, unless `at_start` says that they begin a
// text.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = true,
                         bool at_start = false)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special), at_start_(at_start) {}
  std::string push(TokenId id);
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_, at_start_;
  std::string pending_;
};

}  // namespace sllm
