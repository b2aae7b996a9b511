// The engine: one thread that steps all sequences together (continuous batching, Yu et al. 2022,
// with prompts read in chunks beside the others' decoding, Agrawal et al. 2023).
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "infer/constraints.h"
#include "infer/engine.h"
#include "infer/prefix_cache.h"
#include "infer/runner.h"
#include "infer/scorer.h"
#include "infer/sequence.h"

namespace sllm {

class BatchEngine final : public Engine {
 public:
  struct Setup {
    EngineParts parts;
    EngineOptions options;  // resolved
    std::shared_ptr<Model> model;
    Pooler pooler;
    std::map<std::string, BoundAdapter> adapters;
    DType kv;
    int64_t pool_tokens, scoring_tokens;
    std::unique_ptr<DraftModel> draft = nullptr;  // null: none
  };
  explicit BatchEngine(Setup setup);
  ~BatchEngine() override;

  const ModelConfig& config() const override { return setup_.model->config(); }
  const ModelSource& source() const override { return *setup_.parts.source; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return setup_.parts.tokenizer; }
  std::shared_ptr<const ChatTemplate> chat_template() const override {
    return setup_.parts.chat_template;
  }
  const EngineOptions& options() const override { return setup_.options; }
  std::vector<std::string> adapters() const override;

  Result<RequestId> submit(GenerateRequest request, EventSink on_event) override;
  void cancel(RequestId id) override;
  EngineStats stats() const override;

  Result<std::vector<ScoreResult>> score(const std::vector<ScoreRequest>& requests,
                                         const ProgressSink& progress) override;
  Result<std::vector<std::vector<float>>> logits(const std::vector<std::vector<TokenId>>& prompts,
                                                 const std::string& adapter) override;
  Result<std::vector<float>> token_logprobs(const std::vector<TokenId>& ids, int64_t first,
                                            const std::string& adapter) override;
  Result<std::vector<float>> embed(const std::vector<TokenId>& ids) override;

 private:
  // What one sequence does in one step: the first `rows` tokens that its state has not seen, and
  // behind its last one what may follow.
  struct Work {
    Sequence* sequence;
    int64_t rows;
    std::vector<TokenId> guesses = {};
    int64_t drafted = 0;  // tokens of the draft model that the guesses are the beginning of
  };
  using Sequences = std::deque<std::unique_ptr<Sequence>>;

  void loop();
  // Cancelled sequences leave, waiting ones take free slots.
  void sweep_and_admit();
  void leave_slot(Sequence& s);
  // Whether a sequence may start, or rather waits until another has read what both begin with.
  bool worth_starting(const Sequence& s) const;
  // Gives a sequence its state, which may hold the beginning of its prompt already.
  void start(Sequence& s);
  ReadWith read_with(const Sequence& s) const;
  std::vector<Work> plan();
  // What may follow, where it pays: looked up in the text, or else said by the draft model.
  void guess(std::vector<Work>& work);
  void look_up(std::vector<Work>& work);
  void draft(std::vector<Work>& work);
  // Has as many tokens drafted for each as `share` says, reading at most `rows` of their texts.
  void ask_draft(std::span<Work* const> work, std::span<const int64_t> share, int64_t rows);
  int64_t may_guess(const Sequence& s, int64_t most) const;
  void step(const std::vector<Work>& work);
  void run(const std::vector<Work>& work);
  void deliver(const std::vector<Work>& work, const Tensor& hidden);
  // The next token of a sequence, or its end with an error.
  void decide(Sequence& s, std::span<float> logits);
  void take_back_wrong_guesses(const std::vector<Work>& work);
  void end_all(Sequences& sequences, FinishReason reason, const std::string& error = "");

  // Runs `job` on the engine's thread between two steps and waits for its result.
  template <class Job>
  auto on_engine(Job job) -> Result<decltype(job())>;
  Result<const BoundAdapter*> find_adapter(const std::string& name) const;
  Status check_ids(const std::vector<TokenId>& ids) const;
  Status check_window(const std::vector<TokenId>& ids) const;
  int64_t pages_tokens(const Sequence& s) const;
  // The tokens as this grammar sees them, and what is known of grammars alike.
  Constraints& constraints_of(const Grammar& grammar);

  Setup setup_;
  std::vector<TokenId> eos_ids_;
  Runner runner_;
  StatePool pool_, scoring_pool_;
  Scorer scorer_;
  PrefixCache prefixes_;   // engine thread only
  GuessBudget budget_;     // engine thread only
  Sequences active_;       // engine thread only
  int64_t committed_ = 0;  // tokens promised to active sequences; engine thread only
  std::atomic<bool> interrupt_ = false;

  Constraints plain_constraints_, special_constraints_;  // special tokens are no text, or text

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Sequences waiting_;
  std::deque<std::function<void()>> jobs_;
  std::set<RequestId> cancelled_, reading_;  // reading_: prompts in the running step
  RequestId walking_ = 0;                    // whose grammar is being asked; 0: nobody's
  std::atomic<bool> end_walk_ = false;
  EngineStats stats_;
  RequestId next_id_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sllm
