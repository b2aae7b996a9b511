// A tokenizer of single bytes and an engine whose answers a test chooses; for tests of what is
// built on an engine.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "infer/engine.h"

namespace sllm::testing {

// Ids 0..255 are bytes, 256 is BOS "<s>" (also end of text).
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool adds_bos = false) : adds_bos_(adds_bos) {
    for (int i = 0; i < 256; ++i) bytes_.push_back(std::string(1, static_cast<char>(i)));
    bytes_.push_back("<s>");
  }
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const override {
    std::vector<TokenId> ids;
    if (options.add_special && adds_bos_) ids.push_back(256);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  EncodedText encode_marked(std::string_view text, std::span<const uint8_t>) const override {
    EncodedText out{encode(text), {}};
    for (size_t i = 1; i <= text.size(); ++i) out.ends.push_back(i);
    return out;
  }
  std::string decode(std::span<const TokenId> ids, bool skip_special = false) const override {
    std::string text;
    for (const TokenId id : ids)
      if (id < 256 || !skip_special) text += bytes_.at(id);
    return text;
  }
  std::string_view token_bytes(TokenId id) const override { return bytes_.at(id); }
  std::string_view token_text(TokenId id) const override { return bytes_.at(id); }
  bool is_special(TokenId id) const override { return id == 256; }
  TokenId id_of(std::string_view text) const override { return text == "<s>" ? 256 : -1; }
  int64_t vocab_size() const override { return 257; }
  TokenId bos_id() const override { return 256; }
  const std::vector<TokenId>& eos_ids() const override { return eos_; }

 private:
  bool adds_bos_;
  std::vector<std::string> bytes_;
  std::vector<TokenId> eos_ = {256};
};

// Joins role and content: "user:hello\n". Refuses what begins with "unspeakable".
class PlainTemplate : public ChatTemplate {
 public:
  Result<RenderedText> render(const Conversation& messages, const RenderOptions&) const override {
    RenderedText out;
    for (const Message& m : messages)
      if (m.content.starts_with("unspeakable")) return bad_input("roles must alternate");
    for (const Message& m : messages) out.text += m.role + ":" + m.content + "\n";
    out.from_message.assign(out.text.size(), 0);
    out.assistant.assign(out.text.size(), 0);
    return out;
  }
  const std::string& source() const override { return source_; }

 private:
  std::string source_ = "{{ messages }}";
};

class FakeEngine : public Engine {
 public:
  // What to answer to a rendered prompt, and the log-probability of a continuation.
  std::function<std::string(const std::string& prompt)> answer = [](auto&) { return ""; };
  std::function<double(const std::string& context, const std::string& continuation)> logprob =
      [](auto&, auto&) { return -1.0; };
  std::vector<std::pair<std::string, std::string>> scored;

  explicit FakeEngine(bool adds_bos = false)
      : tokenizer_(std::make_shared<ByteTokenizer>(adds_bos)) {
    config_.V = 257;
    config_.max_context = 4096;
    options_.context = 4096;
  }
  const ModelConfig& config() const override { return config_; }
  const ModelSource& source() const override { throw std::logic_error("a fake has no file"); }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return tokenizer_; }
  std::shared_ptr<const ChatTemplate> chat_template() const override { return template_; }
  const EngineOptions& options() const override { return options_; }
  std::vector<std::string> adapters() const override { return {}; }
  Result<RequestId> submit(GenerateRequest request,
                           std::function<void(const GenerateEvent&)> on_event) override {
    GenerateEvent event;
    {
      std::lock_guard lock(mutex_);
      event.text = answer(tokenizer_->decode(request.prompt));
    }
    event.tokens = tokenizer_->encode(event.text);
    event.done = true;
    on_event(event);
    return RequestId{1};
  }
  void cancel(RequestId) override {}
  EngineStats stats() const override { return {}; }
  Result<std::vector<ScoreResult>> score(const std::vector<ScoreRequest>& requests,
                                         const ProgressSink&) override {
    std::vector<ScoreResult> out;
    for (const ScoreRequest& r : requests) {
      scored.emplace_back(tokenizer_->decode(r.context), tokenizer_->decode(r.continuation));
      out.push_back({logprob(scored.back().first, scored.back().second), false, {}});
    }
    return out;
  }
  Result<std::vector<std::vector<float>>> logits(const std::vector<std::vector<TokenId>>& prompts,
                                                 const std::string&) override {
    return std::vector<std::vector<float>>(prompts.size(), std::vector<float>(257));
  }
  Result<std::vector<float>> token_logprobs(const std::vector<TokenId>& ids, int64_t first,
                                            const std::string&) override {
    return std::vector<float>(ids.size() - first, -2.0f);
  }
  Result<std::vector<float>> embed(const std::vector<TokenId>&) override {
    return std::vector<float>(1, 1.0f);
  }

 private:
  std::mutex mutex_;
  ModelConfig config_;
  EngineOptions options_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> template_ = std::make_shared<PlainTemplate>();
};

}  // namespace sllm::testing
