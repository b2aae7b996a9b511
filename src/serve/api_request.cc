// JSON bodies to checked requests.
#include "serve/api_request.h"

#include <charconv>

#include "serve/response_format.h"
#include "serve/tool_request.h"

namespace sllm {
namespace {

constexpr double kMaxPenalty = 2;

ApiError unsupported(std::string param, std::string why) {
  ApiError error = bad_field(std::move(param), std::move(why));
  error.code = "unsupported_parameter";
  return error;
}

void read_logit_bias(Fields& f, int64_t vocab, std::map<TokenId, float>& bias) {
  const Json* value = f.find("logit_bias");
  if (!value) return;
  if (!value->is_object() || value->size() > kMaxBias)
    return f.fail("logit_bias", fmt::format("must be an object of at most {} token ids", kMaxBias));
  for (const auto& [key, number] : value->items()) {
    TokenId id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= vocab)
      return f.fail("logit_bias", fmt::format("names \"{}\", which is no token id below {}",
                                              key.substr(0, 40), vocab));
    if (!number.is_number() || !(std::abs(number.get<double>()) <= 100))
      return f.fail("logit_bias", "values must lie between -100 and 100");
    bias[id] = number.get<float>();
  }
}

// What chat, completions and ask have in common.
void read_generation(Fields& f, int64_t vocab, GenerationParams& p) {
  p.model = f.text("model");
  p.n = static_cast<int>(f.integer("n", 1, 1, kMaxChoices));
  if (f.find("max_tokens")) p.max_tokens = f.integer("max_tokens", 0, 0, INT32_MAX);
  if (f.find("seed")) p.seed = static_cast<uint64_t>(f.integer("seed", 0, INT64_MIN, INT64_MAX));
  SamplingOptions& s = p.sampling;
  p.temperature_given = f.find("temperature") != nullptr;
  s.temperature = static_cast<float>(f.number("temperature", 1, 0, 2));
  s.top_p = static_cast<float>(f.number("top_p", 1, 0, 1));
  s.top_k = static_cast<int>(f.integer("top_k", 0, 0, INT32_MAX));
  s.min_p = static_cast<float>(f.number("min_p", 0, 0, 1));
  s.repetition_penalty = static_cast<float>(f.number("repetition_penalty", 1, 0.01, 10));
  s.frequency_penalty =
      static_cast<float>(f.number("frequency_penalty", 0, -kMaxPenalty, kMaxPenalty));
  s.presence_penalty =
      static_cast<float>(f.number("presence_penalty", 0, -kMaxPenalty, kMaxPenalty));
  read_logit_bias(f, vocab, s.logit_bias);
  read_stop(f, p.stop);
  p.ignore_eos = f.boolean("ignore_eos", false);
  p.grammar = read_response_format(f);
  p.stream = f.boolean("stream", false);
  if (const Json* options = f.find("stream_options")) {
    Fields o(*options, f.path("stream_options"));
    p.include_usage = o.boolean("include_usage", false);
    o.ignore({"include_obfuscation"});
    if (auto error = o.finish()) f.fail(*error);
    if (!p.stream) f.fail("stream_options", "is only allowed with \"stream\": true");
  }
  // They name the caller or steer the operator's caches and prices: nothing here depends on them.
  f.ignore({"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"});
  f.only("service_tier", {"auto", "default"});
}

// A text part list ("content": [{"type": "text", "text": ...}]) joined, or the string itself.
std::string read_content(Fields& f, const std::string& role, bool may_be_absent) {
  const Json* value = f.find("content");
  if (!value) {
    if (!may_be_absent) f.fail("content", fmt::format("is required in a {} message", role));
    return "";
  }
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array() || value->empty())
    return f.fail("content", "must be a string or a non-empty array of text parts"), "";
  std::string joined;
  for (size_t i = 0; i < value->size(); ++i) {
    Fields part((*value)[i], fmt::format("{}[{}]", f.path("content"), i));
    const std::string type = part.text("type");
    if (type != "text") {
      f.fail(unsupported(
          part.path("type"),
          fmt::format("this model reads text parts only, not \"{}\"", type.substr(0, 40))));
      return "";
    }
    if (!part.find("text")) part.fail("text", "is required");
    joined += part.text("text");
    if (auto error = part.finish()) return f.fail(*error), "";
  }
  return joined;
}

// Variables that templates read and that change nothing but wording; the conversation itself and
// the prompt's frame cannot be replaced through here (CVE-2025-62426 was that in another server).
void read_template_kwargs(Fields& f, nlohmann::ordered_json& kwargs) {
  const Json* value = f.find("chat_template_kwargs");
  if (!value) return;
  Fields k(*value, "chat_template_kwargs");
  for (const char* name : {"enable_thinking", "thinking", "reasoning_effort", "date_string"})
    if (const Json* v = k.find(name)) {
      if (v->is_structured()) k.fail(name, "must be a string, number or boolean");
      kwargs[name] = *v;
    }
  if (auto error = k.finish()) f.fail(*error);
}

void read_prompts(Fields& f, const char* name, int64_t vocab, std::vector<Prompt>& prompts) {
  const auto ids = [&](const Json& list) -> std::optional<Prompt> {
    std::vector<TokenId> tokens;
    for (const Json& id : list) {
      if (!id.is_number_integer() || id.get<double>() < 0 ||
          id.get<double>() >= static_cast<double>(vocab)) {
        f.fail(name, fmt::format("holds a token id that does not lie between 0 and {}", vocab - 1));
        return std::nullopt;
      }
      tokens.push_back(id.get<TokenId>());
    }
    return tokens;
  };
  const Json* value = f.find(name);
  if (!value) return f.fail(name, "is required");
  const bool one =
      value->is_string() || (value->is_array() && !value->empty() && value->front().is_number());
  const Json list = one ? Json::array({*value}) : *value;
  if (!list.is_array() || list.empty())
    return f.fail(name,
                  "must be a string, an array of strings, or an array (of arrays) of token ids");
  if (list.size() > kMaxInputs)
    return f.fail(name,
                  fmt::format("holds {} inputs; at most {} are allowed", list.size(), kMaxInputs));
  for (const Json& item : list) {
    std::optional<Prompt> prompt;
    if (item.is_string())
      prompt = item.get<std::string>();
    else if (item.is_array())
      prompt = ids(item);
    else
      f.fail(name, "must hold strings or arrays of token ids");
    if (!prompt) return;
    if (std::visit([](const auto& p) { return p.empty(); }, *prompt))
      return f.fail(name, "must not be empty");
    prompts.push_back(std::move(*prompt));
  }
}

}  // namespace

void read_stop(Fields& f, std::vector<std::string>& stop) {
  const Json* value = f.find("stop");
  if (!value) return;
  const Json list = value->is_array() ? *value : Json::array({*value});
  if (list.size() > kMaxStops)
    return f.fail("stop",
                  fmt::format("holds {} strings; at most {} are allowed", list.size(), kMaxStops));
  for (const Json& item : list) {
    if (!item.is_string() || item.get_ref<const std::string&>().empty())
      return f.fail("stop", "must be a non-empty string or an array of them");
    stop.push_back(item.get<std::string>());
  }
}

void read_messages(Fields& f, Conversation& messages) {
  const Json* list = f.find("messages");
  if (!list || !list->is_array() || list->empty())
    return f.fail("messages", "must be a non-empty array");
  if (list->size() > kMaxMessages)
    return f.fail("messages", fmt::format("holds {} messages; at most {} are allowed", list->size(),
                                          kMaxMessages));
  for (size_t i = 0; i < list->size(); ++i) {
    Fields m((*list)[i], fmt::format("messages[{}]", i));
    Message message;
    message.role = m.text("role");
    if (message.role == "developer") message.role = "system";  // its newer name
    static const std::set<std::string> kRoles = {"system", "user", "assistant", "tool"};
    if (!kRoles.contains(message.role))
      m.fail("role", "must be \"system\", \"developer\", \"user\", \"assistant\" or \"tool\"");
    for (const char* name : {"name", "tool_call_id", "reasoning_content"})
      if (const Json* value = m.find(name)) message.extra[name] = *value;
    if (const std::string name = m.text("tool_name"); !name.empty())  // Ollama's word
      message.extra["name"] = name;
    if (message.role == "assistant")
      read_tool_calls(m, message);
    else
      m.only("tool_calls", {Json::array()});
    m.only("refusal", {""});
    m.only("images", {Json::array()});
    m.ignore({"thinking"});  // what a model thought before its answer is not read again
    m.only("annotations", {Json::array()});
    m.only("audio", {});
    m.only("function_call", {});
    message.content = read_content(m, message.role, message.extra.contains("tool_calls"));
    if (auto error = m.finish()) return f.fail(*error);
    messages.push_back(std::move(message));
  }
  match_tool_results(messages);
}

ApiResult<ChatRequest> parse_chat_request(std::string_view body, int64_t vocab) {
  return parse_request<ChatRequest>(body, [&](Fields& f, ChatRequest& r) {
    read_messages(f, r.messages);
    read_generation(f, vocab, r);
    if (f.find("max_completion_tokens"))
      r.max_tokens = f.integer("max_completion_tokens", 0, 1, INT32_MAX);
    if (r.max_tokens == 0) f.fail("max_tokens", "must be at least 1");
    const int top = static_cast<int>(f.integer("top_logprobs", 0, 0, kMaxTopLogprobs));
    if (f.boolean("logprobs", false))
      r.top_logprobs = top;
    else if (top > 0)
      f.fail("top_logprobs", "needs \"logprobs\": true");
    read_template_kwargs(f, r.template_kwargs);
    if (const Json* own = f.find("sllm")) {
      Fields s(*own, "sllm");
      r.ground = s.boolean("ground", false);
      if (auto error = s.finish()) f.fail(*error);
    }
    read_tools(f, r.tools);
    read_tool_choice(f, r.tools);
    if (r.ground && !r.tools.none()) f.fail("tools", "cannot be combined with grounded answers");
    f.only("functions", {Json::array()});
    f.only("function_call", {"none", "auto"});
    f.only("modalities", {Json::array({"text"})});
    f.only("store", {false});
    f.only("prediction", {});
    f.only("audio", {});
    f.only("web_search_options", {});
    f.only("reasoning_effort", {"none"});
    f.only("verbosity", {"medium"});
  });
}

ApiResult<CompletionRequest> parse_completion_request(std::string_view body, int64_t vocab) {
  return parse_request<CompletionRequest>(body, [&](Fields& f, CompletionRequest& r) {
    read_prompts(f, "prompt", vocab, r.prompts);
    read_generation(f, vocab, r);
    r.echo = f.boolean("echo", false);
    if (!r.max_tokens) r.max_tokens = 16;  // the API's own default
    if (r.max_tokens == 0 && !r.echo)
      f.fail("max_tokens", "must be at least 1 without \"echo\": true");
    // An integer here; `true` is what newer clients of chat send.
    if (const Json* value = f.find("logprobs"); value && value->is_boolean())
      r.top_logprobs = value->get<bool>() ? 0 : -1;
    else if (value)
      r.top_logprobs = static_cast<int>(f.integer("logprobs", 0, 0, kMaxTopLogprobs));
    const int64_t choices = static_cast<int64_t>(r.prompts.size()) * r.n;
    if (choices > kMaxInputs)
      f.fail("n", fmt::format("times the number of prompts is {}; at most {} are allowed", choices,
                              kMaxInputs));
    f.only("best_of", {r.n});
    f.only("suffix", {""});
  });
}

ApiResult<EmbeddingRequest> parse_embedding_request(std::string_view body, int64_t vocab) {
  return parse_request<EmbeddingRequest>(body, [&](Fields& f, EmbeddingRequest& r) {
    r.model = f.text("model");
    read_prompts(f, "input", vocab, r.inputs);
    const std::string format = f.text("encoding_format", "float");
    if (format != "float" && format != "base64")
      f.fail("encoding_format", "must be \"float\" or \"base64\"");
    r.base64 = format == "base64";
    f.only("dimensions", {});
    f.ignore({"user"});
  });
}

ApiResult<AskRequest> parse_ask_request(std::string_view body) {
  return parse_request<AskRequest>(body, [&](Fields& f, AskRequest& r) {
    r.question = f.text("question");
    if (r.question.empty()) f.fail("question", "must be a non-empty string");
    if (r.question.size() > 8192) f.fail("question", "is longer than 8192 bytes");
    r.model = f.text("model");
    if (f.find("max_tokens")) r.max_tokens = f.integer("max_tokens", 0, 1, INT32_MAX);
  });
}

}  // namespace sllm
