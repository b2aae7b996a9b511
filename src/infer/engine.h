// Engine: a loaded model that answers many callers at once by continuous batching. One thread steps
// the model; every method here may be called from any thread. The same request gives the same
// tokens whatever company it has in a batch.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/events.h"
#include "base/result.h"
#include "models/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace sllm {

class Grammar;  // grammar/grammar.h

struct EngineOptions {
  Numerics numerics = Numerics::kFast;
  int threads = 0;  // 0: all usable cores
  int64_t context =
      0;  // tokens per sequence; 0: the model's own, cut to what memory allows (and logged)
  // How keys and values are stored: F32, F16, BF16, or Q8_0 where the model's heads allow it (half
  // of F16's memory); nothing: as the numerics have it (state_type.h).
  std::optional<DType> kv;
  int64_t max_sequences = 8;    // slots decoded together
  int64_t prefill_chunk = 512;  // tokens of prompts per step (a quarter while others decode)
  int64_t queue_limit = 64;     // waiting requests; more are refused with kLocked
  // Tokens whose states are kept when their answers are done, for prompts that begin alike; at most
  // one context. 0: none.
  int64_t prefix_cache = 4096;
  // Tokens that are guessed at once from where the text said the same before (prompt_lookup.h), as
  // long as it pays: the answers are the same without. 0: none. Recurrent models never guess, for
  // they cannot take a wrong token back.
  int64_t lookup = 8;
  // A smaller model of the same vocabulary, GGUF file or folder, that guesses where nothing is
  // looked up (draft_model.h), and the tokens that it guesses at once at most, as long as it pays;
  // the answers are the same without. "": none. Recurrent models are refused, as either of both.
  std::string draft;
  int64_t draft_tokens = 8;
  // Guesses as much as those say whether it pays or not: what is guessed then does not depend on
  // the time that steps take.
  bool guess_always = false;
  std::vector<std::string> adapters;  // PEFT folders; name = folder name
  // What names no adapter uses the only one, rather than the base: an engine for one adapted model.
  bool adapted = false;
};

struct SamplingOptions {
  float temperature = 1.0f;  // 0: greedy (lowest id wins ties)
  int top_k = 0;             // 0: off
  float top_p = 1.0f, min_p = 0.0f;
  float repetition_penalty = 1.0f, frequency_penalty = 0.0f, presence_penalty = 0.0f;
  std::map<TokenId, float> logit_bias;
  uint64_t seed = 0;
};

struct TokenLogprob {
  TokenId id = -1;
  float logprob = 0;
  std::vector<std::pair<TokenId, float>> top;  // best first
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

struct GenerateRequest {
  std::vector<TokenId> prompt;  // already tokenized; at least one token
  int64_t max_tokens = 256;
  SamplingOptions sampling;
  std::vector<std::string> stop;  // text that ends the answer, not included in it
  bool ignore_eos = false;
  int top_logprobs = -1;                   // -1: none; n: with the n best alternatives
  bool echo_logprobs = false;              // also for the prompt's tokens
  std::string adapter;                     // "" = base
  int64_t owner = 0;                       // shares what is kept of prompts with its own only
  std::shared_ptr<const Grammar> grammar;  // that the answer keeps to; null: none
};

struct GenerateEvent {
  std::string text;             // newly complete text (valid UTF-8, possibly "")
  std::vector<TokenId> tokens;  // newly decided tokens
  std::vector<TokenLogprob> logprobs;
  // Once, before or with the first token, when echo_logprobs was asked: one per prompt token from
  // the second on (nothing precedes the first).
  std::vector<TokenLogprob> prompt_logprobs;
  bool done = false;
  FinishReason reason = FinishReason::kStop;
  std::string error;  // kError: what happened
};

struct GenerateResult {
  std::string text;
  std::vector<TokenId> tokens;
  std::vector<TokenLogprob> logprobs, prompt_logprobs;
  FinishReason reason = FinishReason::kStop;
  double seconds_to_first = 0, seconds = 0;
};

// Log-likelihood of `continuation` after `context`, as lm-evaluation-harness asks for it.
struct ScoreRequest {
  std::vector<TokenId> context, continuation;
  std::string adapter;  // "" = base
};
struct ScoreResult {
  double logprob = 0;   // sum over continuation tokens, natural logarithm
  bool greedy = false;  // every continuation token was the argmax
  std::vector<float> token_logprobs;
};

struct EngineStats {
  int64_t active = 0, waiting = 0;
  // cached_tokens: of prompts, not read again for they began like others. prompt_tokens: read.
  // guessed_tokens: looked up rather than computed one by one; accepted_tokens: of these, right.
  // drafted_tokens, accepted_drafts: the same of the draft model's.
  uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0, guessed_tokens = 0,
           accepted_tokens = 0, drafted_tokens = 0, accepted_drafts = 0, requests = 0,
           cancelled = 0, refused = 0;
  double prompt_seconds = 0, generate_seconds = 0;
};

// What an engine is made of, when it does not come from a path.
struct EngineParts {
  std::shared_ptr<ModelSource> source;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;
  std::shared_ptr<Backend> backend;              // null: this machine's processor
  std::shared_ptr<ModelSource> draft = nullptr;  // EngineOptions::draft
  std::shared_ptr<const Tokenizer> draft_tokenizer = nullptr;
};

class Engine {
 public:
  // `path`: GGUF file or Hugging Face folder. Errors as ModelSource::open and Model::load;
  // kResource when not even 512 tokens of context fit in memory; kUsage for a draft model that
  // cannot guess for this one.
  static Result<std::shared_ptr<Engine>> open(const fs::path& path, EngineOptions options = {});
  static Result<std::shared_ptr<Engine>> create(EngineParts parts, EngineOptions options = {});
  virtual ~Engine() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const ModelSource& source() const = 0;
  virtual std::shared_ptr<const Tokenizer> tokenizer() const = 0;
  virtual std::shared_ptr<const ChatTemplate> chat_template() const = 0;
  virtual const EngineOptions& options() const = 0;  // context resolved
  virtual std::vector<std::string> adapters() const = 0;

  // Starts a request; `on_event` is called on the engine thread and must not block. Errors: kUsage
  // (empty prompt, prompt longer than the context with both numbers, unknown adapter), kLocked
  // (queue full). The id is for cancel(), which frees the slot within one step.
  using RequestId = uint64_t;
  virtual Result<RequestId> submit(GenerateRequest request,
                                   std::function<void(const GenerateEvent&)> on_event) = 0;
  virtual void cancel(RequestId id) = 0;
  virtual EngineStats stats() const = 0;

  // Waits for the whole answer. kInterrupted or kTerminated after request_stop().
  Result<GenerateResult> generate(GenerateRequest request);
  // Renders with the model's template and answers; the reply's text only.
  Result<GenerateResult> chat(const Conversation& messages, GenerateRequest request = {});

  // Scores in any order, results in the requests' order. A context too long is cut on its left, as
  // lm-evaluation-harness does. Progress unit: "requests". Errors: kUsage (empty context or
  // continuation, continuation longer than the context window), kInterrupted after request_stop().
  virtual Result<std::vector<ScoreResult>> score(const std::vector<ScoreRequest>& requests,
                                                 const ProgressSink& progress = {}) = 0;
  // Logits [V] of the last position of each prompt. All prompts run as one ragged batch, in chunks
  // of prefill_chunk rows.
  virtual Result<std::vector<std::vector<float>>> logits(
      const std::vector<std::vector<TokenId>>& prompts, const std::string& adapter = "") = 0;
  Result<std::vector<float>> logits(const std::vector<TokenId>& ids,
                                    const std::string& adapter = "");
  // log p(ids[i] | ids before i) for i in [first, ids.size()) of one window, first >= 1; for
  // perplexity.
  virtual Result<std::vector<float>> token_logprobs(const std::vector<TokenId>& ids, int64_t first,
                                                    const std::string& adapter = "") = 0;
  // One vector of a text, as models/pooler.h makes it of the final hidden states: [D], or as wide
  // as the last linear layer behind the pooling.
  virtual Result<std::vector<float>> embed(const std::vector<TokenId>& ids) = 0;
};

}  // namespace sllm
