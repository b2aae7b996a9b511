// sllm imatrix: which columns of a model's matrices matter most on a text.
#include <iostream>

#include "cli/commands.h"
#include "cli/model_summary.h"
#include "compress/importance.h"
#include "eval/perplexity.h"
#include "hub/resolve.h"
#include "models/registry.h"
#include "train/options.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string model, text, out, mode = "fast";
  int64_t chunks = 0, context = 512;
  int threads = 0;
  bool output = false;
};

Status run(const Flags& flags, const Globals& globals) {
  const fs::path out = flags.out;
  if (out.extension() != ".gguf" && out.extension() != ".dat")
    return with_hint(usage_error("{}: an importance matrix ends in .gguf or .dat", flags.out),
                     "Let the name end in .gguf; .dat is llama.cpp's older form");
  SLLM_TRY(const Numerics numerics, numerics_from_name(flags.mode));
  SLLM_TRY(const fs::path path, resolve_model(flags.model));
  SLLM_OK(check_output_file(out, {path, flags.text}));
  SLLM_TRY(const std::string text, read_file(flags.text));
  SLLM_TRY(const auto source, open_model(path));
  SLLM_TRY(const auto tokenizer, Tokenizer::of(*source));
  SLLM_TRY(const auto windows,
           eval::perplexity_windows(*tokenizer, text, {flags.context, flags.chunks, {}}));
  const CollectOptions options{numerics, flags.threads, flags.output, progress_sink(globals)};
  SLLM_TRY(ImportanceMatrix matrix, collect_importance(source, windows, options));
  matrix.datasets = {flags.text};
  SLLM_OK(write_imatrix(out, matrix));
  if (globals.json) {
    print_json("imatrix", {{"path", out.string()},
                           {"matrices", matrix.entries.size()},
                           {"chunks", matrix.chunks},
                           {"tokens", matrix.chunks * matrix.chunk_size}});
    return ok();
  }
  std::cout << fmt::format("{}: {} matrices, {} chunks of {} tokens\n", out.string(),
                           matrix.entries.size(), matrix.chunks, matrix.chunk_size);
  return ok();
}

}  // namespace

Action declare_imatrix(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  app.add_option("-m,--model", flags->model, "GGUF file, Hugging Face folder or name")->required();
  app.add_option("--text", flags->text, "Text of the kind that the model will meet")->required();
  app.add_option("-o,--out", flags->out,
                 "The file to write: .gguf, or .dat for llama.cpp's older form")
      ->required();
  app.add_option("--chunks", flags->chunks, "Chunks of the text; 0: all")->check(not_negative());
  app.add_option("-c,--context", flags->context, "Tokens in a chunk")
      ->check(CLI::Range(int64_t{8}, int64_t{1} << 20))
      ->capture_default_str();
  app.add_flag("--process-output", flags->output, "Measure the output matrix too");
  app.add_option("--mode", flags->mode, "Numerics: exact, bf16 or fast")
      ->check(CLI::IsMember({"exact", "bf16", "fast"}))
      ->capture_default_str();
  app.add_option("-t,--threads", flags->threads, "Threads; 0: all usable cores")
      ->check(CLI::Range(0, 1024));
  app.footer("sllm quantize --imatrix FILE uses it, and so does llama-quantize.");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
