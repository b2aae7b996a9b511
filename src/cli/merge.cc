// sllm merge: a LoRA adapter merged into its base, or what full tuning made of it.
#include "compress/merge.h"

#include "cli/commands.h"
#include "cli/model_summary.h"
#include "hub/resolve.h"
#include "io/adapter.h"
#include "models/registry.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string base, adapter, out, type, split;
  int threads = 0;
};

// `tuned`: an adapter, or the folder of a run of full tuning or of its model.
Result<ModelToWrite> merged(std::shared_ptr<const ModelSource> base, const fs::path& tuned,
                            ThreadPool& pool) {
  std::error_code ignored;
  const bool model = !find_adapter(tuned) && (fs::exists(tuned / "config.json", ignored) ||
                                              fs::exists(tuned / "model/config.json", ignored));
  if (model) {
    SLLM_TRY(const auto weights, open_model(tuned));
    return merge_weights(std::move(base), weights);
  }
  SLLM_TRY(LoraAdapter adapter, read_adapter(tuned, base->config()));
  return merge_adapter(std::move(base), std::move(adapter), pool);
}

Status run(const Flags& flags, const Globals& globals) {
  const auto type = dtype_from_name(flags.type);
  const bool fits = type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
  if (!flags.type.empty() && !fits)
    return with_hint(usage_error("type \"{}\": expected f32, f16 or bf16", flags.type),
                     "Quantise the merged model afterwards: sllm quantize");
  SLLM_TRY(const fs::path path, resolve_model(flags.base));
  SLLM_OK(check_output(flags.out, {path, flags.adapter}));
  SLLM_TRY(const auto base, open_model(path));
  ThreadPool pool(flags.threads);
  SLLM_TRY(ModelToWrite model, merged(base, flags.adapter, pool));
  if (type) keep_floats(model, type);
  SLLM_TRY(model.max_file_bytes, parse_size(flags.split));
  if (globals.dry_run) {
    report_written(globals, "merge", flags.out, count_types(model.tensors));
    return ok();
  }
  SLLM_TRY(const WrittenModel written,
           write_model(flags.out, std::move(model), pool, progress_sink(globals)));
  report_written(globals, "merge", written.path, written);
  return ok();
}

}  // namespace

Action declare_merge(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  app.add_option("base", flags->base, "The model that the adapter was trained on")->required();
  app.add_option(
         "adapter", flags->adapter,
         "A PEFT or mlx-lm folder, that of a tuning run (of full tuning too), or a GGUF LoRA")
      ->required();
  app.add_option("out", flags->out, "A name ending in .gguf, or a folder to write")->required();
  app.add_option("-t,--type", flags->type,
                 "f32, f16 or bf16; left out: the base's own, bf16 for a quantised base");
  add_split_flag(app, flags->split);
  app.add_option("--threads", flags->threads, "0: all cores");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
