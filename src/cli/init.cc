// sllm init: a new model with random weights around a tokenizer.
#include <iostream>

#include "cli/commands.h"
#include "cli/model_summary.h"
#include "train/fresh_model.h"

namespace sllm::cli {
namespace {

struct Flags {
  FreshModelOptions model;
  fs::path out;
  std::string type = "f32";
  int threads = 0;
};

// "1.34 million", "135 million", "1.1 billion"
std::string in_words(int64_t n) {
  const auto x = static_cast<double>(n);
  if (x < 1e6) return fmt::format("{}", n);
  return x < 1e9 ? fmt::format("{:.3g} million", x / 1e6) : fmt::format("{:.3g} billion", x / 1e9);
}

void print(const Flags& flags, const FreshModel& fresh, const Globals& globals) {
  const ModelConfig& c = fresh.model.config;
  const int64_t tokens = suitable_tokens(fresh.parameters);
  if (globals.json) {
    print_json("init", {{"out", flags.out.string()},
                        {"parameters", fresh.parameters},
                        {"embedding_parameters", fresh.embedding_parameters},
                        {"vocab_size", c.V},
                        {"intermediate_size", c.F},
                        {"suitable_tokens", tokens}});
    return;
  }
  std::cout << fmt::format(
      "{} parameters ({} of them in the embedding{}), {} tokens in the vocabulary\n"
      "About {} tokens of text suit a model of this size (20 for each parameter)\n",
      in_words(fresh.parameters), in_words(fresh.embedding_parameters),
      c.tied_embeddings ? "" : " and the head", c.V, in_words(tokens));
  if (!globals.dry_run) std::cout << flags.out.string() << '\n';
}

Status run(Flags flags, const Globals& globals) {
  const auto type = dtype_from_name(flags.type);
  if (!type) return usage_error("--type {}: expected f32, f16 or bf16", flags.type);
  flags.model.type = *type;
  SLLM_OK(check_output(flags.out, {flags.model.tokenizer}));
  ThreadPool pool(flags.threads);
  SLLM_TRY(FreshModel fresh, fresh_model(flags.model, pool));
  if (!globals.dry_run) {
    SLLM_TRY(const WrittenModel written,
             write_model(flags.out, fresh.model, pool, progress_sink(globals)));
    flags.out = written.path;
  }
  print(flags, fresh, globals);
  return ok();
}

}  // namespace

Action declare_init(CLI::App& app, const Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  FreshModelOptions& m = flags->model;
  app.add_option("tokenizer", m.tokenizer,
                 "Folder of `sllm tokenizer train`, or any other model's folder, GGUF file or "
                 "tokenizer file")
      ->required();
  app.add_option("out", flags->out, "Folder to write, or a name ending in .gguf")->required();
  app.add_option("--hidden", m.hidden, "Width of the model")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--layers", m.layers, "Layers")->check(positive())->capture_default_str();
  app.add_option("--heads", m.heads, "Attention heads")->check(positive())->capture_default_str();
  app.add_option("--kv-heads", m.kv_heads, "Heads of keys and values (default: as --heads)")
      ->check(positive());
  app.add_option("--ffn", m.ffn, "Width of the MLP (default: 8/3 of --hidden)")->check(positive());
  app.add_option("--context", m.context, "Tokens that it can see at once")
      ->check(positive())
      ->capture_default_str();
  app.add_flag("--tied", m.tied, "The head is the embedding: fewer parameters in a small model");
  app.add_option("--rope-theta", m.rope_theta, "Base of the rotary positions")
      ->check(positive())
      ->capture_default_str();
  app.add_option("-t,--type", flags->type, "f32, bf16 or f16")->capture_default_str();
  app.add_option("--seed", m.seed, "Of the weights")->capture_default_str();
  app.add_option("--threads", flags->threads, "0: all usable cores")->check(not_negative());
  app.footer(
      "  sllm init tok small --hidden 512 --layers 8 --heads 8 --kv-heads 4 --tied --context 1024\n"
      "  sllm tune --full -m small --data texts.jsonl --lr 1e-3 --max-length 1024");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
