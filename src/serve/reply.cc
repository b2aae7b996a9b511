// What the replies share, and the chat and ask shapes; completions are in completion_reply.cc.
#include "serve/reply.h"

#include <algorithm>

namespace sllm {
namespace {

// "tool_calls" tells the caller to call: a call that a stop text cut is none to be made.
const char* finish_name(FinishReason reason, const std::vector<ToolCall>& calls) {
  if (reason != FinishReason::kStop) return "length";
  const bool whole =
      std::ranges::all_of(calls, [](const ToolCall& call) { return Json::accept(call.arguments); });
  return whole && !calls.empty() ? "tool_calls" : "stop";
}

}  // namespace

std::string to_wire(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Reply::Reply(ReplyHead head) : head_(std::move(head)), choices_(head_.choices) {}

std::optional<Json> Reply::add(size_t choice, const GenerateEvent& event) {
  Choice& c = choices_.at(choice);
  if (c.reason) return std::nullopt;
  if (seconds_to_first_ == 0 && !event.tokens.empty())
    seconds_to_first_ = std::chrono::duration<double>(Clock::now() - start_).count();
  c.text += event.text;
  c.tokens += static_cast<int64_t>(event.tokens.size());
  c.logprobs.insert(c.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
  c.prompt_logprobs.insert(c.prompt_logprobs.end(), event.prompt_logprobs.begin(),
                           event.prompt_logprobs.end());
  if (event.done) c.reason = event.reason, ++finished_;
  const bool says = !event.text.empty() || event.done || !event.prompt_logprobs.empty() ||
                    (head_.logprobs && !event.logprobs.empty());
  if (!says) return std::nullopt;
  return chunk(choice, event);
}

int64_t Reply::completion_tokens() const {
  int64_t sum = 0;
  for (const Choice& c : choices_) sum += c.tokens;
  return sum;
}

Json Reply::frame(bool whole) const {
  return {{"id", head_.id},
          {"object", object(whole)},
          {"created", head_.created},
          {"model", head_.model}};
}

Json Reply::usage() const {
  const int64_t completion = completion_tokens();
  return {{"prompt_tokens", head_.prompt_tokens},
          {"completion_tokens", completion},
          {"total_tokens", head_.prompt_tokens + completion}};
}

Json Reply::usage_chunk() const {
  Json json = frame(false);
  json["choices"] = Json::array();
  json["usage"] = usage();
  return json;
}

Json Reply::timings() const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double decoding = seconds - seconds_to_first_;
  const int64_t tokens = completion_tokens();
  Json json{{"seconds_to_first", seconds_to_first_}, {"seconds", seconds}, {"tokens", tokens}};
  // The first token belongs to the prompt's time.
  json["tokens_per_second"] =
      tokens > 1 && decoding > 0 ? static_cast<double>(tokens - 1) / decoding : 0.0;
  return json;
}

namespace {

Json source_json(int number, const Chunk& chunk) {
  return {{"number", number},
          {"document", chunk.document},
          {"title", chunk.title},
          {"heading", chunk.heading},
          {"text", chunk.text}};
}

Json sources_json(const GroundedPrompt& prompt) {
  Json sources = Json::array();
  if (prompt.supported)
    for (size_t i = 0; i < prompt.passages.size(); ++i)
      sources.push_back(source_json(static_cast<int>(i) + 1, prompt.passages[i].chunk));
  return sources;
}

Json citations_json(const GroundedAnswer& answer) {
  Json numbers = Json::array();
  for (const Citation& c : answer.citations) numbers.push_back(c.number);
  return numbers;
}

class ChatReply final : public Reply {
 public:
  ChatReply(ReplyHead head, std::optional<GroundedPrompt> grounding,
            std::shared_ptr<const GroundedAnswerer> answerer)
      : Reply(std::move(head)), grounding_(std::move(grounding)), answerer_(std::move(answerer)) {
    for (size_t i = 0; i < choices_.size(); ++i) parts_.emplace_back(head_.calls, true);
  }

  std::vector<Json> opening() override {
    std::vector<Json> chunks;
    for (size_t i = 0; i < choices_.size(); ++i) {
      Json json = frame(false);
      json["choices"] = Json::array({choice_json(i, {{"role", "assistant"}, {"content", ""}})});
      if (grounding_) json["sllm"]["sources"] = sources_json(*grounding_);
      chunks.push_back(std::move(json));
    }
    return chunks;
  }

  Json whole() const override {
    Json json = frame(true);
    json["choices"] = Json::array();
    Json own{{"timings", timings()}};
    if (grounding_) own["sources"] = sources_json(*grounding_);
    for (size_t i = 0; i < choices_.size(); ++i) {
      const Choice& c = choices_[i];
      std::string text = parts_[i].text();
      if (grounding_) {
        const GroundedAnswer answer = answerer_->check(*grounding_, c.text);
        text = answer.text;
        describe(own, answer);
      }
      const auto& calls = parts_[i].calls();
      Json message{{"role", "assistant"}, {"content", text}, {"refusal", nullptr}};
      if (!calls.empty() && text.empty()) message["content"] = nullptr;
      for (const ToolCall& call : calls)
        message["tool_calls"].push_back(call_json(call, call.arguments));
      Json choice{{"index", i}, {"message", std::move(message)}};
      choice["logprobs"] = logprobs_json(c.logprobs);
      choice["finish_reason"] = finish_name(c.reason.value_or(FinishReason::kStop), calls);
      json["choices"].push_back(std::move(choice));
    }
    json["usage"] = usage();
    json["sllm"] = std::move(own);
    return json;
  }

 private:
  const char* object(bool whole) const override {
    return whole ? "chat.completion" : "chat.completion.chunk";
  }

  static Json choice_json(size_t index, Json delta) {
    return {{"index", index},
            {"delta", std::move(delta)},
            {"logprobs", nullptr},
            {"finish_reason", nullptr}};
  }

  static Json call_json(const ToolCall& call, const std::string& arguments) {
    return {{"id", call.id},
            {"type", "function"},
            {"function", {{"name", call.name}, {"arguments", arguments}}}};
  }

  // Of a call first its id and name, then its arguments as they come.
  Json delta_of(size_t choice, const GenerateEvent& event) {
    AnswerParts& parts = parts_[choice];
    size_t calls = parts.calls().size();
    Json delta = Json::object();
    for (const CallEvent& e : parts.add(event)) {
      if (e.kind == CallEvent::Kind::kText) {
        delta["content"] = delta.value("content", "") + e.text;
      } else if (e.kind == CallEvent::Kind::kCall) {
        Json call{{"index", calls}};
        call.update(call_json(parts.calls()[calls++], ""));
        delta["tool_calls"].push_back(std::move(call));
      } else if (e.kind == CallEvent::Kind::kArguments) {
        // One entry for each call: clients put entries together by their place in the list.
        Json& list = delta["tool_calls"];
        if (list.empty() || list.back()["index"] != calls - 1)
          list.push_back({{"index", calls - 1}, {"function", {{"arguments", ""}}}});
        std::string& arguments = list.back()["function"]["arguments"].get_ref<std::string&>();
        arguments += e.text;
      }
    }
    return delta;
  }

  std::optional<Json> chunk(size_t choice, const GenerateEvent& event) override {
    Json delta = delta_of(choice, event);
    if (delta.empty() && !event.done) {
      if (event.logprobs.empty()) return std::nullopt;
      delta["content"] = "";
    }
    Json json = frame(false);
    Json item = choice_json(choice, std::move(delta));
    if (!event.logprobs.empty()) item["logprobs"] = logprobs_json(event.logprobs);
    if (event.done) {
      item["finish_reason"] = finish_name(event.reason, parts_[choice].calls());
      Json own{{"timings", timings()}};
      if (grounding_) {
        const GroundedAnswer answer = answerer_->check(*grounding_, choices_[choice].text);
        own["answer"] = answer.text;  // with citations added or removed by the check
        describe(own, answer);
      }
      json["sllm"] = std::move(own);
    }
    json["choices"] = Json::array({std::move(item)});
    return json;
  }

  static void describe(Json& own, const GroundedAnswer& answer) {
    own["known"] = answer.known;
    own["citations"] = citations_json(answer);
    if (!answer.warning.empty()) own["warning"] = answer.warning;
  }

  Json token_json(TokenId id, float logprob) const {
    const std::string_view bytes = head_.tokenizer->token_bytes(id);
    Json numbers = Json::array();
    for (const char byte : bytes) numbers.push_back(static_cast<uint8_t>(byte));
    return {{"token", std::string(bytes)}, {"logprob", logprob}, {"bytes", std::move(numbers)}};
  }

  Json logprobs_json(const std::vector<TokenLogprob>& list) const {
    if (!head_.logprobs) return nullptr;
    Json content = Json::array();
    for (const TokenLogprob& t : list) {
      Json item = token_json(t.id, t.logprob);
      item["top_logprobs"] = Json::array();
      for (const auto& [id, logprob] : t.top)
        item["top_logprobs"].push_back(token_json(id, logprob));
      content.push_back(std::move(item));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }

  std::optional<GroundedPrompt> grounding_;
  std::shared_ptr<const GroundedAnswerer> answerer_;
  std::vector<AnswerParts> parts_;  // by choice
};

// POST /v1/ask: one question, one checked answer, never streamed.
class AskReply final : public Reply {
 public:
  AskReply(ReplyHead head, GroundedPrompt grounding,
           std::shared_ptr<const GroundedAnswerer> answerer)
      : Reply(std::move(head)), grounding_(std::move(grounding)), answerer_(std::move(answerer)) {}

  Json whole() const override {
    const GroundedAnswer answer = answerer_->check(grounding_, choices_[0].text);
    Json json = frame(true);
    json["answer"] = answer.text;
    json["known"] = answer.known;
    json["citations"] = citations_json(answer);
    json["sources"] = sources_json(grounding_);
    json["warning"] = answer.warning.empty() ? Json() : Json(answer.warning);
    json["usage"] = usage();
    return json;
  }

 private:
  const char* object(bool) const override { return "answer"; }
  std::optional<Json> chunk(size_t, const GenerateEvent&) override { return std::nullopt; }

  GroundedPrompt grounding_;
  std::shared_ptr<const GroundedAnswerer> answerer_;
};

}  // namespace

std::unique_ptr<Reply> make_chat_reply(ReplyHead head, std::optional<GroundedPrompt> grounding,
                                       std::shared_ptr<const GroundedAnswerer> answerer) {
  return std::make_unique<ChatReply>(std::move(head), std::move(grounding), std::move(answerer));
}

std::unique_ptr<Reply> make_ask_reply(ReplyHead head, GroundedPrompt grounding,
                                      std::shared_ptr<const GroundedAnswerer> answerer) {
  return std::make_unique<AskReply>(std::move(head), std::move(grounding), std::move(answerer));
}

}  // namespace sllm
