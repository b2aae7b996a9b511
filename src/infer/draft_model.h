// DraftModel: a smaller model of the same vocabulary that guesses what the engine's model will say
// (Leviathan et al. 2023; Chen et al. 2023). It says its likeliest tokens, and the engine's model
// keeps those that it says itself, drawn as they would be without: so nothing but time depends on
// the draft. Belongs to the engine's thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "infer/guess_budget.h"
#include "infer/prefix_cache.h"
#include "infer/runner.h"

namespace sllm {

// What the draft model has read for one sequence. It may hold guesses that did not come true: what
// counts is what it has in common with the text.
struct Draft {
  std::optional<SequenceState> state;
  std::vector<TokenId> read = {};  // by the state
  bool stretched = false;          // what the state was computed for (Rope::stretches)
  DraftRecord record = {};
  int64_t owner = 0;  // GenerateRequest::owner
};

class DraftModel {
 public:
  struct Setup {
    std::shared_ptr<Model> model;
    std::shared_ptr<Backend> backend;
    Numerics numerics;
    DType kv;
    int64_t pool_tokens;   // of all sequences
    int64_t prefix_cache;  // tokens kept for prompts that begin alike
    int64_t vocabulary;    // ids below it may be guessed
  };
  explicit DraftModel(Setup setup);

  // Prepares the weights and measures a first step.
  void warm_up();
  const StepCost& cost() const { return cost_; }

  // How many tokens of `text` are to be read before the next can be guessed, the last one included.
  // What `draft` has read of anything else is forgotten. Nothing when there can be no guess: the
  // text holds tokens that this model has no row for, or it fills the model's context.
  std::optional<int64_t> unread(Draft& draft, std::span<const TokenId> text);

  struct Wish {
    Draft* draft;
    std::span<const TokenId> text;  // as told to unread()
    int64_t most;                   // tokens to be guessed, at least 1
    std::vector<TokenId> guesses = {};
  };
  // Guesses for all wishes together, one token of each in a step. Reads at most `rows` tokens of
  // the texts (or one of each); those that it has not all of get no guess. Where something
  // goes wrong (no memory, a failing backend) the drafts rest and it is logged; an interruption
  // ends the guessing.
  void guess(std::span<Wish> wishes, int64_t rows, const std::atomic<bool>* interrupt = nullptr);

  // The sequence ends: keeps what was read for others that begin so.
  void keep(Draft& draft);

 private:
  void start(Draft& draft, std::span<const TokenId> text);
  void make_room(int64_t pages);
  // One step: the next tokens of each, and a guess for those who have then read all.
  void step(std::span<Wish* const> wishes, int64_t rows, const std::atomic<bool>* interrupt);
  const ModelConfig& config() const { return runner_.model().config(); }

  Runner runner_;
  StatePool pool_;
  PrefixCache prefixes_;
  StepCost cost_;
  int64_t vocabulary_;
};

// A draft's guesses are token numbers, so both vocabularies must be the same as far as both reach,
// and neither may have special tokens behind the other's end. kUsage naming the first difference.
Status check_same_vocabulary(const Tokenizer& model, const Tokenizer& draft);

}  // namespace sllm
