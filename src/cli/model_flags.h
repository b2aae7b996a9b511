// The flags of every command that runs a model, and how their values become an engine.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "infer/engine.h"

namespace sllm::cli {

struct ModelFlags {
  std::string model;
  std::string mode = "fast";
  int threads = 0;
  int64_t context = 0;
  std::string adapter;      // a PEFT folder, or ""
  std::optional<DType> kv;  // EngineOptions::kv
};
// -m/--model, --mode, --threads, --context, --kv-cache, --adapter.
void add_model_flags(CLI::App& app, ModelFlags& flags, std::string default_mode = "fast");
// --kv-cache alone.
void add_kv_flag(CLI::App& app, std::optional<DType>& kv);
// --lookup, --draft, --draft-tokens.
void add_guessing_flags(CLI::App& app, EngineOptions& options);
// A draft model that was named rather than given by its path, in the place where it lies.
Status resolve_draft(EngineOptions& options);
// `extra` holds what the flags do not say (slots, chunk); the flags fill in the rest.
Result<std::shared_ptr<Engine>> open_engine(const ModelFlags& flags, EngineOptions extra = {});

// --temp, --top-k, --top-p, --min-p, --repeat-penalty, --seed.
void add_sampling_flags(CLI::App& app, SamplingOptions& sampling);

// Answers on the calling thread: `show` gets each new piece of text. Ctrl-C ends the answer
// (FinishReason::kCancelled) and leaves the stop request for the caller to see.
Result<GenerateResult> stream(Engine& engine, GenerateRequest request,
                              const std::function<void(std::string_view)>& show);
const char* name(FinishReason reason);  // "stop", "length", "cancelled", "error"

}  // namespace sllm::cli
