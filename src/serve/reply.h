// The JSON of an answer, whole or as a stream of chunks, in the shapes of OpenAI's chat and
// completion APIs. A reply is fed the engine's events choice by choice and remembers them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/answer_parts.h"
#include "serve/grounding.h"
#include "serve/json_reader.h"

namespace sllm {

// JSON text for the wire: invalid UTF-8 (a token's lone bytes) becomes U+FFFD, never an exception.
std::string to_wire(const Json& json);

// What all replies know.
struct ReplyHead {
  std::string id, model;
  int64_t created = 0;
  std::shared_ptr<const Tokenizer> tokenizer;
  size_t choices = 1;
  int64_t prompt_tokens = 0;
  bool logprobs = false;
  std::shared_ptr<const CallSyntax> calls;  // of functions that may be called; null: none
};

class Reply {
 public:
  explicit Reply(ReplyHead head);
  virtual ~Reply() = default;

  // Before any event, in streams.
  virtual std::vector<Json> opening() { return {}; }
  // Records the event; the chunk that it makes in a stream, if it says anything yet.
  std::optional<Json> add(size_t choice, const GenerateEvent& event);
  Json usage_chunk() const;
  virtual Json whole() const = 0;
  // A stream is JSON lines, rather than server-sent events.
  virtual bool lines() const { return false; }

  int64_t completion_tokens() const;
  double seconds_to_first() const { return seconds_to_first_; }
  bool finished() const { return finished_ == head_.choices; }

 protected:
  struct Choice {
    std::string text;
    int64_t tokens = 0;
    std::vector<TokenLogprob> logprobs, prompt_logprobs;
    std::optional<FinishReason> reason;
  };
  virtual std::optional<Json> chunk(size_t choice, const GenerateEvent& event) = 0;
  virtual const char* object(bool whole) const = 0;
  Json frame(bool whole) const;
  Json usage() const;
  Json timings() const;

  ReplyHead head_;
  std::vector<Choice> choices_;

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  double seconds_to_first_ = 0;
  size_t finished_ = 0;
};

// `grounding` set: the answer is checked against its passages at the end, and "sllm" holds the
// sources.
std::unique_ptr<Reply> make_chat_reply(ReplyHead head, std::optional<GroundedPrompt> grounding,
                                       std::shared_ptr<const GroundedAnswerer> answerer);
// `prompts`: one per choice, its tokens and its text, when they are to be echoed; else empty.
struct EchoedPrompt {
  std::string text;
  std::vector<TokenId> tokens;
};
std::unique_ptr<Reply> make_completion_reply(ReplyHead head, std::vector<EchoedPrompt> echo);
std::unique_ptr<Reply> make_ask_reply(ReplyHead head, GroundedPrompt grounding,
                                      std::shared_ptr<const GroundedAnswerer> answerer);

}  // namespace sllm
