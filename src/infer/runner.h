// Runner: a model with its backend and numerics, run over any mix of sequences as one flat batch.
// Belongs to one thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "models/model.h"
#include "text/tokenizer.h"

namespace sllm {

// Tokens to be appended to one sequence.
struct Feed {
  SequenceState* state;
  std::span<const TokenId> tokens;
  const BoundAdapter* adapter = nullptr;
  int64_t text_length = 0;  // as Segment's: of the whole text, where more of it will follow
};

// A text that grows past the border of Rope::stretches is read again from its beginning: forgets
// what `state` holds if that was computed for the other side, as `stretched` says, of `tokens`.
void begin_again_if_stretched(const Rope& rope, int64_t tokens, SequenceState& state,
                              bool& stretched);

class Runner {
 public:
  Runner(std::shared_ptr<Model> model, std::shared_ptr<Backend> backend, Numerics numerics)
      : model_(std::move(model)),
        backend_(std::move(backend)),
        context_{*backend_, numerics, nullptr} {}

  const Model& model() const { return *model_; }
  Context& context() { return context_; }
  // One forward over all feeds: hidden states [rows, D] in their order. Throws ResultError when a
  // state cannot grow, Interrupted when asked to.
  Tensor forward(std::span<const Feed> feeds, const std::atomic<bool>* interrupt = nullptr);
  // As many forwards as needed, each of at most `rows` rows. each(feed, first, hidden): the hidden
  // states of that feed's tokens from `first` on.
  using Each = std::function<void(size_t feed, int64_t first, const Tensor& hidden)>;
  void run(std::span<const Feed> feeds, int64_t rows, const Each& each);

  Tensor logits(const Tensor& hidden) { return model_->logits(context_, hidden); }
  // each(row, logits [V]) for all rows; [n, V] never exists for many n.
  using EachRow = std::function<void(int64_t row, std::span<float> logits)>;
  void logits(const Tensor& hidden, const EachRow& each);
  // log of the sum of exponentials over the row, given its largest logit.
  float log_sum_exp(std::span<const float> logits, TokenId largest);

 private:
  std::shared_ptr<Model> model_;
  std::shared_ptr<Backend> backend_;
  Context context_;
};

// Rows of several tensors [n, D] below each other.
Tensor concatenate_rows(std::span<const Tensor> parts);

}  // namespace sllm
