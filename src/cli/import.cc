// sllm import: Hugging Face folder -> GGUF file and back, for models and for LoRA adapters.
#include "cli/commands.h"
#include "cli/model_summary.h"
#include "compress/merge.h"
#include "hub/resolve.h"
#include "io/adapter.h"
#include "models/registry.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string in, out, type, base, split;
  int threads = 0;
};

// The float type that was asked for; kUsage for any other.
Result<std::optional<DType>> float_type(const std::string& name, const char* holder) {
  if (name.empty()) return std::optional<DType>();
  const auto type = dtype_from_name(name);
  if (type != DType::kF32 && type != DType::kF16 && type != DType::kBF16)
    return usage_error("type \"{}\": {} holds f32, f16 or bf16", name, holder);
  return type;
}

// The types of the result: as stored when nothing was asked for and the format can hold them.
Status choose_types(ModelToWrite& model, const Flags& flags, bool from_gguf) {
  if (fs::path(flags.out).extension() == ".gguf") {
    if (flags.type.empty()) return ok();
    SLLM_TRY(const Recipe recipe, find_recipe(flags.type));
    apply_recipe(model, recipe, false);
    return ok();
  }
  auto type = float_type(flags.type, "a Hugging Face folder");
  if (!type.ok())
    return with_hint(std::move(type).error(), "Let the output's name end in .gguf for other types");
  keep_floats(model, *type);
  return from_gguf && !*type ? restore_vector_types(model) : ok();
}

Status import_model(const Flags& flags, const Globals& globals) {
  SLLM_TRY(const fs::path path, resolve_model(flags.in));
  SLLM_OK(check_output(flags.out, {path}));
  SLLM_TRY(const auto source, open_model(path));
  ModelToWrite model = as_written(source);
  SLLM_OK(choose_types(model, flags, source->format().starts_with("GGUF")));
  SLLM_TRY(model.max_file_bytes, parse_size(flags.split));
  if (globals.dry_run) {
    report_written(globals, "import", flags.out, count_types(model.tensors));
    return ok();
  }
  ThreadPool pool(flags.threads);
  SLLM_TRY(const WrittenModel written,
           write_model(flags.out, std::move(model), pool, progress_sink(globals)));
  report_written(globals, "import", written.path, written);
  return ok();
}

// The base that was given, or the one the adapter names when that is on this machine.
Result<std::shared_ptr<ModelSource>> open_base(const Flags& flags, const AdapterPath& adapter) {
  std::string name = flags.base;
  if (name.empty()) {
    SLLM_TRY(name, base_model_of(adapter));
  }
  const char* hint = "Name the model that the adapter was trained on: --base MODEL";
  if (name.empty())
    return with_hint(
        usage_error("{}: which rows a GGUF LoRA keeps where depends on its base, which "
                    "the adapter does not name",
                    flags.in),
        hint);
  auto path = resolve_model(name);
  if (!path.ok() && flags.base.empty())
    return with_hint(std::move(path).error().context("the adapter's base"), hint);
  if (!path.ok()) return std::move(path).error();
  return open_model(*path);
}

Status import_adapter(const AdapterPath& in, const Flags& flags, const Globals& globals) {
  SLLM_TRY(const auto type, float_type(flags.type, "an adapter"));
  const bool gguf = fs::path(flags.out).extension() == ".gguf";
  ModelConfig config;
  LoraAdapter adapter;
  if (gguf || in.format == AdapterFormat::kGguf || !flags.base.empty()) {
    SLLM_TRY(const auto base, open_base(flags, in));
    config = base->config();
    SLLM_TRY(adapter, read_adapter(in.path, config));
    SLLM_OK(check_fits(*base, adapter));
  } else {
    SLLM_TRY(adapter, read_adapter(in.path, config));
  }
  std::vector<TensorInfo> tensors;
  for (const auto& [module, pair] : adapter.modules)
    for (const Tensor& t : {pair.A, pair.B, pair.magnitude})
      if (t.defined())
        tensors.push_back({module, type && t.shape().size() == 2 ? *type : t.dtype(), t.shape()});
  if (!globals.dry_run) SLLM_OK(write_adapter(flags.out, std::move(adapter), config, type));
  report_written(globals, "import", flags.out, count_types(tensors));
  return ok();
}

Status run(const Flags& flags, const Globals& globals) {
  if (const auto adapter = find_adapter(flags.in)) return import_adapter(*adapter, flags, globals);
  if (!flags.base.empty())
    return with_hint(
        bad_input("{}: is not an adapter, and --base {} is given", flags.in, flags.base),
        "Give a PEFT folder, an mlx-lm folder or a GGUF LoRA");
  return import_model(flags, globals);
}

}  // namespace

Action declare_import(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  app.add_option("model", flags->in,
                 "A GGUF file, a Hugging Face folder, a model's name, or a LoRA adapter (a PEFT or "
                 "mlx-lm folder, a GGUF LoRA)")
      ->required();
  app.add_option("out", flags->out, "A name ending in .gguf, or a folder to write")->required();
  app.add_option("-t,--type", flags->type,
                 "Storage type; as it is when left out (block formats become BF16 in a folder)");
  app.add_option("--base", flags->base,
                 "The model that an adapter was trained on; as the adapter says when left out");
  add_split_flag(app, flags->split);
  app.add_option("--threads", flags->threads, "0: all cores");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
