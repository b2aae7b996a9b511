// sllm check: whether two artefacts are the same model.
#include <cstdlib>
#include <iostream>

#include "cli/commands.h"
#include "eval/answers.h"
#include "eval/sameness.h"
#include "hub/resolve.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string a, b, adapter_a, adapter_b, key, mode, questions;
  double max_kld = -1, max_delta = -1;
  bool no_weights = false;
  eval::SamenessOptions options;
};

// A server's URL as it is; "model+adapter" is a model with an adapter on it, unless a file has that
// name; else a file, a folder or a model's name.
Result<eval::ArtefactName> artefact(std::string name, std::string adapter, const Flags& flags) {
  eval::ArtefactName out{name, adapter, flags.key};
  if (out.is_server()) {
    if (!adapter.empty())
      return with_hint(usage_error("{}: an adapter cannot be laid over a server", name),
                       "Let the server load it: sllm serve --adapter");
    return out;
  }
  std::error_code error;
  const size_t plus = name.rfind('+');
  if (adapter.empty() && plus != std::string::npos && plus > 0 && plus + 1 < name.size() &&
      !fs::exists(name, error))
    out.adapter = name.substr(plus + 1), name.resize(plus);
  if (!out.adapter.empty()) {
    // A tuning run holds its adapter in a folder.
    const fs::path inside = fs::path(out.adapter) / "adapter";
    if (!fs::exists(fs::path(out.adapter) / "adapter_config.json", error) &&
        fs::exists(inside / "adapter_config.json", error))
      out.adapter = inside.string();
  }
  SLLM_TRY(const fs::path path, resolve_model(name));
  out.path = path.string();
  return out;
}

void print_text(const eval::Sameness& s) {
  std::cout << fmt::format("A  {} ({})\nB  {} ({})\n", s.a, s.a_kind, s.b, s.b_kind);
  std::cout << fmt::format(
      "bound: {}, for {}; KLD at most {:g}, logits at most {:g} of their range\n\n", s.bound.kind,
      s.bound.reason, s.bound.kld, s.bound.delta);
  static constexpr const char* kMarks[] = {"✓", "✗", "–"};
  for (const eval::SamenessCheck& c : s.checks)
    std::cout << fmt::format(
        "{} {:<8} {}{}\n", kMarks[static_cast<int>(c.verdict)], c.what,
        c.verdict == eval::SamenessCheck::Verdict::kLeftOut ? "left out: " : "", c.found);
}

Status run(Flags flags, const Globals& globals) {
  if (flags.key.empty())
    if (const char* key = std::getenv("SLLM_API_KEY")) flags.key = key;
  SLLM_TRY(const eval::ArtefactName a, artefact(flags.a, flags.adapter_a, flags));
  SLLM_TRY(const eval::ArtefactName b, artefact(flags.b, flags.adapter_b, flags));
  std::optional<Numerics> mode;
  if (!flags.mode.empty())
    mode = flags.mode == "exact"  ? Numerics::kExact
           : flags.mode == "bf16" ? Numerics::kBf16
                                  : Numerics::kFast;
  eval::SamenessOptions& options = flags.options;
  if (flags.max_kld >= 0) options.max_kld = flags.max_kld;
  if (flags.max_delta >= 0) options.max_delta = flags.max_delta;
  options.weights = !flags.no_weights;
  options.progress = progress_sink(globals);
  if (!options.bound.empty()) SLLM_OK(eval::sameness_bound(options.bound));
  if (!flags.questions.empty()) {
    SLLM_TRY(const auto rows, eval::read_test_rows(flags.questions));
    for (const eval::TestRow& row : rows) options.questions.push_back(row.prompt);
  }
  SLLM_TRY(const eval::Sameness sameness, eval::compare_artefacts(a, b, options, mode));
  if (globals.json)
    print_json("check", sameness.to_json());
  else
    print_text(sameness);
  if (sameness.same()) {
    if (!globals.json) std::cout << '\n' << sameness.sentence() << '\n';
    return ok();
  }
  return with_hint(make_error(ErrorCode::kThreshold, "{}", sameness.sentence()),
                   "If B is meant to differ this much, say so with --bound or --max-kld");
}

}  // namespace

Action declare_check(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  eval::SamenessOptions& o = flags->options;
  app.add_option(
         "A", flags->a,
         "A GGUF file, a Hugging Face folder, a model's name, any of them with +ADAPTER, or "
         "a server's URL")
      ->required();
  app.add_option("B", flags->b, "The same; what was made from A")->required();
  app.add_option("--adapter-a", flags->adapter_a,
                 "LoRA adapter on A: a PEFT or mlx-lm folder, a tuning run or a GGUF LoRA");
  app.add_option("--adapter-b", flags->adapter_b, "LoRA adapter on B");
  app.add_option("--bound", o.bound,
                 "How far apart they may lie: exact, f32, bf16, a block format (q8_0 ...) or "
                 "quantised; chosen from what they are when left out");
  app.add_option("--max-kld", flags->max_kld,
                 "The mean KL divergence allowed, instead of the bound's")
      ->check(not_negative());
  app.add_option("--max-delta", flags->max_delta,
                 "The largest difference of two logits allowed, as a share of their range")
      ->check(not_negative());
  app.add_option("--conversations", o.conversations, "Conversations rendered and tokenized")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--prompts", o.prompts, "Prompts whose logits are compared")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--prompt-tokens", o.prompt_tokens, "Tokens of each at most")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  app.add_option("--answers", o.answers, "Greedy answers compared")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  app.add_option("-n,--answer-tokens", o.answer_tokens, "Tokens of each at most")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--questions", flags->questions, "Held-out rows to ask first (JSON lines)");
  app.add_flag("--no-weights", flags->no_weights, "Do not compare the weights themselves");
  app.add_option("--mode", flags->mode,
                 "Numerics of local sides: exact, bf16 or fast; left out: the server's, else exact")
      ->check(CLI::IsMember({"exact", "bf16", "fast"}));
  app.add_option("-t,--threads", o.threads, "Threads; 0: all usable cores")
      ->check(CLI::Range(0, 1024));
  app.add_option("--api-key", flags->key, "A server's key (better: SLLM_API_KEY)");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
