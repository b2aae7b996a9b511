// One request's tokens, text and end; see sequence.h.
#include "infer/sequence.h"

#include <algorithm>
#include <utility>

#include "base/events.h"

namespace sllm {

Sequence::Sequence(Engine::RequestId request_id, GenerateRequest r, EventSink sink,
                   std::shared_ptr<const Tokenizer> tokenizer, std::vector<TokenId> eos_ids,
                   int64_t max_tokens)
    : id(request_id),
      request(std::move(r)),
      sink_(std::move(sink)),
      max_tokens_(max_tokens),
      tokens_(request.prompt),
      eos_ids_(std::move(eos_ids)),
      sampler_(request.sampling, request.prompt),
      tokenizer_(std::move(tokenizer)),
      decoder_(tokenizer_, false),
      stop_(request.stop) {
  draft.owner = request.owner;
  if (request.grammar && request.grammar->shown())
    for (const std::string& text : *request.grammar->shown())
      shown_.push_back(tokenizer_->id_of(text));
}

std::string Sequence::text_of(TokenId token) {
  const bool hidden = tokenizer_->is_special(token) && std::ranges::count(shown_, token) == 0;
  return hidden ? "" : decoder_.push(token);
}

void Sequence::emit(GenerateEvent& event) {
  if (finished_) return;
  finished_ = event.done;
  failed_ = event.done && event.reason == FinishReason::kError;
  try {
    sink_(event);
  } catch (const std::exception& e) {
    // A caller that cannot take its events is gone; the others must not notice.
    log(LogLevel::kWarning, fmt::format("request {}: its receiver failed: {}", id, e.what()));
    finished_ = true;
  }
}

void Sequence::see_prompt_row(int64_t position, std::span<const float> logits) {
  // A step that failed half-way is run again and may come past here twice.
  if (generated_ > 0 || position != static_cast<int64_t>(prompt_logprobs_.size())) return;
  const TokenId next = tokens_[static_cast<size_t>(position + 1)];
  prompt_logprobs_.push_back(token_logprob(logits, next, request.top_logprobs));
}

bool Sequence::see_last_row(std::span<float> logits, const std::atomic<bool>* interrupt) {
  // Log-probabilities are the model's own: taken before the sampler bends the logits.
  const bool wants_logprobs = request.top_logprobs >= 0;
  std::vector<float> untouched;
  if (wants_logprobs) untouched.assign(logits.begin(), logits.end());
  if (matcher_) matcher_->mask(logits, interrupt);
  const TokenId token = sampler_.sample(logits, static_cast<uint64_t>(generated_));
  if (token < 0) return false;

  sampler_.accept(token);
  tokens_.push_back(token);
  ++generated_;
  GenerateEvent event;
  event.tokens = {token};
  if (wants_logprobs) event.logprobs = {token_logprob(untouched, token, request.top_logprobs)};
  event.prompt_logprobs = std::exchange(prompt_logprobs_, {});
  const bool eos = !request.ignore_eos && std::ranges::count(eos_ids_, token) > 0;
  if (!eos) event.text = stop_.push(text_of(token));
  const bool complete = matcher_ && (!matcher_->accept(token) || matcher_->must_end());
  const bool stops = eos || stop_.stopped() || complete;
  event.done = stops || generated_ >= max_tokens_;
  event.reason = stops ? FinishReason::kStop : FinishReason::kLength;
  if (event.done) event.text += stop_.push(decoder_.finish()) + stop_.finish();
  emit(event);
  return true;
}

void Sequence::cut_to_grammar(std::vector<TokenId>& guesses) {
  if (matcher_) guesses.resize(matcher_->fitting(guesses));
}

void Sequence::finish_without_tokens() {
  GenerateEvent event;
  event.prompt_logprobs = std::exchange(prompt_logprobs_, {});
  event.done = true;
  event.reason = FinishReason::kLength;
  emit(event);
}

void Sequence::end(FinishReason reason, std::string error) {
  GenerateEvent event;
  event.text = stop_.finish();  // not half a character, which the next token would have completed
  event.done = true;
  event.reason = reason;
  event.error = std::move(error);
  emit(event);
}

}  // namespace sllm
