// Ollama's requests to the engine's, and its lines back; see ollama.h.
#include "serve/ollama.h"

#include <chrono>

#include "base/sha256.h"
#include "grammar/grammar.h"
#include "io/architecture.h"
#include "serve/response_format.h"
#include "serve/tool_request.h"

namespace sllm {
namespace {

using Clock = std::chrono::system_clock;

std::string utc_now() {
  const auto now = std::chrono::time_point_cast<std::chrono::microseconds>(Clock::now());
  const auto seconds = std::chrono::time_point_cast<std::chrono::seconds>(now);
  const std::time_t when = Clock::to_time_t(seconds);
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:06}Z", text, (now - seconds).count());
}

int64_t nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

// Clients add the tag that Ollama gives every model.
std::string without_tag(std::string name) {
  constexpr std::string_view kTag = ":latest";
  if (name.ends_with(kTag)) name.resize(name.size() - kTag.size());
  return name;
}

// One line of a stream, or all of the answer in one.
class OllamaReply final : public Reply {
 public:
  enum class Kind { kChat, kGenerate };
  OllamaReply(ReplyHead head, Kind kind)
      : Reply(std::move(head)), kind_(kind), parts_(head_.calls, false) {}

  Json whole() const override { return end(line(parts_.text(), 0)); }
  bool lines() const override { return true; }

 private:
  std::optional<Json> chunk(size_t, const GenerateEvent& event) override {
    const size_t calls = parts_.calls().size();
    std::string text;
    for (const CallEvent& e : parts_.add(event))
      if (e.kind == CallEvent::Kind::kText) text += e.text;
    Json json = line(text, calls);
    if (event.done) return end(std::move(json));
    if (text.empty() && calls == parts_.calls().size()) return std::nullopt;
    return json;
  }
  const char* object(bool) const override { return "ollama"; }

  // With the calls from this one on.
  Json line(const std::string& text, size_t call) const {
    Json json{{"model", head_.model}, {"created_at", utc_now()}};
    if (kind_ == Kind::kChat)
      json["message"] = {{"role", "assistant"}, {"content", text}};
    else
      json["response"] = text;
    for (; call < parts_.calls().size(); ++call) {
      const ToolCall& c = parts_.calls()[call];
      json["message"]["tool_calls"].push_back(
          {{"id", c.id},
           {"function",
            {{"index", call}, {"name", c.name}, {"arguments", Json::parse(c.arguments)}}}});
    }
    json["done"] = false;
    return json;
  }

  Json end(Json json) const {
    const Json t = timings();
    const double seconds = t["seconds"], first = t["seconds_to_first"];
    const FinishReason reason = choices_[0].reason.value_or(FinishReason::kStop);
    json["done"] = true;
    json["done_reason"] = head_.prompt_tokens == 0          ? "load"
                          : reason == FinishReason::kLength ? "length"
                                                            : "stop";
    json["total_duration"] = nanoseconds(seconds);
    json["load_duration"] = 0;  // the model is loaded when the server starts
    json["prompt_eval_count"] = head_.prompt_tokens;
    json["prompt_eval_duration"] = nanoseconds(first);
    json["eval_count"] = completion_tokens();
    json["eval_duration"] = nanoseconds(seconds - first);
    return json;
  }

  Kind kind_;
  AnswerParts parts_;
};

// "options": how to sample. What says where and how a model runs has no say here.
void read_options(Fields& f, GenerationParams& p) {
  SamplingOptions& s = p.sampling;
  s.temperature = 0.8f, s.top_k = 40, s.top_p = 0.9f;  // Ollama's own defaults
  const Json* value = f.find("options");
  if (!value) return;
  Fields o(*value, "options");
  const int64_t tokens = o.integer("num_predict", -1, -2, INT32_MAX);
  if (tokens >= 0) p.max_tokens = tokens;
  if (const int64_t seed = o.integer("seed", -1, INT64_MIN, INT64_MAX); seed >= 0)
    p.seed = static_cast<uint64_t>(seed);
  s.temperature = static_cast<float>(o.number("temperature", s.temperature, 0, 100));
  s.top_k = static_cast<int>(o.integer("top_k", s.top_k, 0, INT32_MAX));
  s.top_p = static_cast<float>(o.number("top_p", s.top_p, 0, 1));
  s.min_p = static_cast<float>(o.number("min_p", 0, 0, 1));
  s.repetition_penalty = static_cast<float>(o.number("repeat_penalty", 1, 0.01, 10));
  s.frequency_penalty = static_cast<float>(o.number("frequency_penalty", 0, -2, 2));
  s.presence_penalty = static_cast<float>(o.number("presence_penalty", 0, -2, 2));
  read_stop(o, p.stop);
  o.only("mirostat", {0});
  o.only("typical_p", {1, 1.0});
  o.only("tfs_z", {1, 1.0});
  o.ignore({"num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "numa",
            "low_vram", "use_mmap", "use_mlock", "repeat_last_n", "penalize_newline",
            "mirostat_eta", "mirostat_tau", "f16_kv", "logits_all", "vocab_only",
            "embedding_only"});
  if (auto error = o.finish()) f.fail(*error);
}

void read_common(Fields& f, GenerationParams& p) {
  p.model = without_tag(f.text("model"));
  if (p.model.empty()) f.fail("model", "is required");
  p.stream = f.boolean("stream", true);
  p.grammar = read_ollama_format(f);
  read_options(f, p);
  f.only("think", {false});
  f.ignore({"keep_alive"});
}

ReplyHead head_of(const std::string& model, const Service& service, size_t prompt_tokens) {
  ReplyHead head;
  head.model = model;
  head.tokenizer = service.engine().tokenizer();
  head.prompt_tokens = static_cast<int64_t>(prompt_tokens);
  return head;
}

// A request without a prompt asks for the model to be loaded, which it is.
ApiResult<Job> loaded(const Service& service, const GenerationParams& p, OllamaReply::Kind kind) {
  SLLM_TRY(const Service::Name name, service.resolve(p.model));
  Job job;
  job.reply = std::make_unique<OllamaReply>(head_of(name.shown, service, 0), kind);
  job.answered = "";
  job.stream = false;
  return job;
}

ApiResult<Job> converse(const Service& service, const GenerationParams& p,
                        const Conversation& messages, OllamaReply::Kind kind) {
  return service.converse(p, messages, {}, "", [&](ReplyHead head) {
    return std::make_unique<OllamaReply>(std::move(head), kind);
  });
}

// What the file holds: its weights, bytes, and the type of most of them.
struct Contents {
  double weights = 0;
  int64_t bytes = 0;
  std::string_view type;
};

Contents contents_of(const ModelSource& source) {
  Contents contents;
  std::map<DType, int64_t> bytes_by_type;
  for (const TensorInfo& t : source.tensors()) {
    int64_t n = 1;
    for (const int64_t size : t.shape) n *= size;
    contents.weights += static_cast<double>(n);
    contents.bytes += bytes_of(t.dtype, n);
    bytes_by_type[t.dtype] += bytes_of(t.dtype, n);
  }
  int64_t most = 0;
  for (const auto& [type, bytes] : bytes_by_type)
    if (bytes > most) most = bytes, contents.type = info(type).name;
  return contents;
}

std::string architecture_of(const Service& service) {
  const Architecture* architecture = service.engine().config().architecture;
  return architecture ? std::string(architecture->gguf) : "";
}

Json details(const Service& service, const Contents& contents) {
  const std::string family = architecture_of(service);
  return {
      {"parent_model", ""},
      {"format", service.engine().source().format().starts_with("GGUF") ? "gguf" : "safetensors"},
      {"family", family},
      {"families", Json::array({family})},
      {"parameter_size", contents.weights >= 1e9 ? fmt::format("{:.1f}B", contents.weights / 1e9)
                                                 : fmt::format("{:.2f}M", contents.weights / 1e6)},
      {"quantization_level", contents.type}};
}

Json listed(const Service& service, const char* time, const std::string& when) {
  const Contents contents = contents_of(service.engine().source());
  Json models = Json::array();
  for (const std::string& name : service.names())
    models.push_back({{"name", name},
                      {"model", name},
                      {time, when},
                      {"size", contents.bytes},
                      {"digest", sha256_hex(name)},  // clients cut it to 12 digits
                      {"details", details(service, contents)}});
  return {{"models", std::move(models)}};
}

struct TextRequest : GenerationParams {
  Conversation messages;
  std::string prompt, system;
  bool raw = false;
};

// What is to be embedded, or described.
struct ModelRequest {
  std::string model;
  std::vector<Prompt> texts;
};

}  // namespace

ApiResult<Job> ollama_chat(const Service& service, std::string_view body) {
  SLLM_TRY(const auto r, parse_request<TextRequest>(body, [](Fields& f, TextRequest& request) {
             read_common(f, request);
             read_tools(f, request.tools);
             const Json* list = f.find("messages");
             if (list && *list != Json::array()) read_messages(f, request.messages);
           }));
  const auto kind = OllamaReply::Kind::kChat;
  if (r.messages.empty()) return loaded(service, r, kind);
  return converse(service, r, r.messages, kind);
}

ApiResult<Job> ollama_generate(const Service& service, std::string_view body) {
  SLLM_TRY(const auto r, parse_request<TextRequest>(body, [](Fields& f, TextRequest& request) {
             read_common(f, request);
             request.prompt = f.text("prompt"), request.system = f.text("system");
             request.raw = f.boolean("raw", false);
             f.only("suffix", {""});
             f.only("template", {""});
             f.only("images", {Json::array()});
             f.only("context", {Json::array()});
           }));
  const auto kind = OllamaReply::Kind::kGenerate;
  if (r.prompt.empty()) return loaded(service, r, kind);
  if (!r.raw) {
    Conversation messages;
    if (!r.system.empty()) messages.push_back({"system", r.system, {}});
    messages.push_back({"user", r.prompt, {}});
    return converse(service, r, messages, kind);
  }
  SLLM_TRY(const Service::Name name, service.resolve(r.model));
  auto ids = service.engine().tokenizer()->encode(r.prompt, {.add_special = true});
  Job job;
  job.reply = std::make_unique<OllamaReply>(head_of(name.shown, service, ids.size()), kind);
  SLLM_TRY(GenerateRequest one, service.request(r, std::move(ids), name.adapter));
  job.choices.push_back(std::move(one));
  job.stream = r.stream;
  return job;
}

ApiResult<EmbeddingJob> ollama_embed(const Service& service, std::string_view body) {
  SLLM_TRY(const auto r, parse_request<ModelRequest>(body, [](Fields& f, ModelRequest& request) {
             request.model = without_tag(f.text("model"));
             const Json* input = f.find("input");
             const Json list = !input              ? Json::array()
                               : input->is_array() ? *input
                                                   : Json::array({*input});
             for (const Json& text : list) {
               if (!text.is_string())
                 return f.fail("input", "must be a string or an array of strings");
               request.texts.emplace_back(text.get<std::string>());
             }
             if (list.empty() || list.size() > kMaxInputs)
               f.fail("input", fmt::format("must hold 1 to {} texts", kMaxInputs));
             f.only("dimensions", {});
             f.only("truncate", {false, true});  // nothing is cut: what is too long is refused
             f.ignore({"keep_alive", "options"});
           }));
  SLLM_TRY(EmbeddingJob job, service.embed(r.model, r.texts));
  int64_t tokens = 0;
  for (const auto& ids : job.inputs) tokens += std::ssize(ids);
  job.reply = [model = job.model, tokens](const std::vector<std::vector<float>>& vectors) -> Json {
    return {{"model", model}, {"embeddings", vectors}, {"prompt_eval_count", tokens}};
  };
  return job;
}

ApiResult<EmbeddingJob> ollama_embeddings(const Service& service, std::string_view body) {
  SLLM_TRY(const auto r, parse_request<ModelRequest>(body, [](Fields& f, ModelRequest& request) {
             request.model = without_tag(f.text("model"));
             request.texts.emplace_back(f.text("prompt"));
             f.ignore({"keep_alive", "options"});
           }));
  SLLM_TRY(EmbeddingJob job, service.embed(r.model, r.texts));
  job.reply = [](const std::vector<std::vector<float>>& vectors) -> Json {
    return {{"embedding", vectors[0]}};
  };
  return job;
}

Json ollama_tags(const Service& service) { return listed(service, "modified_at", utc_now()); }

// The model stays loaded as long as the server runs.
Json ollama_running(const Service& service) {
  return listed(service, "expires_at", "2300-01-01T00:00:00Z");
}

ApiResult<Json> ollama_show(const Service& service, std::string_view body) {
  SLLM_TRY(const auto r, parse_request<ModelRequest>(body, [](Fields& f, ModelRequest& request) {
             request.model = without_tag(f.text("model", f.text("name")));
             f.boolean("verbose", false);
             f.ignore({"system", "template", "options"});
           }));
  SLLM_TRY([[maybe_unused]] const auto name, service.resolve(r.model));
  const ModelSource& source = service.engine().source();
  const std::string architecture = architecture_of(service);
  Json info{{"general.architecture", architecture}};
  info[architecture + ".context_length"] = service.engine().options().context;
  info[architecture + ".embedding_length"] = service.engine().config().D;
  const auto described = source.description();
  const auto licence = described.find("license");
  return Json{{"modelfile", ""},
              {"license", licence == described.end() ? "" : licence->second},
              {"template", source.chat_template()},
              {"details", details(service, contents_of(source))},
              {"model_info", std::move(info)},
              {"capabilities", Json::array({"completion", "tools"})},
              {"modified_at", utc_now()}};
}

}  // namespace sllm
