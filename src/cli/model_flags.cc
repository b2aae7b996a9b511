// Model flags and streamed answers, shared by the commands that run a model.
#include "cli/model_flags.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "hub/resolve.h"

namespace sllm::cli {

void add_model_flags(CLI::App& app, ModelFlags& flags, std::string default_mode) {
  flags.mode = std::move(default_mode);
  app.add_option("-m,--model", flags.model, "GGUF file, Hugging Face folder or name")->required();
  app.add_option("--mode", flags.mode, "Numerics: exact, bf16 or fast")
      ->check(CLI::IsMember({"exact", "bf16", "fast"}))
      ->capture_default_str();
  app.add_option("-t,--threads", flags.threads, "Threads; 0: all usable cores")
      ->check(CLI::Range(0, 1024));
  app.add_option("-c,--context", flags.context, "Context in tokens; 0: what fits")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24));
  add_kv_flag(app, flags.kv);
  app.add_option("--adapter", flags.adapter,
                 "LoRA adapter: a PEFT or mlx-lm folder, or a GGUF LoRA");
}

void add_kv_flag(CLI::App& app, std::optional<DType>& kv) {
  static const std::map<std::string, DType> kTypes{
      {"f32", DType::kF32}, {"f16", DType::kF16}, {"bf16", DType::kBF16}, {"q8_0", DType::kQ8_0}};
  app.add_option_function<std::string>(
         "--kv-cache", [&kv](const std::string& type) { kv = kTypes.at(type); },
         "How keys and values are kept: f32, f16, bf16 or q8_0 (half of f16's memory); default: as "
         "the mode has it")
      ->check(CLI::IsMember(kTypes));
}

void add_guessing_flags(CLI::App& app, EngineOptions& options) {
  app.add_option("--lookup", options.lookup,
                 "Tokens guessed at once where the answer repeats the text so far; 0: none")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  app.add_option("--draft", options.draft,
                 "Smaller model of the same vocabulary that guesses elsewhere; the answers are "
                 "the same without");
  app.add_option("--draft-tokens", options.draft_tokens,
                 "Tokens that the draft model guesses at once, at most; 0: none")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
}

Status resolve_draft(EngineOptions& options) {
  if (options.draft.empty()) return ok();
  SLLM_TRY(const fs::path path, resolve_model(options.draft));
  options.draft = path.string();
  return ok();
}

Result<std::shared_ptr<Engine>> open_engine(const ModelFlags& flags, EngineOptions extra) {
  SLLM_TRY(const fs::path path, resolve_model(flags.model));
  SLLM_OK(resolve_draft(extra));
  extra.numerics = flags.mode == "exact"  ? Numerics::kExact
                   : flags.mode == "bf16" ? Numerics::kBf16
                                          : Numerics::kFast;
  extra.threads = flags.threads;
  extra.context = flags.context;
  extra.kv = flags.kv;
  if (!flags.adapter.empty()) extra.adapters = {flags.adapter}, extra.adapted = true;
  return Engine::open(path, std::move(extra));
}

void add_sampling_flags(CLI::App& app, SamplingOptions& s) {
  app.add_option("--temp", s.temperature, "Temperature; 0: always the likeliest token")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--top-k", s.top_k, "Only the k likeliest tokens; 0: all")->check(not_negative());
  app.add_option("--top-p", s.top_p, "Only the likeliest tokens whose mass reaches p")
      ->check(CLI::Range(0.0f, 1.0f))
      ->capture_default_str();
  app.add_option("--min-p", s.min_p, "Only tokens at least this likely beside the likeliest")
      ->check(CLI::Range(0.0f, 1.0f));
  app.add_option("--repeat-penalty", s.repetition_penalty, "Divide repeated tokens' logits by this")
      ->check(positive());
  app.add_option("--seed", s.seed, "The same seed gives the same answer")->capture_default_str();
}

Result<GenerateResult> stream(Engine& engine, GenerateRequest request,
                              const std::function<void(std::string_view)>& show) {
  using Clock = std::chrono::steady_clock;
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable arrived;
    std::deque<GenerateEvent> events;
  };
  auto mailbox = std::make_shared<Mailbox>();
  const auto start = Clock::now();
  const auto seconds = [start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  SLLM_TRY(const auto id, engine.submit(std::move(request), [mailbox](const GenerateEvent& event) {
    std::lock_guard lock(mailbox->mutex);
    mailbox->events.push_back(event);
    mailbox->arrived.notify_one();
  }));
  GenerateResult result;
  for (bool cancelled = false;;) {
    GenerateEvent event;
    {
      std::unique_lock lock(mailbox->mutex);
      // Signals cannot notify; they are looked for twenty times a second.
      mailbox->arrived.wait_for(lock, std::chrono::milliseconds(50),
                                [&] { return !mailbox->events.empty(); });
      if (stop_requested() && !std::exchange(cancelled, true)) engine.cancel(id);
      if (mailbox->events.empty()) continue;
      event = std::move(mailbox->events.front());
      mailbox->events.pop_front();
    }
    const auto extend = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    if (result.tokens.empty() && !event.tokens.empty()) result.seconds_to_first = seconds();
    result.text += event.text;
    extend(result.tokens, event.tokens);
    extend(result.logprobs, event.logprobs);
    extend(result.prompt_logprobs, event.prompt_logprobs);
    if (!event.text.empty()) show(event.text);
    if (!event.done) continue;
    if (event.reason == FinishReason::kError)
      return make_error(ErrorCode::kInternal, "generation failed: {}", event.error);
    result.reason = event.reason;
    result.seconds = seconds();
    return result;
  }
}

const char* name(FinishReason reason) {
  static constexpr const char* kNames[] = {"stop", "length", "cancelled", "error"};
  return kNames[static_cast<int>(reason)];
}

}  // namespace sllm::cli
