// Bodies to jobs.
#include "serve/service.h"

#include <openssl/evp.h>

#include <bit>
#include <chrono>
#include <cstring>
#include <random>

#include "tools/call_grammar.h"

namespace sllm {
namespace {

int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

uint64_t random_seed() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

std::string base64(const std::vector<float>& vector) {
  static_assert(std::endian::native == std::endian::little,
                "the API's base64 is little-endian f32");
  std::string out(4 * ((vector.size() * sizeof(float) + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(vector.data()),
                                     static_cast<int>(vector.size() * sizeof(float)));
  out.resize(static_cast<size_t>(length));
  return out;
}

ApiError too_long(int64_t prompt, int64_t context) {
  return {.status = 400,
          .message = fmt::format("the prompt has {} tokens, but this server's context is {} tokens "
                                 "and at least one must be left for the answer",
                                 prompt, context),
          .param = "messages",
          .code = "context_length_exceeded"};
}

bool speaks_of_calls(const Message& message) {
  return message.role == "tool" ||
         (message.extra.is_object() && message.extra.contains("tool_calls"));
}

}  // namespace

std::string make_id(std::string_view prefix) {
  return fmt::format("{}{:016x}{:08x}", prefix, random_seed(), random_seed() & 0xffffffffu);
}

Service::Service(ServiceOptions options, std::shared_ptr<Engine> engine,
                 std::shared_ptr<const GroundedAnswerer> answerer)
    : options_(std::move(options)),
      engine_(std::move(engine)),
      answerer_(std::move(answerer)),
      started_(now_seconds()) {}

Json Service::describe(const std::string& id, bool adapter) const {
  Json json{{"id", id}, {"object", "model"}, {"created", started_}, {"owned_by", "sllm"}};
  json["context_length"] = engine_->options().context;
  json["sllm"] = {{"base", options_.model_name},
                  {"adapter", adapter ? Json(id) : Json()},
                  {"numerics", std::string(name(engine_->options().numerics))},
                  {"ground", answerer_ != nullptr}};
  return json;
}

Json Service::models() const {
  Json data = Json::array({describe(options_.model_name, false)});
  for (const auto& [id, adapter] : options_.adapters) data.push_back(describe(id, true));
  return {{"object", "list"}, {"data", std::move(data)}};
}

std::vector<std::string> Service::names() const {
  std::vector<std::string> all = {options_.model_name};
  for (const auto& [id, adapter] : options_.adapters) all.push_back(id);
  return all;
}

ApiResult<Service::Name> Service::resolve(const std::string& model) const {
  if (model.empty() || model == options_.model_name) return Name{options_.model_name, ""};
  if (const auto it = options_.adapters.find(model); it != options_.adapters.end())
    return Name{it->first, it->second};
  const std::string known = fmt::format("{}", fmt::join(names(), ", "));
  return ApiError{.status = 404,
                  .message = fmt::format("the model \"{}\" is not served here; there is: {}",
                                         model.substr(0, 128), known),
                  .param = "model",
                  .code = "model_not_found"};
}

ApiResult<Json> Service::model(std::string_view id) const {
  SLLM_TRY(const Name resolved, resolve(std::string(id)));
  return describe(resolved.shown, !resolved.adapter.empty());
}

ApiResult<GenerateRequest> Service::request(const GenerationParams& params,
                                            std::vector<TokenId> prompt,
                                            const std::string& adapter) const {
  const int64_t context = engine_->options().context;
  const auto length = static_cast<int64_t>(prompt.size());
  if (length == 0) return bad_field("prompt", "the prompt is empty once tokenized");
  if (length >= context) return too_long(length, context);
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens =
      std::clamp<int64_t>(params.max_tokens.value_or(context), 0, context - length);
  request.sampling = params.sampling;
  request.sampling.seed = params.seed.value_or(random_seed());
  request.stop = params.stop;
  request.ignore_eos = params.ignore_eos;
  request.top_logprobs = params.top_logprobs;
  request.grammar = params.grammar;
  request.adapter = adapter;
  return request;
}

const ToolTemplate& Service::tool_template() const {
  std::call_once(tool_template_made_,
                 [this] { tool_template_.emplace(*engine_->chat_template()); });
  return *tool_template_;
}

std::shared_ptr<const CallSyntax> Service::call_syntax(const ToolUse& use,
                                                       std::span<const TokenId> prompt) const {
  CallSyntax syntax;
  syntax.form = &tool_template().form();
  syntax.think = tool_template().think();
  syntax.use = use;
  if (syntax.think) {
    constexpr size_t kEnough = 16;  // tokens of a mark, and white space behind it
    const std::string end =
        engine_->tokenizer()->decode(prompt.last(std::min(prompt.size(), kEnough)));
    syntax.thinks_first = std::string_view(end)
                              .substr(0, end.find_last_not_of(" \n") + 1)
                              .ends_with(syntax.think->begin);
  }
  return std::make_shared<const CallSyntax>(std::move(syntax));
}

ApiResult<std::shared_ptr<const Grammar>> Service::grammar_of(const CallSyntax& calls,
                                                              const Grammar* form) {
  const bool either = form && calls.use.choice == ToolUse::Choice::kAuto;
  CallSyntax syntax = calls;
  if (either) syntax.use.choice = ToolUse::Choice::kRequired;  // what is not a call has the form
  auto grammar = call_grammar(syntax);
  if (!grammar.ok()) return bad_field("tools", "tools: " + grammar.error().message);
  return either ? Grammar::either(**grammar, *form) : *grammar;
}

ApiResult<Job> Service::converse(
    const GenerationParams& params, const Conversation& messages,
    const nlohmann::ordered_json& kwargs, const char* id_prefix,
    const std::function<std::unique_ptr<Reply>(ReplyHead)>& make_reply) const {
  SLLM_TRY(const Name model, resolve(params.model));
  RenderOptions render;
  render.add_generation_prompt = true;
  render.kwargs = kwargs;
  const bool tools = !params.tools.none();
  ToolTemplate::Prompt prompt{messages, nullptr};
  if (tools || std::ranges::any_of(messages, speaks_of_calls))
    prompt = tool_template().prompt(messages, tools ? params.tools.tools : std::vector<Tool>{});
  render.tools = prompt.tools;
  auto encoded = encode_conversation(*engine_->chat_template(), *engine_->tokenizer(),
                                     prompt.messages, render);
  if (!encoded.ok()) {
    ApiError error = to_api_error(encoded.error());
    error.param = "messages";
    if (error.status == 400) error.status = 422;  // well-formed, but the template does not take it
    return error;
  }
  ReplyHead head;
  head.id = make_id(id_prefix);
  head.model = model.shown;
  head.created = now_seconds();
  head.tokenizer = engine_->tokenizer();
  head.choices = static_cast<size_t>(params.n);
  head.prompt_tokens = static_cast<int64_t>(encoded->ids.size());
  head.logprobs = params.top_logprobs >= 0;
  auto grammar = params.grammar;
  if (tools) {
    head.calls = call_syntax(params.tools, encoded->ids);
    SLLM_TRY(grammar, grammar_of(*head.calls, grammar.get()));
  }
  SLLM_TRY(GenerateRequest one, request(params, std::move(encoded->ids), model.adapter));
  one.grammar = std::move(grammar);
  Job job;
  for (int i = 0; i < params.n; ++i) {
    job.choices.push_back(one);
    ++one.sampling.seed;
  }
  job.reply = make_reply(std::move(head));
  job.stream = params.stream;
  job.include_usage = params.include_usage;
  return job;
}

ApiResult<GroundedPrompt> Service::ground(std::string_view question,
                                          GenerationParams& params) const {
  if (!answerer_)
    return ApiError{.status = 400,
                    .message = "this server has no document index; start it with --index FILE",
                    .param = "sllm.ground",
                    .code = "no_index"};
  auto prompt = answerer_->prompt(question);
  if (!prompt.ok()) return to_api_error(prompt.error());
  if (!params.temperature_given) params.sampling.temperature = 0;
  if (!params.max_tokens) params.max_tokens = GroundOptions{}.max_tokens;
  return std::move(prompt).value();
}

ApiResult<Job> Service::chat(std::string_view body) const {
  SLLM_TRY(ChatRequest r, parse_chat_request(body, vocab()));
  std::optional<GroundedPrompt> grounding;
  if (r.ground) {
    const Message& last = r.messages.back();
    if (last.role != "user" || last.content.empty())
      return bad_field("messages", "a grounded answer needs a last message from the user");
    SLLM_TRY(grounding, ground(last.content, r));
    r.messages = grounding->messages;
  }
  std::optional<std::string> answered;
  if (grounding && !grounding->supported) {
    answered = answerer_->check(*grounding, "").text;
    if (r.messages.empty()) r.messages = {{"user", grounding->question, {}}};
  }
  auto job = converse(r, r.messages, r.template_kwargs, "chatcmpl-", [&](ReplyHead head) {
    return make_chat_reply(std::move(head), std::move(grounding), answerer_);
  });
  if (job.ok()) job->answered = std::move(answered);
  return job;
}

ApiResult<Job> Service::ask(std::string_view body) const {
  SLLM_TRY(AskRequest r, parse_ask_request(body));
  SLLM_TRY(GroundedPrompt grounding, ground(r.question, r));
  std::optional<std::string> answered;
  if (!grounding.supported) answered = answerer_->check(grounding, "").text;
  Conversation messages = grounding.messages;
  if (messages.empty()) messages = {{"user", grounding.question, {}}};
  auto job = converse(r, messages, {}, "ask-", [&](ReplyHead head) {
    return make_ask_reply(std::move(head), std::move(grounding), answerer_);
  });
  if (job.ok()) job->answered = std::move(answered);
  return job;
}

ApiResult<Job> Service::completion(std::string_view body) const {
  SLLM_TRY(const CompletionRequest r, parse_completion_request(body, vocab()));
  SLLM_TRY(const Name model, resolve(r.model));
  const Tokenizer& tokenizer = *engine_->tokenizer();
  ReplyHead head;
  head.id = make_id("cmpl-");
  head.model = model.shown;
  head.created = now_seconds();
  head.tokenizer = engine_->tokenizer();
  head.choices = r.prompts.size() * static_cast<size_t>(r.n);
  head.logprobs = r.top_logprobs >= 0;
  std::vector<EchoedPrompt> echo;
  Job job;
  for (const Prompt& prompt : r.prompts) {
    EchoedPrompt echoed;
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      echoed.tokens = tokenizer.encode(*text, {.add_special = true});
      echoed.text = *text;
    } else {
      echoed.tokens = std::get<std::vector<TokenId>>(prompt);
      echoed.text = tokenizer.decode(echoed.tokens);
    }
    head.prompt_tokens += static_cast<int64_t>(echoed.tokens.size());
    auto one = request(r, echoed.tokens, model.adapter);
    if (!one.ok()) {
      ApiError error = std::move(one).error();
      error.param = "prompt";
      return error;
    }
    one->echo_logprobs = r.echo && head.logprobs;
    for (int i = 0; i < r.n; ++i) {
      job.choices.push_back(*one);
      ++one->sampling.seed;
      if (r.echo) echo.push_back(echoed);
    }
  }
  job.reply = make_completion_reply(std::move(head), std::move(echo));
  job.stream = r.stream;
  job.include_usage = r.include_usage;
  return job;
}

ApiResult<EmbeddingJob> Service::embed(const std::string& name,
                                       const std::vector<Prompt>& inputs) const {
  SLLM_TRY(const Name model, resolve(name));
  if (!model.adapter.empty())
    return bad_field("model",
                     "embeddings come from the base model; name it instead of the adapter");
  EmbeddingJob job;
  job.model = model.shown;
  const int64_t context = engine_->options().context;
  for (const Prompt& input : inputs) {
    const auto* text = std::get_if<std::string>(&input);
    auto ids = text ? engine_->tokenizer()->encode(*text, {.add_special = true})
                    : std::get<std::vector<TokenId>>(input);
    if (ids.empty()) return bad_field("input", "an input is empty once tokenized");
    if (static_cast<int64_t>(ids.size()) > context) {
      ApiError error = too_long(static_cast<int64_t>(ids.size()), context);
      error.param = "input";
      return error;
    }
    job.inputs.push_back(std::move(ids));
  }
  return job;
}

ApiResult<EmbeddingJob> Service::embeddings(std::string_view body) const {
  SLLM_TRY(const EmbeddingRequest r, parse_embedding_request(body, vocab()));
  SLLM_TRY(EmbeddingJob job, embed(r.model, r.inputs));
  std::vector<int64_t> lengths;
  for (const auto& ids : job.inputs) lengths.push_back(std::ssize(ids));
  job.reply = [model = job.model, as_base64 = r.base64,
               lengths](const std::vector<std::vector<float>>& vectors) -> Json {
    Json data = Json::array();
    int64_t tokens = 0;
    for (size_t i = 0; i < vectors.size(); ++i) {
      tokens += lengths[i];
      Json item{{"object", "embedding"}, {"index", i}};
      item["embedding"] = as_base64 ? Json(base64(vectors[i])) : Json(vectors[i]);
      data.push_back(std::move(item));
    }
    return {{"object", "list"},
            {"data", std::move(data)},
            {"model", model},
            {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
  };
  return job;
}

}  // namespace sllm
