// sllm import: Hugging Face folder -> GGUF file and back.
#include "cli/commands.h"
#include "cli/model_summary.h"
#include "hub/resolve.h"
#include "models/registry.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string in, out, type;
  int threads = 0;
};

// The types of the result: as stored when nothing was asked for and the format can hold them.
Status choose_types(ModelToWrite& model, const Flags& flags) {
  if (fs::path(flags.out).extension() == ".gguf") {
    if (flags.type.empty()) return ok();
    SLLM_TRY(const Recipe recipe, find_recipe(flags.type));
    apply_recipe(model, recipe, false);
    return ok();
  }
  const auto type = dtype_from_name(flags.type);
  const bool fits = type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
  if (!flags.type.empty() && !fits)
    return with_hint(
        usage_error("type \"{}\": a Hugging Face folder holds f32, f16 or bf16", flags.type),
        "Let the output's name end in .gguf for other types");
  keep_floats(model, type);
  return ok();
}

Status run(const Flags& flags, const Globals& globals) {
  SLLM_TRY(const fs::path path, resolve_model(flags.in));
  SLLM_OK(check_output(flags.out, {path}));
  SLLM_TRY(const auto source, open_model(path));
  ModelToWrite model = as_written(source);
  SLLM_OK(choose_types(model, flags));
  if (globals.dry_run) {
    report_written(globals, "import", flags.out, count_types(model.tensors));
    return ok();
  }
  ThreadPool pool(flags.threads);
  SLLM_TRY(const WrittenModel written,
           write_model(flags.out, std::move(model), pool, progress_sink(globals)));
  report_written(globals, "import", flags.out, written);
  return ok();
}

}  // namespace

Action declare_import(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  app.add_option("model", flags->in, "A GGUF file, a Hugging Face folder, or a model's name")
      ->required();
  app.add_option("out", flags->out, "A name ending in .gguf, or a folder to write")->required();
  app.add_option("-t,--type", flags->type,
                 "Storage type; as it is when left out (block formats become BF16 in a folder)");
  app.add_option("--threads", flags->threads, "0: all cores");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
