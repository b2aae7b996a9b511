// The shape of /v1/completions: text, and log-probabilities in four parallel arrays.
#include <algorithm>

#include "serve/reply.h"
#include "text/unicode.h"

namespace sllm {
namespace {

int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; });
}

class CompletionReply final : public Reply {
 public:
  CompletionReply(ReplyHead head, std::vector<EchoedPrompt> echo)
      : Reply(std::move(head)), echo_(std::move(echo)), offsets_(choices_.size()) {}

  std::vector<Json> opening() override {
    std::vector<Json> chunks;
    if (head_.logprobs) return chunks;  // then the prompt comes with its log-probabilities
    for (size_t i = 0; i < echo_.size(); ++i)
      chunks.push_back(chunk_json(i, echo_[i].text, nullptr, nullptr));
    return chunks;
  }

  Json whole() const override {
    Json json = frame(true);
    json["choices"] = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) {
      const Choice& c = choices_[i];
      Json logprobs;
      if (head_.logprobs) {
        Arrays arrays(*head_.tokenizer, 0);
        if (!echo_.empty()) arrays.add_prompt(echo_[i].tokens, c.prompt_logprobs);
        arrays.add(c.logprobs);
        logprobs = std::move(arrays).json();
      }
      const std::string text = (echo_.empty() ? "" : echo_[i].text) + c.text;
      json["choices"].push_back({{"text", text},
                                 {"index", i},
                                 {"logprobs", std::move(logprobs)},
                                 {"finish_reason", finish(*c.reason)}});
    }
    json["usage"] = usage();
    return json;
  }

 private:
  // {tokens, token_logprobs, top_logprobs, text_offset}
  class Arrays {
   public:
    Arrays(const Tokenizer& tokenizer, int64_t offset) : tokenizer_(tokenizer), offset_(offset) {}

    void add(TokenId id, Json logprob, Json top) {
      const std::string_view bytes = tokenizer_.token_bytes(id);
      tokens_.push_back(name(bytes));
      logprobs_.push_back(std::move(logprob));
      top_.push_back(std::move(top));
      offsets_.push_back(offset_);
      offset_ += characters(bytes);
    }
    void add(const std::vector<TokenLogprob>& list) {
      for (const TokenLogprob& t : list) {
        Json top = Json::object();
        for (const auto& [id, logprob] : t.top) top[name(tokenizer_.token_bytes(id))] = logprob;
        add(t.id, t.logprob, std::move(top));
      }
    }
    // Nothing precedes the first token, so it has no probability.
    void add_prompt(const std::vector<TokenId>& tokens, const std::vector<TokenLogprob>& rest) {
      if (!tokens.empty()) add(tokens[0], nullptr, nullptr);
      add(rest);
    }
    int64_t offset() const { return offset_; }
    Json json() && {
      return {{"tokens", std::move(tokens_)},
              {"token_logprobs", std::move(logprobs_)},
              {"top_logprobs", std::move(top_)},
              {"text_offset", std::move(offsets_)}};
    }

   private:
    // Tokens that are no whole characters keep their bytes apart, as OpenAI's API writes them.
    static std::string name(std::string_view bytes) {
      if (unicode::valid_utf8(bytes)) return std::string(bytes);
      std::string escaped = "bytes:";
      for (const char byte : bytes) escaped += fmt::format("\\x{:02x}", static_cast<uint8_t>(byte));
      return escaped;
    }
    const Tokenizer& tokenizer_;
    int64_t offset_;
    Json tokens_ = Json::array(), logprobs_ = Json::array(), top_ = Json::array(),
         offsets_ = Json::array();
  };

  const char* object(bool) const override { return "text_completion"; }
  static const char* finish(FinishReason reason) {
    return reason == FinishReason::kStop ? "stop" : "length";
  }

  Json chunk_json(size_t choice, std::string text, Json logprobs, Json reason) const {
    Json json = frame(false);
    json["choices"] = Json::array({{{"text", std::move(text)},
                                    {"index", choice},
                                    {"logprobs", std::move(logprobs)},
                                    {"finish_reason", std::move(reason)}}});
    return json;
  }

  std::optional<Json> chunk(size_t choice, const GenerateEvent& event) override {
    Json logprobs;
    std::string text = event.text;
    if (head_.logprobs) {
      Arrays arrays(*head_.tokenizer, offsets_[choice]);
      const bool prompt_now = !echo_.empty() && offsets_[choice] == 0;
      if (prompt_now) {
        arrays.add_prompt(echo_[choice].tokens, event.prompt_logprobs);
        text = echo_[choice].text + text;
      }
      arrays.add(event.logprobs);
      offsets_[choice] = arrays.offset();
      logprobs = std::move(arrays).json();
    }
    return chunk_json(choice, std::move(text), std::move(logprobs),
                      event.done ? Json(finish(event.reason)) : Json());
  }

  std::vector<EchoedPrompt> echo_;
  std::vector<int64_t> offsets_;
};

}  // namespace

std::unique_ptr<Reply> make_completion_reply(ReplyHead head, std::vector<EchoedPrompt> echo) {
  return std::make_unique<CompletionReply>(std::move(head), std::move(echo));
}

}  // namespace sllm
