// sllm bench: how fast a model reads, writes alone and writes for many, in one mode.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "infer/machine_peaks.h"
#include "infer/memory.h"

namespace sllm::cli {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

struct Flags {
  ModelFlags model;
  int64_t prompt = 512, gen = 128, depth = 1, repeat = 3;
  std::vector<int64_t> batch = {1};
  bool limits = false;
};

// Random tokens: what they say does not change what they cost.
std::vector<TokenId> random_prompt(const Engine& engine, int64_t n, uint64_t stream) {
  Rng rng(1, stream);
  std::vector<TokenId> ids;
  for (int64_t i = 0; i < n; ++i)
    ids.push_back(static_cast<TokenId>(rng.below(static_cast<uint64_t>(engine.config().V))));
  return ids;
}

// Prompt tokens per second until the first token of the answer is known.
Result<double> measure_prefill(Engine& engine, int64_t prompt) {
  GenerateRequest request;
  request.prompt = random_prompt(engine, prompt, 0);
  request.max_tokens = 1;
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  SLLM_TRY(const auto result, engine.generate(std::move(request)));
  return static_cast<double>(prompt) / result.seconds_to_first;
}

// Tokens per second of n answers written together, after prompts of `depth` tokens, between the
// moment all have begun and the moment the first is done.
Result<double> measure_decode(Engine& engine, int64_t n, int64_t depth, int64_t gen) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    int64_t begun = 0, done = 0, tokens = 0;
    Clock::time_point start, end;
    std::string error;
  };
  auto shared = std::make_shared<Shared>();
  std::vector<Engine::RequestId> ids;
  for (int64_t i = 0; i < n; ++i) {
    GenerateRequest request;
    request.prompt = random_prompt(engine, depth, static_cast<uint64_t>(i));
    request.max_tokens = gen + 1;
    request.ignore_eos = true;
    request.sampling.temperature = 0;
    const auto on_event = [shared, n, first = true](const GenerateEvent& event) mutable {
      std::lock_guard lock(shared->mutex);
      Shared& s = *shared;
      if (std::exchange(first, false)) {
        if (++s.begun == n) s.start = Clock::now();
      } else if (s.begun == n && s.done == 0) {
        s.tokens += static_cast<int64_t>(event.tokens.size());
        s.end = Clock::now();
      }
      if (!event.error.empty()) s.error = event.error;
      if (event.done) ++s.done, s.changed.notify_all();
    };
    SLLM_TRY(const auto id, engine.submit(std::move(request), on_event));
    ids.push_back(id);
  }
  std::unique_lock lock(shared->mutex);
  // Signals cannot notify; they are looked for twenty times a second.
  for (bool cancelled = false; shared->done < n;) {
    shared->changed.wait_for(lock, std::chrono::milliseconds(50));
    if (!stop_requested() || std::exchange(cancelled, true)) continue;
    lock.unlock();  // the engine's thread may be about to report
    for (const auto id : ids) engine.cancel(id);
    lock.lock();
  }
  SLLM_OK(check_stop());
  if (!shared->error.empty()) return make_error(ErrorCode::kInternal, "bench: {}", shared->error);
  return static_cast<double>(shared->tokens) /
         std::chrono::duration<double>(shared->end - shared->start).count();
}

// The best of several: noise on a shared machine only ever slows down.
template <class Measure>
Result<double> best_of(int64_t repeat, Measure measure) {
  double best = 0;
  for (int64_t i = 0; i < repeat; ++i) {
    SLLM_TRY(const double once, measure());
    SLLM_OK(check_stop());
    best = std::max(best, once);
  }
  return best;
}

// Weights of one token: all matrices for arithmetic and traffic, the embedding's rows aside.
struct Work {
  double multiplications = 0, bytes = 0;
};
Work work_per_token(const ModelSource& source) {
  Work work;
  const bool tied = source.config().tied_embeddings;
  for (const TensorInfo& t : source.tensors()) {
    if (t.shape.size() != 2 || (!tied && t.name == "model.embed_tokens.weight") ||
        t.name == "model.embed_tokens_per_layer.weight")
      continue;
    const int64_t n = t.shape[0] * t.shape[1];
    work.bytes += static_cast<double>(bytes_of(t.dtype, n));
    // The head runs for the last token of a prompt only.
    const bool head = t.name == "lm_head.weight" || t.name == "model.embed_tokens.weight";
    if (!head) work.multiplications += static_cast<double>(n);
  }
  return work;
}

nlohmann::ordered_json limits_json(const Engine& engine, const std::string& mode, double prefill,
                                   double decode) {
  const int threads = engine.options().threads > 0 ? engine.options().threads : usable_cores();
  const MachinePeaks peaks = measure_machine_peaks(threads);
  const Work work = work_per_token(engine.source());
  const double peak = mode == "exact"  ? peaks.f32_gflops
                      : mode == "bf16" ? peaks.bf16_gflops.value_or(peaks.f32_gflops)
                                       : peaks.int8_gops.value_or(peaks.f32_gflops);
  nlohmann::ordered_json out = {{"f32_gflops", peaks.f32_gflops}};
  if (peaks.bf16_gflops) out["bf16_gflops"] = *peaks.bf16_gflops;
  if (peaks.int8_gops) out["int8_gops"] = *peaks.int8_gops;
  out["read_gb_s"] = peaks.read_gb_s;
  out["prefill_share_of_arithmetic"] = 2 * work.multiplications * prefill / 1e9 / peak;
  out["decode_share_of_memory"] = work.bytes * decode / 1e9 / peaks.read_gb_s;
  return out;
}

Status run(const Flags& flags, const Globals& globals) {
  EngineOptions options;
  options.prefix_cache = 0;  // every prompt is read
  options.lookup = 0;        // every token is computed alone
  options.max_sequences = *std::max_element(flags.batch.begin(), flags.batch.end());
  ModelFlags model = flags.model;
  const int64_t needed = std::max(flags.prompt, flags.depth) + flags.gen;
  if (model.context == 0) model.context = needed + 8;
  const auto start = Clock::now();
  SLLM_TRY(const auto engine, open_engine(model, options));
  const int64_t room = std::min(engine->options().context, engine->config().max_context);
  if (needed > room)
    return with_hint(
        usage_error("--prompt {}, --depth {} and --gen {} need {} tokens, the context has {}",
                    flags.prompt, flags.depth, flags.gen, needed, room),
        "Ask for fewer tokens");
  SLLM_TRY([[maybe_unused]] const double warm, measure_prefill(*engine, 1));  // prepares weights
  const double load_ms = 1000 * since(start);

  SLLM_TRY(const double prefill,
           best_of(flags.repeat, [&] { return measure_prefill(*engine, flags.prompt); }));
  auto batch = nlohmann::ordered_json::array();
  double decode = 0;
  for (int64_t n : flags.batch) {
    SLLM_TRY(const double rate, best_of(flags.repeat, [&] {
               return measure_decode(*engine, n, flags.depth, flags.gen);
             }));
    batch.push_back({{"n", n}, {"decode_tok_s", rate}});
    if (n == 1 || decode == 0) decode = rate;
  }
  nlohmann::ordered_json document = {
      {"model", model.model},
      {"mode", model.mode},
      {"threads", engine->options().threads > 0 ? engine->options().threads : usable_cores()},
      {"prompt", flags.prompt},
      {"gen", flags.gen},
      {"depth", flags.depth},
      {"prefill_tok_s", prefill},
      {"decode_tok_s", decode},
      {"batch", batch},
      {"load_ms", load_ms},
      {"peak_rss_mb", static_cast<double>(peak_resident_memory()) / 1e6}};
  if (flags.limits) document["limits"] = limits_json(*engine, model.mode, prefill, decode);
  if (globals.json) {
    print_json("bench", document);
    return ok();
  }
  std::cout << fmt::format("{} ({}, {} threads)\n", model.model, model.mode,
                           document["threads"].get<int>());
  std::cout << fmt::format("reads   {:8.1f} tokens/s ({} tokens)\n", prefill, flags.prompt);
  for (const auto& b : batch)
    std::cout << fmt::format("writes  {:8.1f} tokens/s ({} together)\n",
                             b["decode_tok_s"].get<double>(), b["n"].get<int64_t>());
  std::cout << fmt::format("loads in {:.0f} ms, takes {:.0f} MB at most\n", load_ms,
                           document["peak_rss_mb"].get<double>());
  if (flags.limits)
    for (const auto& [key, value] : document["limits"].items())
      std::cout << fmt::format("{:28} {:10.3f}\n", key, value.get<double>());
  return ok();
}

}  // namespace

Action declare_bench(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  add_model_flags(app, flags->model);
  app.add_option("--prompt", flags->prompt, "Tokens to read")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--gen", flags->gen, "Tokens to write")->check(positive())->capture_default_str();
  app.add_option("--depth", flags->depth, "Tokens before the written ones")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--batch", flags->batch, "Answers written together: 1,2,4,8")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  app.add_option("--repeat", flags->repeat, "Measure this often, report the best")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--limits", flags->limits, "Measure the machine's peaks and the shares of them");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
