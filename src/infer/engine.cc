// Opening an engine: model, tokenizer, template, adapters, and how much context fits in memory.
#include "infer/engine.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/checked.h"
#include "cpu/cpu_backend.h"
#include "infer/batch_engine.h"
#include "infer/memory.h"
#include "infer/state_type.h"
#include "io/adapter.h"
#include "models/registry.h"

namespace sllm {
namespace {

constexpr int64_t kLeastContext = 512;

int64_t weight_bytes(const ModelSource& source) {
  int64_t bytes = 0;
  for (const TensorInfo& t : source.tensors()) {
    int64_t n = 1;
    for (int64_t d : t.shape) n *= d;
    bytes += bytes_of(t.dtype, n);
  }
  return bytes;
}

// As asked for, or as the numerics have it; the latter also for a draft model that cannot.
DType kv_of(const EngineOptions& options, const ModelSource& source) {
  const bool asked = options.kv && StatePool::can_hold(source.config(), *options.kv);
  return asked ? *options.kv : state_type(options.numerics, source);
}

// Sets options.context and returns how many tokens fit into one state pool. A quarter of the memory
// that the weights and a backend's copy of them leave goes to each of the two pools (answers,
// scoring). A draft model, if there is one, keeps states of the answers beside them.
Result<int64_t> fit_context(const ModelSource& source, const ModelSource* draft,
                            EngineOptions& options) {
  const ModelConfig& config = source.config();
  // Fixed states: the present one, the next, and the one to come back to when a step fails.
  int64_t left = available_memory() - 2 * weight_bytes(source) -
                 3 * options.max_sequences * StatePool::bytes_per_sequence(config);
  const auto token_bytes = [&](const ModelSource& s) {
    return StatePool::bytes_per_token(s.config(), kv_of(options, s));
  };
  int64_t per_token = token_bytes(source);
  if (draft) left -= 2 * weight_bytes(*draft), per_token += token_bytes(*draft);
  const int64_t fits =
      std::max<int64_t>(left, 0) / 4 / per_token / KvView::kBlockTokens * KvView::kBlockTokens;
  const int64_t wanted = options.context > 0 ? options.context : config.max_context;
  const int64_t least = options.context > 0 ? wanted : std::min(wanted, kLeastContext);
  if (fits < least)
    return with_hint(
        make_error(ErrorCode::kResource, "{}: a context of {} tokens does not fit in memory, {} do",
                   source.path().string(), least, fits),
        "Use a smaller model or free some memory");
  options.context = std::min(wanted, fits);
  if (options.context < wanted)
    log(LogLevel::kInfo,
        fmt::format("context cut from {} to {} tokens: more does not fit in memory", wanted,
                    options.context));
  if (options.context > config.max_context)
    log(LogLevel::kWarning, fmt::format("the context of {} tokens is beyond the model's own {}",
                                        options.context, config.max_context));
  return fits;
}

Status check_draft(const EngineParts& parts) {
  SLLM_OK(check_generates(parts.draft->config()).context(parts.draft->path().string()));
  for (const ModelSource* m : {parts.source.get(), parts.draft.get()})
    if (m->config().recurrent())
      return with_hint(usage_error("{}: a model with recurrent layers cannot take a wrong token "
                                   "back, so it neither drafts nor has drafts made for it",
                                   m->path().string()),
                       "Leave the draft model out");
  return check_same_vocabulary(*parts.tokenizer, *parts.draft_tokenizer)
      .context(parts.draft->path().string());
}

}  // namespace

// Halves keep the error of rounding below that of int8 activations at half the traffic of f32;
// exact rounds nothing, nor does fast where every matrix is F32.
DType state_type(Numerics numerics, const ModelSource& source) {
  const auto plain = [](const TensorInfo& t) {
    return t.shape.size() < 2 || t.dtype == DType::kF32;
  };
  switch (numerics) {
    case Numerics::kExact:
      return DType::kF32;
    case Numerics::kBf16:
      return DType::kBF16;
    case Numerics::kFast:
      return std::ranges::all_of(source.tensors(), plain) ? DType::kF32 : DType::kF16;
  }
  return DType::kF32;
}

Result<DType> state_type(std::optional<DType> asked, Numerics numerics, const ModelSource& source) {
  if (!asked) return state_type(numerics, source);
  if (StatePool::can_hold(source.config(), *asked)) return *asked;
  return with_hint(
      usage_error("{}: keys and values cannot be stored as {}, for its heads are not a multiple of "
                  "{} wide",
                  source.path().string(), info(*asked).name, info(*asked).block_elements),
      "Leave --kv-cache out");
}

Result<std::shared_ptr<Engine>> Engine::open(const fs::path& path, EngineOptions options) {
  SLLM_TRY(auto source, open_model(path));
  SLLM_TRY(auto tokenizer, Tokenizer::of(*source));
  SLLM_TRY(auto chat_template, ChatTemplate::of(*source, *tokenizer));
  EngineParts parts{source, tokenizer, chat_template, nullptr};
  if (!options.draft.empty()) {
    SLLM_TRY(parts.draft, open_model(options.draft));
    SLLM_TRY(parts.draft_tokenizer, Tokenizer::of(*parts.draft));
  }
  return create(std::move(parts), std::move(options));
}

Result<std::shared_ptr<Engine>> Engine::create(EngineParts parts, EngineOptions options) {
  if (options.max_sequences < 1 || options.prefill_chunk < 1 || options.queue_limit < 0)
    return usage_error("engine: max_sequences {} and prefill_chunk {} must be at least 1",
                       options.max_sequences, options.prefill_chunk);
  SLLM_CHECK(!options.adapted || options.adapters.size() == 1,
             "engine: {} adapters, and one is "
             "everybody's",
             options.adapters.size());
  BatchEngine::Setup setup;
  SLLM_TRY(setup.model, Model::load(parts.source));
  SLLM_TRY(setup.pooler, Pooler::load(*parts.source));
  for (const std::string& folder : options.adapters) {
    const fs::path path(folder);
    SLLM_TRY(const LoraAdapter adapter, read_adapter(path, parts.source->config()));
    const std::string name = model_name(path);
    if (setup.adapters.contains(name)) return usage_error("two adapters are called \"{}\"", name);
    SLLM_TRY(setup.adapters[name], setup.model->bind(adapter).context(folder));
  }
  if (parts.draft) SLLM_OK(check_draft(parts));
  SLLM_TRY(setup.kv, state_type(options.kv, options.numerics, *parts.source));
  SLLM_TRY(setup.scoring_tokens, fit_context(*parts.source, parts.draft.get(), options));
  setup.pool_tokens =
      std::min(setup.scoring_tokens,
               round_up(options.context, KvView::kBlockTokens) * options.max_sequences);
  if (!parts.backend) parts.backend = make_cpu_backend(options.threads);
  if (parts.draft && options.draft_tokens > 0) {
    SLLM_TRY(const auto draft, Model::load(parts.draft));
    setup.draft = std::make_unique<DraftModel>(DraftModel::Setup{
        draft, parts.backend, options.numerics, kv_of(options, *parts.draft), setup.pool_tokens,
        std::min(options.prefix_cache, options.context), parts.source->config().V});
  }
  setup.parts = std::move(parts);
  setup.options = std::move(options);
  return std::shared_ptr<Engine>(std::make_shared<BatchEngine>(std::move(setup)));
}

Result<GenerateResult> Engine::generate(GenerateRequest request) {
  using Clock = std::chrono::steady_clock;
  struct Waiter {
    std::mutex mutex;
    std::condition_variable changed;
    GenerateResult result;
    std::string error;
    bool done = false;
  };
  // Shared with the callback, which may outlive this call's stack when submit's engine goes away.
  auto waiter = std::make_shared<Waiter>();
  const auto start = Clock::now();
  const auto seconds = [start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto on_event = [waiter, seconds](const GenerateEvent& e) {
    std::lock_guard lock(waiter->mutex);
    GenerateResult& r = waiter->result;
    const auto extend = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    if (r.tokens.empty() && !e.tokens.empty()) r.seconds_to_first = seconds();
    r.text += e.text;
    extend(r.tokens, e.tokens);
    extend(r.logprobs, e.logprobs);
    extend(r.prompt_logprobs, e.prompt_logprobs);
    if (!e.done) return;
    r.reason = e.reason;
    r.seconds = seconds();
    waiter->error = e.error;
    waiter->done = true;
    waiter->changed.notify_all();
  };
  const auto id = submit(std::move(request), on_event);
  if (!id.ok()) return id.error();
  std::unique_lock lock(waiter->mutex);
  // Signals cannot notify; they are looked for twenty times a second.
  for (bool cancelled = false; !waiter->done;) {
    if (stop_requested() && !std::exchange(cancelled, true)) {
      lock.unlock();  // the engine's thread may be about to report
      cancel(*id);
      lock.lock();
    }
    waiter->changed.wait_for(lock, std::chrono::milliseconds(50), [&] { return waiter->done; });
  }
  if (const int signal = stop_requested();
      signal && waiter->result.reason == FinishReason::kCancelled)
    return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while answering");
  if (waiter->result.reason == FinishReason::kError)
    return make_error(ErrorCode::kInternal, "generation failed: {}", waiter->error);
  return std::move(waiter->result);
}

Result<GenerateResult> Engine::chat(const Conversation& messages, GenerateRequest request) {
  RenderOptions options;
  options.add_generation_prompt = true;
  SLLM_TRY(auto encoded, encode_conversation(*chat_template(), *tokenizer(), messages, options));
  request.prompt = std::move(encoded.ids);
  return generate(std::move(request));
}

Result<std::vector<float>> Engine::logits(const std::vector<TokenId>& ids,
                                          const std::string& adapter) {
  SLLM_TRY(auto all, logits(std::vector<std::vector<TokenId>>{ids}, adapter));
  return std::move(all.front());
}

}  // namespace sllm
