// The work of each stage, from its inputs' folders to its own.
#include "project/stage_bodies.h"

#include <algorithm>

#include "base/sha256.h"
#include "base/thread_pool.h"
#include "compress/merge.h"
#include "compress/recipe.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "ground/index.h"
#include "ground/training.h"
#include "hub/catalogue.h"
#include "hub/licence.h"
#include "hub/resolve.h"
#include "infer/engine.h"
#include "models/registry.h"
#include "project/base_check.h"
#include "train/tune.h"

namespace sllm::project {

Status write_json(const fs::path& path, const Json& json) {
  return write_file_atomically(path, json.dump(1) + "\n");
}

// A file's SHA-256; of a folder, over the names and hashes of its files.
Result<std::string> hash_path(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error))
    return usage_error("{}: the project names this file, but it is not there", path.string());
  if (!fs::is_directory(path, error)) return sha256_file(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path, error))
    if (entry.is_regular_file(error)) files.push_back(entry.path());
  std::ranges::sort(files);
  Sha256 hash;
  for (const fs::path& file : files) {
    SLLM_TRY(const std::string one, sha256_file(file));
    hash.update(fs::relative(file, path, error).string() + "\n" + one + "\n");
  }
  return hash.hex();
}

// What the file says of its licence, else its card, else what the catalogue knows.
std::string licence_of(const ModelSource& source, const std::string& name) {
  const auto description = source.description();
  if (const auto it = description.find("license"); it != description.end()) return it->second;
  if (std::string licence = licence_of_cached(source.path()); !licence.empty()) return licence;
  const CatalogueEntry* entry = catalogue_entry_of(name);
  return entry ? entry->licence : "";
}

Result<Json> read_json(const fs::path& path) {
  SLLM_TRY(const std::string text, read_file(path));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded())
    return with_hint(bad_input("{}: not JSON", path.string()),
                     fmt::format("Remove {} and run again", path.parent_path().string()));
  return json;
}

// The model that a pull, merge or quantize stage left.
Result<fs::path> model_in(const fs::path& folder) {
  const fs::path own = folder / "model.gguf";
  std::error_code error;
  if (fs::exists(own, error)) return own;
  SLLM_TRY(const Json json, read_json(folder / "model.json"));
  const fs::path path = json.value("path", std::string());
  if (!fs::exists(path, error))
    return bad_input("{}: the model {} is gone", folder.string(), path.string());
  return path;
}

Status pull_base(const Project& project, const std::string& name, const StageContext& context) {
  std::error_code error;
  fs::path path = name;
  if (!fs::exists(path, error)) {
    SLLM_TRY(path, pull_model(name, context.progress));
  }
  SLLM_TRY(const auto source, open_model(path));
  SLLM_OK(check_licence(project, licence_of(*source, name)));
  SLLM_TRY(const std::string hash, hash_path(path));
  return write_json(context.folder / "model.json", {{"path", fs::absolute(path).string()},
                                                    {"name", source->config().name},
                                                    {"licence", licence_of(*source, name)},
                                                    {"format", source->format()},
                                                    {"bytes", size_on_disk(path)},
                                                    {"sha256", hash}});
}

namespace {

// Rows that a held-out row resembles must be in nothing that an answer comes from.
ImportOptions clean_of_held_out(const Project& project) {
  ImportOptions options;
  options.eval_fraction = options.test_fraction = 0;
  options.near_duplicate = project.data.near_duplicate;
  options.held_out = {project.path(project.data.test)};
  return options;
}

// A model that will answer from documents is tuned on the prompts that it will see.
Status ground_rows(const Project& project, const StageContext& context) {
  SLLM_TRY(const auto index, Index::open(context.inputs.at("index") / "index.db"));
  GroundTrainingOptions options;
  options.ground.passages = static_cast<size_t>(project.index.passages);
  options.seed = static_cast<uint64_t>(project.data.seed);
  SLLM_TRY(const GroundTrainingSummary summary,
           ground_data(*index, context.folder / "rows", options));
  log(LogLevel::kInfo,
      fmt::format("grounded: {} conversations of {} answers with a citation and {} "
                  "refusals",
                  summary.conversations, summary.cited, summary.refused + summary.withheld));
  return ok();
}

}  // namespace

Status make_data(const Project& project, const StageContext& context) {
  const Project::Data& d = project.data;
  std::vector<fs::path> inputs;
  for (const std::string& file : d.train) inputs.push_back(project.path(file));
  if (!d.augment.empty()) {
    SLLM_TRY(const PairGrammar grammar, PairGrammar::read(project.path(d.augment)));
    SLLM_TRY(const auto pairs, grammar.expand({d.augment_count, static_cast<uint64_t>(d.seed)}));
    const fs::path file = context.folder / "augmented.jsonl";
    SLLM_OK(write_file_atomically(file, to_jsonl(pairs)));
    inputs.push_back(file);
  }
  // The held-out rows are read here so that a broken one is found before hours of tuning.
  SLLM_TRY(const auto rows, eval::read_test_rows(project.path(d.test)));
  SLLM_OK(write_json(context.folder / "test.json", {{"rows", rows.size()}}));
  if (inputs.empty()) return ok();  // nothing is tuned
  ImportOptions options = clean_of_held_out(project);
  options.read.system = d.system;
  options.eval_fraction = d.validation;
  options.seed = static_cast<uint64_t>(d.seed);
  SLLM_TRY(const ImportSummary summary,
           import_data(inputs, context.folder / "rows", options, context.progress));
  log(LogLevel::kInfo, fmt::format("{} rows read, {} kept: {} to learn from, {} for the "
                                   "evaluation loss",
                                   summary.read, summary.kept, summary.train, summary.eval));
  return project.evaluate.grounded ? ground_rows(project, context) : ok();
}

Status make_adapter(const Project& project, const StageContext& context) {
  TuneOptions options = project.tune.options;
  SLLM_TRY(options.model, model_in(context.inputs.at("pull")));
  const fs::path rows = context.inputs.at("data") / "rows";
  options.data = rows / "train.jsonl";
  std::error_code error;
  if (fs::exists(rows / "eval.jsonl", error) && fs::file_size(rows / "eval.jsonl", error) > 0)
    options.eval = rows / "eval.jsonl";
  options.run = context.folder / "run";
  options.threads = static_cast<int>(project.threads);
  options.resume = fs::exists(options.run, error);
  SLLM_TRY(const TuneResult result, tune(options, context.progress));
  const bool full = result.adapter.empty();
  const fs::path made = full ? result.model : result.adapter;
  Json evals = Json::array();
  for (const auto& [step, loss] : result.eval_loss) evals.push_back({step, loss});
  return write_json(context.folder / "tune.json",
                    {{full ? "model" : "adapter", fs::relative(made, context.folder).string()},
                     {"steps", result.steps},
                     {"loss", result.loss},
                     {"eval_loss", evals},
                     {"tokens", result.tokens},
                     {"seconds", result.seconds},
                     {"tok_s", result.tok_s},
                     {"trained_parameters", result.trained_parameters},
                     {"peak_memory", result.peak_memory},
                     {"cut", result.cut},
                     {"dropped", result.dropped}});
}

Status merge_model(const std::string& lineage, const StageContext& context) {
  SLLM_TRY(const fs::path base, model_in(context.inputs.at("pull")));
  const fs::path tuned = context.inputs.at("tune");
  SLLM_TRY(const Json tune, read_json(tuned / "tune.json"));
  SLLM_TRY(std::shared_ptr<const ModelSource> source, open_model(base));
  ThreadPool pool;
  const auto merged = [&]() -> Result<ModelToWrite> {
    if (const auto at = tune.find("model"); at != tune.end()) {
      SLLM_TRY(const auto weights, open_model(tuned / at->get<std::string>()));
      return merge_weights(source, weights);
    }
    SLLM_TRY(auto adapter, read_peft_adapter(tuned / tune.value("adapter", std::string())));
    return merge_adapter(source, std::move(adapter), pool);
  };
  SLLM_TRY(ModelToWrite model, merged());
  model.description["sllm.lineage"] = lineage;
  SLLM_TRY(const WrittenModel written,
           write_model(context.folder / "model.gguf", std::move(model), pool, context.progress));
  log(LogLevel::kInfo, fmt::format("merged: {:.1f} MB", static_cast<double>(written.bytes) / 1e6));
  return ok();
}

Status quantize_model(const std::string& from, const std::string& type, const std::string& lineage,
                      const StageContext& context) {
  SLLM_TRY(const fs::path path, model_in(context.inputs.at(from)));
  SLLM_TRY(std::shared_ptr<const ModelSource> source, open_model(path));
  SLLM_TRY(const Recipe recipe, find_recipe(type));
  ModelToWrite model = as_written(source);
  apply_recipe(model, recipe, /*pure=*/false);
  model.description["sllm.lineage"] = lineage;
  ThreadPool pool;
  SLLM_TRY(const WrittenModel written,
           write_model(context.folder / "model.gguf", std::move(model), pool, context.progress));
  log(LogLevel::kInfo,
      fmt::format("{}: {:.1f} MB", recipe.name, static_cast<double>(written.bytes) / 1e6));
  return ok();
}

Status index_documents(const fs::path& documents, const StageContext& context) {
  SLLM_TRY(const IndexUpdate update,
           Index::update(context.folder / "index.db", documents, {}, context.progress));
  for (const std::string& reason : update.skipped_reasons) log(LogLevel::kWarning, reason);
  return ok();
}

Status learn_questions(const Project& project, const StageContext& context) {
  std::vector<fs::path> files;
  for (const std::string& file : project.index.questions) files.push_back(project.path(file));
  SLLM_TRY(const ImportSummary summary, import_data(files, context.folder / "rows",
                                                    clean_of_held_out(project), context.progress));
  SLLM_TRY(const std::vector<Example> rows, read_examples(context.folder / "rows" / "train.jsonl"));
  const fs::path index = context.folder / "index.db";
  std::error_code error;
  if (!fs::copy_file(context.inputs.at("index") / "index.db", index,
                     fs::copy_options::overwrite_existing, error))
    return make_error(ErrorCode::kResource, "{}: {}", index.string(), error.message());
  SLLM_TRY(const LearnedQuestions learned, Index::learn_questions(index, known_questions(rows)));
  log(LogLevel::kInfo,
      fmt::format("{} questions read, {} kept: {} with their passage, {} without", summary.read,
                  summary.kept, learned.learned, learned.unsupported));
  return ok();
}

Status evaluate_into(const Project& project, EvaluateInput input, const StageContext& context) {
  SLLM_TRY(input.rows, eval::read_test_rows(project.path(project.data.test)));
  SLLM_TRY(const Candidate candidate, evaluate_model(project, input, context.progress));
  for (const std::string& metric : project.evaluate.metrics)
    if (const auto f = candidate.figure(metric, ""))
      log(LogLevel::kInfo, fmt::format("{}: {} {:.1f} % ± {:.1f} over {} rows", input.label, metric,
                                       100 * f->value, 100 * f->standard_error, f->items));
  return write_json(context.folder / "result.json", candidate.to_json());
}

// Opens the file as a server would and asks it one held-out question: the answer must be the one
// that was evaluated.
Status deploy_check(const Project& project, const fs::path& model, const fs::path& evaluated,
                    const fs::path& out) {
  SLLM_TRY(const Json result, read_json(evaluated / "result.json"));
  SLLM_TRY(const Candidate candidate, Candidate::from_json(result));
  if (!project.evaluate.grounded && !candidate.answers.rows.empty()) {
    EngineOptions options;
    SLLM_TRY(options.numerics, numerics_from_name(project.evaluate.mode));
    options.threads = static_cast<int>(project.threads);
    options.context = project.deploy.context;
    SLLM_TRY(const auto engine, Engine::open(model, options));
    const eval::ScoredRow& scored = candidate.answers.rows.front();
    eval::AnswerOptions answers;
    answers.max_tokens = project.evaluate.max_tokens;
    SLLM_TRY(const eval::Reply reply, eval::engine_answerer(*engine, answers)(scored.row.prompt));
    if (reply.text != scored.reply.text)
      return make_error(ErrorCode::kInternal, "{}: answers \"{}\" where the evaluation got \"{}\"",
                        model.string(), reply.text, scored.reply.text);
  }
  return write_json(out / "deploy.json",
                    {{"model", model.string()},
                     {"host", project.deploy.host},
                     {"port", project.deploy.port},
                     {"context", project.deploy.context},
                     {"command", fmt::format("sllm serve -m {} --host {} --port {}",
                                             (latest_folder(project) / "model.gguf").string(),
                                             project.deploy.host, project.deploy.port)}});
}

// runs/latest: links to what the last run made, replaced as a whole.
Status publish(const Project& project, const std::vector<PlannedStage>& stages) {
  const fs::path latest = latest_folder(project);
  SLLM_TRY(AtomicDir folder, AtomicDir::replace(latest));
  std::error_code error;
  const auto copy = [&](const fs::path& from, const char* name) {
    if (fs::exists(from / name, error))
      fs::copy_file(from / name, folder.path() / name, fs::copy_options::overwrite_existing, error);
  };
  for (const PlannedStage& stage : stages) {
    if (!stage.done) continue;
    if (stage.name == "report")
      for (const char* name : {"report.html", "verdict.json", "lineage.json", "metrics.json"})
        copy(stage.folder, name);
    if (stage.name == "deploy-check") {
      copy(stage.folder, "deploy.json");
      for (const PlannedStage& shipped : stages)
        if (shipped.name == "quantize-" + project.deploy.type)
          fs::create_symlink(fs::path("..") / "stages" / shipped.folder.filename() / "model.gguf",
                             folder.path() / "model.gguf", error);
    }
    const char* searched = project.index.questions.empty() ? "index" : "questions";
    if (stage.name == searched && fs::exists(stage.folder / "index.db", error))
      fs::create_symlink(fs::path("..") / "stages" / stage.folder.filename() / "index.db",
                         folder.path() / "index.db", error);
  }
  fs::copy_file(project.file, folder.path() / "sllm.toml", error);
  return folder.commit();
}

}  // namespace sllm::project
