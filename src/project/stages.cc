// What each stage does, and what decides whether it must be done again: its recipe.
#include "project/stages.h"

#include <algorithm>
#include <fstream>

#include "base/sha256.h"
#include "base/thread_pool.h"
#include "compress/merge.h"
#include "compress/recipe.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "ground/index.h"
#include "ground/training.h"
#include "hub/catalogue.h"
#include "hub/resolve.h"
#include "infer/engine.h"
#include "project/evaluate.h"
#include "project/report_stage.h"
#include "train/tune.h"

namespace sllm::project {
namespace {

// Raised when a stage's code changes what it makes from the same inputs.
constexpr int kDataVersion = 1, kTuneVersion = 1, kMergeVersion = 1, kQuantizeVersion = 1,
              kIndexVersion = 1, kEvaluateVersion = 1, kReportVersion = 1, kDeployVersion = 1;

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

// What the file says of its licence, else what the catalogue knows.
std::string licence_of(const ModelSource& source, const std::string& name) {
  const auto description = source.description();
  if (const auto it = description.find("license"); it != description.end()) return it->second;
  const CatalogueEntry* entry = find_in_catalogue(name);
  return entry ? entry->licence : "";
}

class Builder {
 public:
  Builder(const Project& project, const StageOptions& options)
      : project_(project), options_(options), graph_(stages_folder(project)) {}

  Result<StageGraph> build() {
    SLLM_OK(add_pull());
    SLLM_OK(add_index());
    SLLM_OK(add_data());
    const bool tuned = project_.tune.method == "lora";
    if (tuned) {
      add_tune();
      add_merge();
    }
    for (const std::string& type : project_.quantize) add_quantize(type, tuned);
    if (project_.evaluate.compare_base || !tuned)
      add_evaluate("base", Role::kBase, "base", "pull", {});
    if (tuned) add_evaluate("tuned", Role::kTuned, "tuned", "merge", {});
    for (const std::string& type : project_.quantize)
      add_evaluate(type, Role::kQuantised, type, "quantize-" + type, tuned ? "merge" : "pull");
    for (const Reference& reference : project_.evaluate.references)
      SLLM_OK(add_reference(reference));
    add_report();
    add_deploy_check();
    return std::move(graph_);
  }

 private:
  // A base that lies in the project, else a name for the hub.
  std::string model_name(const std::string& name) const {
    std::error_code error;
    const fs::path local = project_.path(name);
    return fs::exists(local, error) ? fs::absolute(local).lexically_normal().string() : name;
  }

  Status add_pull() {
    const std::string name = model_name(project_.base);
    Json recipe = {{"model", project_.base}};
    std::error_code error;
    if (fs::exists(name, error)) {
      SLLM_TRY(recipe["sha256"], hash_path(name));
    }
    graph_.add({"pull", {}, recipe, [name](const StageContext& context) -> Status {
                  SLLM_TRY(const fs::path path, pull_model(name, context.progress));
                  SLLM_TRY(const auto source, ModelSource::open(path));
                  SLLM_TRY(const std::string hash, hash_path(path));
                  return write_json(context.folder / "model.json",
                                    {{"path", fs::absolute(path).string()},
                                     {"name", source->config().name},
                                     {"licence", licence_of(*source, name)},
                                     {"format", source->format()},
                                     {"bytes", size_on_disk(path)},
                                     {"sha256", hash}});
                }});
    // A cache that was emptied since: fetch again.
    for (const PlannedStage& stage : graph_.plan())
      if (stage.done)
        if (const auto model = model_in(stage.folder); !model.ok())
          fs::remove_all(stage.folder, error);
    return ok();
  }

  // The model that a pull, merge or quantize stage left.
  static Result<fs::path> model_in(const fs::path& folder) {
    const fs::path own = folder / "model.gguf";
    std::error_code error;
    if (fs::exists(own, error)) return own;
    SLLM_TRY(const Json json, read_json(folder / "model.json"));
    const fs::path path = json.value("path", std::string());
    if (!fs::exists(path, error))
      return bad_input("{}: the model {} is gone", folder.string(), path.string());
    return path;
  }

  Status add_data() {
    const Project::Data& d = project_.data;
    Json recipe = {{"version", kDataVersion},  {"validation", d.validation},
                   {"near", d.near_duplicate}, {"seed", d.seed},
                   {"system", d.system},       {"files", Json::array()}};
    for (const std::string& file : d.train) {
      SLLM_TRY(const std::string hash, hash_path(project_.path(file)));
      recipe["files"].push_back({{"name", file}, {"sha256", hash}});
    }
    SLLM_TRY(recipe["test"], hash_path(project_.path(d.test)));
    if (!d.augment.empty()) {
      SLLM_TRY(const std::string hash, hash_path(project_.path(d.augment)));
      recipe["augment"] = {{"name", d.augment}, {"sha256", hash}, {"count", d.augment_count}};
    }
    std::vector<std::string> after;
    if (project_.evaluate.grounded) {
      recipe["passages"] = project_.index.passages;
      after = {"index"};
    }
    graph_.add({"data", after, recipe, [project = project_](const StageContext& context) {
                  return make_data(project, context);
                }});
    return ok();
  }

  static Status make_data(const Project& project, const StageContext& context) {
    const Project::Data& d = project.data;
    std::vector<fs::path> inputs;
    for (const std::string& file : d.train) inputs.push_back(project.path(file));
    if (!d.augment.empty()) {
      SLLM_TRY(const Grammar grammar, Grammar::read(project.path(d.augment)));
      SLLM_TRY(const auto pairs, grammar.expand({d.augment_count, static_cast<uint64_t>(d.seed)}));
      const fs::path file = context.folder / "augmented.jsonl";
      SLLM_OK(write_file_atomically(file, to_jsonl(pairs)));
      inputs.push_back(file);
    }
    // The held-out rows are read here so that a broken one is found before hours of tuning.
    SLLM_TRY(const auto rows, eval::read_test_rows(project.path(d.test)));
    SLLM_OK(write_json(context.folder / "test.json", {{"rows", rows.size()}}));
    if (inputs.empty()) return ok();  // nothing is tuned
    ImportOptions options;
    options.read.system = d.system;
    options.eval_fraction = d.validation;
    options.test_fraction = 0;
    options.seed = static_cast<uint64_t>(d.seed);
    options.near_duplicate = d.near_duplicate;
    options.held_out = {project.path(d.test)};
    SLLM_TRY(const ImportSummary summary,
             import_data(inputs, context.folder / "rows", options, context.progress));
    log(LogLevel::kInfo, fmt::format("{} rows read, {} kept: {} to learn from, {} for the "
                                     "evaluation loss",
                                     summary.read, summary.kept, summary.train, summary.eval));
    return project.evaluate.grounded ? ground_rows(project, context) : ok();
  }

  // A model that will answer from documents is tuned on the prompts that it will see.
  static Status ground_rows(const Project& project, const StageContext& context) {
    SLLM_TRY(const auto index, Index::open(context.inputs.at("index") / "index.db"));
    GroundTrainingOptions options;
    options.ground.passages = static_cast<size_t>(project.index.passages);
    options.seed = static_cast<uint64_t>(project.data.seed);
    SLLM_TRY(const GroundTrainingSummary summary,
             ground_data(*index, context.folder / "rows", options));
    log(LogLevel::kInfo, fmt::format("grounded: {} answers with a citation, {} refusals",
                                     summary.cited, summary.refused + summary.withheld));
    return ok();
  }

  void add_tune() {
    TuneOptions recipe = project_.tune.options;
    graph_.add({"tune",
                {"pull", "data"},
                {{"version", kTuneVersion}, {"options", to_toml(recipe)}},
                [project = project_](const StageContext& context) {
                  return make_adapter(project, context);
                },
                /*resumes=*/true});
  }

  static Status make_adapter(const Project& project, const StageContext& context) {
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
    Json evals = Json::array();
    for (const auto& [step, loss] : result.eval_loss) evals.push_back({step, loss});
    return write_json(context.folder / "tune.json",
                      {{"adapter", fs::relative(result.adapter, context.folder).string()},
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

  Json lineage() const {
    return {{"project", project_.name}, {"goal", project_.goal}, {"base", project_.base}};
  }

  void add_merge() {
    graph_.add({"merge",
                {"pull", "tune"},
                {{"version", kMergeVersion}, {"lineage", lineage()}},
                [lineage = lineage().dump()](const StageContext& context) -> Status {
                  SLLM_TRY(const fs::path base, model_in(context.inputs.at("pull")));
                  const fs::path tuned = context.inputs.at("tune");
                  SLLM_TRY(const Json tune, read_json(tuned / "tune.json"));
                  SLLM_TRY(auto adapter,
                           read_peft_adapter(tuned / tune.value("adapter", std::string())));
                  SLLM_TRY(std::shared_ptr<const ModelSource> source, ModelSource::open(base));
                  ThreadPool pool;
                  SLLM_TRY(ModelToWrite model, merge_adapter(source, std::move(adapter), pool));
                  model.description["sllm.lineage"] = lineage;
                  SLLM_TRY(const WrittenModel written,
                           write_model(context.folder / "model.gguf", std::move(model), pool,
                                       context.progress));
                  log(LogLevel::kInfo,
                      fmt::format("merged: {:.1f} MB", static_cast<double>(written.bytes) / 1e6));
                  return ok();
                }});
  }

  void add_quantize(const std::string& type, bool tuned) {
    const std::string from = tuned ? "merge" : "pull";
    graph_.add({"quantize-" + type,
                {from},
                {{"version", kQuantizeVersion}, {"type", type}, {"lineage", lineage()}},
                [from, type, lineage = lineage().dump()](const StageContext& context) -> Status {
                  SLLM_TRY(const fs::path path, model_in(context.inputs.at(from)));
                  SLLM_TRY(std::shared_ptr<const ModelSource> source, ModelSource::open(path));
                  SLLM_TRY(const Recipe recipe, find_recipe(type));
                  ModelToWrite model = as_written(source);
                  apply_recipe(model, recipe, /*pure=*/false);
                  model.description["sllm.lineage"] = lineage;
                  ThreadPool pool;
                  SLLM_TRY(const WrittenModel written,
                           write_model(context.folder / "model.gguf", std::move(model), pool,
                                       context.progress));
                  log(LogLevel::kInfo, fmt::format("{}: {:.1f} MB", recipe.name,
                                                   static_cast<double>(written.bytes) / 1e6));
                  return ok();
                }});
  }

  Status add_index() {
    if (project_.index.documents.empty()) return ok();
    const fs::path documents = project_.path(project_.index.documents);
    SLLM_TRY(const std::string hash, hash_path(documents));
    graph_.add({"index",
                {},
                {{"version", kIndexVersion}, {"documents", hash}},
                [documents](const StageContext& context) -> Status {
                  SLLM_TRY(
                      const IndexUpdate update,
                      Index::update(context.folder / "index.db", documents, {}, context.progress));
                  for (const std::string& reason : update.skipped_reasons)
                    log(LogLevel::kWarning, reason);
                  return ok();
                }});
    return ok();
  }

  Json evaluation_recipe(const std::string& label, int64_t examples) const {
    const Project::Evaluate& e = project_.evaluate;
    return {{"version", kEvaluateVersion},
            {"label", label},
            {"examples", examples},
            {"metrics", e.metrics},
            {"mode", e.mode},
            {"max_tokens", e.max_tokens},
            {"context", project_.deploy.context},
            {"threads", project_.threads},
            {"grounded", e.grounded},
            {"passages", project_.index.passages},
            {"tasks", e.tasks},
            {"limit", e.limit},
            {"perplexity", e.perplexity},
            {"chunks", e.chunks}};
  }

  // `from`: the stage with the model; `kld_from`: the stage with the one to compare with, or "".
  void add_evaluate(const std::string& suffix, Role role, const std::string& label,
                    const std::string& from, const std::string& kld_from) {
    std::vector<std::string> after = {from, "pull", "data"};
    const bool grounded = project_.evaluate.grounded;
    if (grounded) after.push_back("index");
    if (!kld_from.empty()) after.push_back(kld_from);
    std::ranges::sort(after);
    after.erase(std::ranges::unique(after).begin(), after.end());
    graph_.add({"evaluate-" + suffix, after, evaluation_recipe(label, 0),
                [=, project = project_](const StageContext& context) -> Status {
                  EvaluateInput input;
                  input.role = role, input.label = label;
                  SLLM_TRY(input.model, model_in(context.inputs.at(from)));
                  SLLM_TRY(const Json base, read_json(context.inputs.at("pull") / "model.json"));
                  input.licence = base.value("licence", std::string());
                  input.shown_as = role == Role::kBase ? project.base : project.name;
                  if (grounded) input.index = context.inputs.at("index") / "index.db";
                  if (!kld_from.empty()) {
                    SLLM_TRY(input.kld_base, model_in(context.inputs.at(kld_from)));
                  }
                  return evaluate_into(project, std::move(input), context);
                }});
    evaluations_.push_back("evaluate-" + suffix);
  }

  static Status evaluate_into(const Project& project, EvaluateInput input,
                              const StageContext& context) {
    SLLM_TRY(input.rows, eval::read_test_rows(project.path(project.data.test)));
    SLLM_TRY(const Candidate candidate, evaluate_model(project, input, context.progress));
    for (const std::string& metric : project.evaluate.metrics)
      if (const auto f = candidate.figure(metric, ""))
        log(LogLevel::kInfo,
            fmt::format("{}: {} {:.1f} % ± {:.1f} over {} rows", input.label, metric,
                        100 * f->value, 100 * f->standard_error, f->items));
    return write_json(context.folder / "result.json", candidate.to_json());
  }

  Status add_reference(const Reference& reference) {
    const std::string name = model_name(reference.model);
    auto path = resolve_model(name);
    if (!path.ok() && options_.fetch) path = pull_model(name, options_.progress);
    if (!path.ok()) {  // a comparison, not a requirement
      log(LogLevel::kWarning, fmt::format("the reference model {} is left out: {}", reference.model,
                                          path.error().message));
      return ok();
    }
    const std::string file = !reference.examples_file.empty() ? reference.examples_file
                             : project_.data.train.empty()    ? project_.data.test
                                                              : project_.data.train.front();
    const bool own_examples = !reference.examples_file.empty() || !project_.data.train.empty();
    if (reference.examples > 0 && !own_examples)
      return usage_error("{}: [[evaluate.reference]] examples needs an examples_file",
                         project_.file.string());
    Json recipe = evaluation_recipe(reference.model, reference.examples);
    if (reference.examples > 0) {
      SLLM_TRY(recipe["examples_file"], hash_path(project_.path(file)));
    }
    SLLM_TRY(recipe["sha256"], hash_path(path.value()));
    std::vector<std::string> after = {"data"};
    const bool grounded = project_.evaluate.grounded;
    if (grounded) after.push_back("index");
    std::string suffix = fs::path(reference.model).filename().string();
    for (char& c : suffix)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '-';
    suffix = "reference-" + suffix;
    graph_.add(
        {"evaluate-" + suffix, after, recipe,
         [=, project = project_, model = path.value()](const StageContext& context) -> Status {
           EvaluateInput input;
           input.role = Role::kReference;
           input.label = fs::path(reference.model).stem().string();
           input.shown_as = reference.model;
           input.model = model;
           SLLM_TRY(const auto source, ModelSource::open(model));
           input.licence = licence_of(*source, reference.model);
           if (grounded) input.index = context.inputs.at("index") / "index.db";
           if (reference.examples > 0) {
             SLLM_TRY(const auto rows, eval::read_test_rows(project.path(file)));
             for (size_t i = 0; i < rows.size() && i < size_t(reference.examples); ++i) {
               const Message& question = rows[i].prompt.back();
               input.examples.push_back(question);
               input.examples.push_back({"assistant", rows[i].expected, {}});
             }
           }
           return evaluate_into(project, std::move(input), context);
         }});
    evaluations_.push_back("evaluate-" + suffix);
    return ok();
  }

  void add_report() {
    std::vector<std::string> after;
    for (const Stage& stage : graph_.stages()) after.push_back(stage.name);
    Json thresholds = Json::array();
    for (const Threshold& t : project_.thresholds) thresholds.push_back(t.to_string());
    const Json recipe = {{"version", kReportVersion},
                         {"program", options_.version},
                         {"name", project_.name},
                         {"goal", project_.goal},
                         {"language", project_.report_language},
                         {"languages", project_.languages},
                         {"thresholds", thresholds},
                         {"memory_mb", project_.memory_mb},
                         {"disk_mb", project_.disk_mb},
                         {"deploy", project_.deploy.type}};
    graph_.add({"report", after, recipe,
                [project = project_, options = options_,
                 evaluations = evaluations_](const StageContext& context) {
                  return write_report(project, evaluations, options.version, options.command,
                                      context);
                }});
  }

  void add_deploy_check() {
    const std::string shipped = "quantize-" + project_.deploy.type;
    const std::string evaluated = "evaluate-" + project_.deploy.type;
    graph_.add(
        {"deploy-check",
         {shipped, evaluated, "report"},
         {{"version", kDeployVersion},
          {"host", project_.deploy.host},
          {"port", project_.deploy.port},
          {"context", project_.deploy.context}},
         [=, project = project_](const StageContext& context) -> Status {
           SLLM_TRY(const Json verdict, read_json(context.inputs.at("report") / "verdict.json"));
           if (!verdict.value("passed", false))
             return with_hint(
                 make_error(ErrorCode::kThreshold, "{}",
                            verdict.value("sentence", std::string("a threshold was missed"))),
                 "See " + (latest_folder(project) / "report.html").string());
           SLLM_TRY(const fs::path model, model_in(context.inputs.at(shipped)));
           return deploy_check(project, model, context.inputs.at(evaluated), context.folder);
         }});
  }

  // Opens the file as a server would and asks it one held-out question: the answer must be the one
  // that was evaluated.
  static Status deploy_check(const Project& project, const fs::path& model,
                             const fs::path& evaluated, const fs::path& out) {
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
        return make_error(ErrorCode::kInternal,
                          "{}: answers \"{}\" where the evaluation got \"{}\"", model.string(),
                          reply.text, scored.reply.text);
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

  const Project& project_;
  const StageOptions& options_;
  StageGraph graph_;
  std::vector<std::string> evaluations_;
};

// runs/latest: links to what the last run made, replaced as a whole.
Status publish(const Project& project, const std::vector<PlannedStage>& stages) {
  const fs::path latest = latest_folder(project);
  SLLM_TRY(AtomicDir folder, AtomicDir::create(latest));
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
    if (stage.name == "index" && fs::exists(stage.folder / "index.db", error))
      fs::create_symlink(fs::path("..") / "stages" / stage.folder.filename() / "index.db",
                         folder.path() / "index.db", error);
  }
  fs::copy_file(project.file, folder.path() / "sllm.toml", error);
  return folder.commit();
}

}  // namespace

Result<Json> read_json(const fs::path& path) {
  SLLM_TRY(const std::string text, read_file(path));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded())
    return with_hint(bad_input("{}: not JSON", path.string()),
                     fmt::format("Remove {} and run again", path.parent_path().string()));
  return json;
}

fs::path stages_folder(const Project& project) { return project.folder / "runs" / "stages"; }
fs::path latest_folder(const Project& project) { return project.folder / "runs" / "latest"; }

Result<StageGraph> build_stages(const Project& project, const StageOptions& options) {
  return Builder(project, options).build();
}

Result<RunResult> run_project(
    const Project& project, const StageOptions& options,
    const std::function<void(const PlannedStage&, size_t, size_t)>& on_stage) {
  SLLM_TRY(StageGraph graph, build_stages(project, options));
  RunResult result;
  const auto note = [&](const PlannedStage& stage, size_t index, size_t count) {
    if (!stage.done) result.ran.push_back(stage.name);
    if (on_stage) on_stage(stage, index, count);
  };
  auto ran = graph.run(options.progress, note);
  result.stages = graph.plan();
  const auto stage = [&](const std::string& name) {
    return *std::ranges::find(result.stages, name, &PlannedStage::name);
  };
  if (const PlannedStage report = stage("report"); report.done && !result.ran.empty())
    SLLM_OK(publish(project, result.stages));
  if (!ran.ok()) return std::move(ran).error();
  SLLM_TRY(const Json verdict, read_json(stage("report").folder / "verdict.json"));
  result.sentence = verdict.value("sentence", std::string());
  result.report = latest_folder(project) / "report.html";
  return result;
}

}  // namespace sllm::project
