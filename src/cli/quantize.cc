// sllm quantize: a smaller GGUF file of the same model.
#include <set>

#include "cli/commands.h"
#include "cli/model_summary.h"
#include "hub/resolve.h"
#include "models/registry.h"
#include "quant/weighted.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string in, out, type = "q4_k_m", imatrix, split;
  bool pure = false;
  int threads = 0;
};

// What an importance matrix says of the model's columns; the keys by which llama-quantize records
// where it came from go into the model's description.
Result<ColumnImportance> importance_for(ModelToWrite& model, const std::string& path) {
  if (path.empty()) return ColumnImportance();
  SLLM_TRY(const ImportanceMatrix matrix, read_imatrix(path));
  model.description["quantize.imatrix.file"] = path;
  if (!matrix.datasets.empty())
    model.description["quantize.imatrix.dataset"] = matrix.datasets.front();
  model.description["quantize.imatrix.entries_count"] = std::to_string(matrix.entries.size());
  if (matrix.chunks > 0)
    model.description["quantize.imatrix.chunks_count"] = std::to_string(matrix.chunks);
  return column_importance(matrix, model.config, path);
}

// Whether the type asks for importance at all, and which matrices of the layers have none.
void warn_of_missing(const ModelToWrite& model, const ColumnImportance& importance) {
  std::set<std::string> in_layers;  // the embedding and the output matrix usually have none
  for (TensorSpec& spec : expected_tensors(model.config))
    if (spec.gguf.starts_with("blk.")) in_layers.insert(std::move(spec.hf));
  std::vector<std::string_view> missing;
  bool used = false;
  for (const TensorInfo& t : model.tensors) {
    if (!weighted_encode(t.dtype)) continue;
    used |= importance.contains(t.name);
    if (!importance.contains(t.name) && in_layers.contains(t.name)) missing.push_back(t.name);
  }
  if (!missing.empty())
    log(LogLevel::kWarning,
        fmt::format("the importance matrix has no entry for {} matrices, which are quantised "
                    "without: {}{}",
                    missing.size(), missing.front(), missing.size() > 1 ? " ..." : ""));
  else if (!used)
    log(LogLevel::kWarning, "this type makes no use of an importance matrix");
}

Status run(const Flags& flags, const Globals& globals) {
  if (fs::path(flags.out).extension() != ".gguf")
    return with_hint(usage_error("{}: quantize writes GGUF files", flags.out),
                     "Let the name end in .gguf; sllm import writes Hugging Face folders");
  SLLM_TRY(const Recipe recipe, find_recipe(flags.type));
  SLLM_TRY(const fs::path path, resolve_model(flags.in));
  SLLM_OK(check_output(flags.out, {path, flags.imatrix}));
  SLLM_TRY(const auto source, open_model(path));
  ModelToWrite model = as_written(source);
  SLLM_TRY(const ColumnImportance importance, importance_for(model, flags.imatrix));
  apply_recipe(model, recipe, flags.pure, !flags.imatrix.empty());
  if (!flags.imatrix.empty()) warn_of_missing(model, importance);
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
           write_model(flags.out, std::move(model), pool, progress_sink(globals), importance));
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
  app.add_option("--imatrix", flags->imatrix,
                 "Importance matrix by which roundings are chosen (sllm imatrix or llama-imatrix)");
  add_split_flag(app, flags->split);
  app.add_option("--threads", flags->threads, "0: all cores");
  app.footer("Types:" + types);
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
