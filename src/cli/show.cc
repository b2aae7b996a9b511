// sllm show: what a model file holds and what it needs.
#include <iostream>

#include "base/sha256.h"
#include "cli/commands.h"
#include "cli/model_summary.h"
#include "hub/resolve.h"
#include "models/registry.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string model;
  bool check = false;
  bool chat_template = false;
};

// Keys and values of one token's state, in F16.
int64_t state_bytes_per_token(const ModelConfig& c) { return 2 * c.L * c.Hk * c.Dh * 2; }

nlohmann::ordered_json tokenizer_json(const TokenizerSource& t) {
  if (!t.gguf) return {{"kind", t.files.empty() ? "tokenizer.json" : t.files.begin()->first}};
  return {{"kind", "GGUF"},
          {"model", t.gguf->model},
          {"pre", t.gguf->pre},
          {"tokens", t.gguf->tokens.size()}};
}

nlohmann::ordered_json describe(const ModelSource& source) {
  const ModelConfig& c = source.config();
  int64_t parameters = 0;
  for (const TensorInfo& t : source.tensors()) {
    int64_t n = 1;
    for (int64_t d : t.shape) n *= d;
    parameters += n;
  }
  const WrittenModel types = count_types(source.tensors());
  const auto description = source.description();
  const auto license = description.find("license");
  nlohmann::ordered_json out = {
      {"path", source.path().string()},
      {"format", source.format()},
      {"name", c.name},
      {"architecture", c.architecture->model_type},
      {"parameters", parameters},
      {"bytes", types.bytes},
      {"types", types_json(types)},
      {"layers", c.L},
      {"width", c.D},
      {"heads", c.H},
      {"kv_heads", c.Hk},
      {"head_width", c.Dh},
      {"mlp_width", c.F},
      {"vocabulary", c.V},
      {"context", c.max_context},
      {"tied_embeddings", c.tied_embeddings},
      {"rope", {{"theta", c.rope.theta}, {"scaling", c.rope.type}}},
      {"bos_id", c.bos_id},
      {"eos_ids", c.eos_ids},
      {"tokenizer", tokenizer_json(source.tokenizer())},
      {"template_sha256", nullptr},
      {"license", nullptr},
      {"memory",
       {{"weights_bytes", types.bytes},
        {"state_bytes_per_token", state_bytes_per_token(c)},
        {"at_full_context_bytes", types.bytes + state_bytes_per_token(c) * c.max_context}}},
      {"description", description}};
  if (!source.chat_template().empty()) out["template_sha256"] = sha256_hex(source.chat_template());
  if (license != description.end()) out["license"] = license->second;
  return out;
}

void print_text(const ModelSource& source, const nlohmann::ordered_json& d) {
  const ModelConfig& c = source.config();
  const auto line = [](const char* label, const std::string& text) {
    std::cout << fmt::format("{:<14}{}\n", label, text);
  };
  const std::string hash = d["template_sha256"].is_null()
                               ? "none"
                               : "sha256 " + d["template_sha256"].get<std::string>().substr(0, 16);
  const int64_t context = std::min<int64_t>(c.max_context, 2048),
                weights = d["bytes"].get<int64_t>();
  line("Name", c.name);
  line("Format", source.format());
  line("Architecture", fmt::format("{}, {} layers, width {}, {} heads ({} for keys), MLP {}",
                                   c.architecture->model_type, c.L, c.D, c.H, c.Hk, c.F));
  line("Parameters", fmt::format("{:.1f} million", d["parameters"].get<double>() / 1e6));
  line("Stored as", types_text(count_types(source.tensors())));
  line("Vocabulary", fmt::format("{} tokens", c.V));
  line("Context", fmt::format("{} tokens", c.max_context));
  line("Chat template", hash);
  line("License", d["license"].is_null() ? "not stated" : d["license"].get<std::string>());
  line("Memory",
       fmt::format("{} at {} tokens of context, {} at {}",
                   megabytes(weights + state_bytes_per_token(c) * context), context,
                   megabytes(d["memory"]["at_full_context_bytes"].get<int64_t>()), c.max_context));
}

Status run(const Flags& flags, const Globals& globals) {
  SLLM_TRY(const fs::path path, resolve_model(flags.model));
  SLLM_TRY(const auto source, open_model(path));
  if (flags.check) {
    ThreadPool pool;
    SLLM_OK(check_values(*source, pool, progress_sink(globals)));
  }
  if (flags.chat_template) {
    std::cout << source->chat_template();
    return ok();
  }
  const nlohmann::ordered_json description = describe(*source);
  if (globals.json)
    print_json("show", description);
  else
    print_text(*source, description);
  return ok();
}

}  // namespace

Action declare_show(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  app.add_option("model", flags->model, "A GGUF file, a Hugging Face folder, or a model's name")
      ->required();
  app.add_flag("--check", flags->check, "Read every weight; fail when one is not a finite number");
  app.add_flag("--template", flags->chat_template, "Print the chat template and nothing else");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
