// Sequence: one request on its way through the engine. It knows its tokens, how they become text,
// and when the answer ends; the scheduler only feeds it logits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/grammar_matcher.h"
#include "infer/draft_model.h"
#include "infer/engine.h"
#include "infer/prompt_lookup.h"
#include "infer/sampler.h"
#include "infer/stop_filter.h"

namespace sllm {

using EventSink = std::function<void(const GenerateEvent&)>;

class Sequence {
 public:
  Sequence(Engine::RequestId id, GenerateRequest request, EventSink sink,
           std::shared_ptr<const Tokenizer> tokenizer, std::vector<TokenId> eos_ids,
           int64_t max_tokens);

  const Engine::RequestId id;
  const GenerateRequest request;
  const BoundAdapter* adapter = nullptr;
  std::optional<SequenceState> state;  // set while it has a slot
  bool stretched = false;              // what the state was computed for (Rope::stretches)
  PromptLookup lookup;
  Draft draft;

  int64_t prompt_size() const { return static_cast<int64_t>(request.prompt.size()); }
  int64_t length() const { return static_cast<int64_t>(tokens_.size()); }  // with the answer so far
  int64_t max_tokens() const { return max_tokens_; }
  int64_t left() const { return max_tokens_ - generated_; }  // tokens that may still come
  std::span<const TokenId> text() const { return tokens_; }  // prompt, then the answer so far
  bool prefilling() const { return generated_ == 0; }
  bool finished() const { return finished_; }
  // Tokens that the state has seen.
  std::span<const TokenId> read() const {
    return std::span(tokens_).first(static_cast<size_t>(state->length()));
  }
  bool failed() const { return failed_; }  // what its state holds is worth nothing
  // Tokens that the state has not seen yet.
  std::span<const TokenId> pending() const {
    return std::span(tokens_).subspan(static_cast<size_t>(state->length()));
  }
  // Logits after prompt token `position`, for echo_logprobs.
  void see_prompt_row(int64_t position, std::span<const float> logits);
  // Logits after the last token: decides the next one. False when no logit is finite, or none of a
  // token that the grammar allows, or `interrupt` was set before it was known what that allows.
  bool see_last_row(std::span<float> logits, const std::atomic<bool>* interrupt = nullptr);
  // Waits for constrain(), without which it has no slot.
  bool unconstrained() const { return request.grammar && !matcher_; }
  void constrain(GrammarMatcher matcher) { matcher_.emplace(std::move(matcher)); }
  // Cuts off what the grammar does not allow to come next.
  void cut_to_grammar(std::vector<TokenId>& guesses);
  // The prompt has been read and no token was asked for.
  void finish_without_tokens();
  void end(FinishReason reason, std::string error = "");

 private:
  void emit(GenerateEvent& event);
  std::string text_of(TokenId token);
  EventSink sink_;
  int64_t max_tokens_;
  std::vector<TokenId> tokens_;  // prompt, then the answer
  std::vector<TokenId> eos_ids_;
  Sampler sampler_;
  std::optional<GrammarMatcher> matcher_;
  std::vector<TokenId> shown_;  // special tokens that are shown
  std::shared_ptr<const Tokenizer> tokenizer_;
  StreamDecoder decoder_;
  StopFilter stop_;
  std::vector<TokenLogprob> prompt_logprobs_;
  int64_t generated_ = 0;
  bool finished_ = false, failed_ = false;
};

}  // namespace sllm
