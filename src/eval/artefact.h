// What can be compared with another model: files on this machine (a GGUF file, a Hugging Face
// folder, either with a LoRA adapter on it), or a server that speaks the OpenAI API.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eval/probes.h"
#include "infer/runner.h"
#include "io/peft.h"

namespace sllm::eval {

// How likely the next token was, and what else was likely: what an API tells of a row of logits.
// Tokens go by name (token_name), for a server has its own ids.
struct Chances {
  std::string token;  // the one that came
  double logprob = 0;
  std::map<std::string, double> top;  // the likeliest, at most kTopTokens
  double range = 0;                   // largest logit - smallest; 0: not known
};
inline constexpr int kTopTokens = 20;  // as many as the API tells
// Its text; "bytes:\xe2\x96" where that is no whole characters, as the API writes it.
std::string token_name(std::string_view bytes);

struct Answer {
  std::string text;
  std::vector<Chances> tokens;  // with the one that ended it
  std::vector<TokenId> ids;     // of them; empty from a server
  bool ended = false;           // by itself
};

// Text for a side without our ids, ids where both are known to share them.
struct ApiPrompt {
  std::string text;
  std::vector<TokenId> ids;  // empty: send the text
};

class LocalArtefact;

class Artefact {
 public:
  virtual ~Artefact() = default;
  virtual const std::string& name() const = 0;
  virtual std::string kind() const = 0;  // "GGUF v3", "server, fast"
  virtual Numerics numerics() const = 0;
  virtual LocalArtefact* local() { return nullptr; }

  // Tokens of the prompt that these messages become, for an answer to follow.
  virtual Result<int64_t> prompt_tokens(const Conversation& messages) = 0;
  // The likeliest token each time, at most `tokens`.
  virtual Result<std::vector<Answer>> answers(const std::vector<Conversation>& questions,
                                              int64_t tokens) = 0;
  // Of each token from the second on.
  virtual Result<std::vector<Chances>> chances(const ApiPrompt& prompt) = 0;
};

class LocalArtefact final : public Artefact {
 public:
  // `adapter`: a PEFT folder, or empty. Errors as ModelSource::open, Model::load and Model::bind.
  static Result<std::unique_ptr<LocalArtefact>> open(const fs::path& path, const fs::path& adapter,
                                                     std::shared_ptr<Backend> backend,
                                                     Numerics numerics);

  const std::string& name() const override { return name_; }
  std::string kind() const override;
  Numerics numerics() const override { return numerics_; }
  LocalArtefact* local() override { return this; }
  Result<int64_t> prompt_tokens(const Conversation& messages) override;
  Result<std::vector<Answer>> answers(const std::vector<Conversation>& questions,
                                      int64_t tokens) override;
  Result<std::vector<Chances>> chances(const ApiPrompt& prompt) override;
  // The answers that answers() would give, up to and with the first token that differs from
  // `lead`'s. Every token is read once instead of written: much cheaper.
  Result<std::vector<Answer>> follow(const std::vector<Conversation>& questions,
                                     const std::vector<Answer>& lead);

  const ModelSource& source() const { return *source_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ChatTemplate& chat_template() const { return *template_; }
  const LoraAdapter* adapter() const { return adapter_ ? &*adapter_ : nullptr; }
  std::vector<TokenId> end_tokens() const;  // sorted
  Result<std::vector<TokenId>> encode(const Conversation& messages,
                                      const RenderOptions& options) const;
  // Final hidden states [n, D] of a text that begins with ids.front(), and logits [m, V] of such
  // rows.
  Tensor hidden(const std::vector<TokenId>& ids);
  Tensor logits(const Tensor& hidden) { return runner_->logits(hidden); }

 private:
  Chances chances_of(std::span<const float> logits, TokenId id) const;

  std::string name_;
  Numerics numerics_ = Numerics::kExact;
  std::shared_ptr<ModelSource> source_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> template_;
  std::optional<LoraAdapter> adapter_;
  BoundAdapter bound_;
  std::unique_ptr<Runner> runner_;
};

// A server. `url`: http://host:port, with or without /v1; `key`: its API key or "". Asks which
// model it serves; ours also says in which numerics. Errors: kNetwork when it is not reached or
// refuses.
Result<std::unique_ptr<Artefact>> open_server(const std::string& url, const std::string& key);

}  // namespace sllm::eval
