// A model's own chat template (Jinja), rendered with provenance: for every byte of the result it is
// known whether the template wrote it or a message did, through filters and concatenation. Two
// things follow from it: a message's text is never read as special tokens, and the assistant's
// tokens are known exactly (from {% generation %} blocks; else from rendering what precedes and
// what includes each assistant message; else, where those are no prefixes of the whole, from the
// message's own text and the end-of-turn token behind it). Bounded: steps, recursion depth and
// output size; no access to anything but the variables given.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/message.h"
#include "text/tokenizer.h"

namespace sllm {

struct RenderOptions {
  bool add_generation_prompt = false;
  // Cut behind the last message's own text, so that an answer goes on with it.
  bool continue_final_message = false;
  nlohmann::ordered_json tools;      // null or an array of tool descriptions
  nlohmann::ordered_json documents;  // null or an array
  nlohmann::ordered_json kwargs;     // extra template variables (enable_thinking, ...)
  std::optional<int64_t> now;        // seconds since the epoch for strftime_now; absent: the clock
};

struct RenderedText {
  std::string text;
  // One per byte of text: 0 written by the template, 1 taken from a message (or tool, document).
  std::vector<uint8_t> from_message;
  // One per byte: 1 where the assistant speaks (what a model is trained to produce, its end token
  // too). With add_generation_prompt, which is no training text, only {% generation %} marks.
  std::vector<uint8_t> assistant;
};

struct EncodedConversation {
  std::vector<TokenId> ids;
  std::vector<uint8_t> assistant;  // one per token
};

class ChatTemplate {
 public:
  // Parses `source`. Errors (kBadInput): line and what is not understood. bos/eos are the strings
  // that templates read as bos_token and eos_token.
  static Result<std::shared_ptr<const ChatTemplate>> parse(std::string source,
                                                           std::string bos_token,
                                                           std::string eos_token);
  // The template of a model: its own, or with none, one that only joins contents (with a warning).
  // One that is refused (parse) is no reason not to load the model: it warns, and render() fails.
  static Result<std::shared_ptr<const ChatTemplate>> of(const ModelSource& model,
                                                        const Tokenizer& tokenizer);
  virtual ~ChatTemplate() = default;

  // Errors: kBadInput with raise_exception's own words, or the limit that was reached.
  virtual Result<RenderedText> render(const Conversation& messages,
                                      const RenderOptions& options = {}) const = 0;
  virtual const std::string& source() const = 0;
};

// Renders and tokenizes: template text with special tokens parsed, message text without. The ids
// equal HF's apply_chat_template(tokenize=True) whenever no message contains a special token's
// text.
Result<EncodedConversation> encode_conversation(const ChatTemplate& chat_template,
                                                const Tokenizer& tokenizer,
                                                const Conversation& messages,
                                                const RenderOptions& options = {});

}  // namespace sllm
