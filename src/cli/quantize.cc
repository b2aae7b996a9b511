// sllm quantize: a smaller GGUF file of the same model.
#include "cli/commands.h"
#include "cli/model_summary.h"
#include "hub/resolve.h"
#include "models/registry.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string in, out, type = "q4_k_m", split;
  bool pure = false;
  int threads = 0;
};

Status run(const Flags& flags, const Globals& globals) {
  if (fs::path(flags.out).extension() != ".gguf")
    return with_hint(usage_error("{}: quantize writes GGUF files", flags.out),
                     "Let the name end in .gguf; sllm import writes Hugging Face folders");
  SLLM_TRY(const Recipe recipe, find_recipe(flags.type));
  SLLM_TRY(const fs::path path, resolve_model(flags.in));
  SLLM_OK(check_output(flags.out, {path}));
  SLLM_TRY(const auto source, open_model(path));
  ModelToWrite model = as_written(source);
  apply_recipe(model, recipe, flags.pure);
  for (const TensorInfo& t : source->tensors())
    if (is_block_format(t.dtype) && is_block_format(recipe.type) && t.dtype != recipe.type) {
      log(LogLevel::kWarning, "the input is quantised already; quantising the original loses less");
      break;
    }
  ThreadPool pool(flags.threads);
  SLLM_TRY(model.max_file_bytes, parse_size(flags.split));
  if (globals.dry_run) {
    report_written(globals, "quantize", flags.out, count_types(model.tensors));
    return ok();
  }
  SLLM_TRY(const WrittenModel written,
           write_model(flags.out, std::move(model), pool, progress_sink(globals)));
  report_written(globals, "quantize", written.path, written);
  return ok();
}

}  // namespace

Action declare_quantize(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  std::string types;
  for (const Recipe& r : recipes())
    types += fmt::format("\n  {:<7} {}{}", r.name, r.summary,
                         r.alias.empty() ? "" : fmt::format(" (also {})", r.alias));
  app.add_option("model", flags->in, "A GGUF file, a Hugging Face folder, or a model's name")
      ->required();
  app.add_option("out", flags->out, "The .gguf file to write")->required();
  app.add_option("-t,--type", flags->type, "Storage type")->capture_default_str();
  app.add_flag("--pure", flags->pure, "The same type for every matrix, the output matrix too");
  add_split_flag(app, flags->split);
  app.add_option("--threads", flags->threads, "0: all cores");
  app.footer("Types:" + types);
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
