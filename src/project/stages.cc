// What each stage does, and what decides whether it must be done again: its recipe.
#include "project/stages.h"

#include <algorithm>

#include "hub/resolve.h"
#include "io/model_source.h"
#include "models/registry.h"
#include "project/base_check.h"
#include "project/gate.h"
#include "project/report_stage.h"
#include "project/stage_bodies.h"
#include "train/options.h"

namespace sllm::project {
namespace {

// Raised when a stage's code changes what it makes from the same inputs.
constexpr int kDataVersion = 1, kTuneVersion = 1, kMergeVersion = 1, kQuantizeVersion = 1,
              kIndexVersion = 1, kQuestionsVersion = 1, kEvaluateVersion = 1, kReportVersion = 2,
              kDeployVersion = 1, kGateVersion = 1;

Result<fs::path> examples_file(const Project& project, const Reference& reference) {
  if (!reference.examples_file.empty()) return project.path(reference.examples_file);
  if (!project.data.train.empty()) return project.path(project.data.train.front());
  return usage_error("{}: [[evaluate.reference]] examples needs an examples_file",
                     project.file.string());
}

class Builder {
 public:
  Builder(const Project& project, const StageOptions& options)
      : project_(project), options_(options), graph_(stages_folder(project)) {}

  Result<StageGraph> build() {
    SLLM_OK(hash_evaluation_files());
    SLLM_OK(add_pull());
    SLLM_OK(add_index());
    SLLM_OK(add_questions());
    SLLM_OK(add_data());
    const bool tuned = project_.tune.method != "none";
    if (tuned) {
      add_tune();
      add_merge();
    }
    for (const std::string& type : project_.quantize) add_quantize(type, tuned);
    add_gate_serve();
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
    SLLM_OK(check_use(project_));
    const std::string name = model_name(project_.base);
    Json recipe = {{"model", project_.base}};
    std::error_code error;
    if (fs::exists(name, error)) {
      SLLM_TRY(recipe["sha256"], hash_path(name));
    }
    if (project_.use == "commercial") recipe["use"] = project_.use;
    graph_.add({"pull", {}, recipe, [project = project_, name](const StageContext& context) {
                  return pull_base(project, name, context);
                }});
    // A cache that was emptied since: fetch again.
    for (const PlannedStage& stage : graph_.plan())
      if (stage.done)
        if (const auto model = model_in(stage.folder); !model.ok())
          fs::remove_all(stage.folder, error);
    return ok();
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

  Json lineage() const {
    return {{"project", project_.name}, {"goal", project_.goal}, {"base", project_.base}};
  }

  void add_merge() {
    graph_.add({"merge",
                {"pull", "tune"},
                {{"version", kMergeVersion}, {"lineage", lineage()}},
                [lineage = lineage().dump()](const StageContext& context) {
                  return merge_model(lineage, context);
                }});
    add_gate_merge();
  }

  void add_gate(const std::string& border, std::vector<std::string> after,
                std::function<Status(const StageContext&)> body) {
    after.push_back("data");  // its held-out rows are asked
    graph_.add({"gate-" + border, std::move(after), {{"version", kGateVersion}}, std::move(body)});
    gates_.push_back("gate-" + border);
  }

  void add_gate_merge() {
    add_gate("merge", {"pull", "tune", "merge"},
             [project = project_](const StageContext& context) -> Status {
               SLLM_TRY(const fs::path base, model_in(context.inputs.at("pull")));
               SLLM_TRY(const fs::path merged, model_in(context.inputs.at("merge")));
               const fs::path tuned = context.inputs.at("tune");
               SLLM_TRY(const Json tune, read_json(tuned / "tune.json"));
               const auto made = [&](const char* key) {
                 return (tuned / tune.value(key, std::string())).string();
               };
               if (tune.contains("model"))
                 return gate_files(project, "merge", {made("model"), {}, {}},
                                   {merged.string(), {}, {}}, context);
               return gate_files(project, "merge", {base.string(), made("adapter"), {}},
                                 {merged.string(), {}, {}}, context);
             });
  }

  void add_gate_quantize(const std::string& type, const std::string& from) {
    const std::string made = "quantize-" + type;
    add_gate(type, {from, made}, [=, project = project_](const StageContext& context) -> Status {
      SLLM_TRY(const fs::path before, model_in(context.inputs.at(from)));
      SLLM_TRY(const fs::path after, model_in(context.inputs.at(made)));
      return gate_files(project, type, {before.string(), {}, {}}, {after.string(), {}, {}},
                        context);
    });
  }

  void add_gate_serve() {
    const std::string shipped = "quantize-" + project_.deploy.type;
    add_gate("serve", {shipped}, [=, project = project_](const StageContext& context) -> Status {
      SLLM_TRY(const fs::path model, model_in(context.inputs.at(shipped)));
      return gate_server(project, model, context);
    });
  }

  void add_quantize(const std::string& type, bool tuned) {
    const std::string from = tuned ? "merge" : "pull";
    graph_.add({"quantize-" + type,
                {from},
                {{"version", kQuantizeVersion}, {"type", type}, {"lineage", lineage()}},
                [from, type, lineage = lineage().dump()](const StageContext& context) {
                  return quantize_model(from, type, lineage, context);
                }});
    add_gate_quantize(type, from);
  }

  Status add_index() {
    if (project_.index.documents.empty()) return ok();
    const fs::path documents = project_.path(project_.index.documents);
    SLLM_TRY(const std::string hash, hash_path(documents));
    graph_.add(
        {"index",
         {},
         {{"version", kIndexVersion}, {"documents", hash}},
         [documents](const StageContext& context) { return index_documents(documents, context); }});
    return ok();
  }

  // Apart from the index, whose passages training reads: learning from a question must not begin
  // with finding it, and new questions must not begin the tuning anew.
  Status add_questions() {
    if (project_.index.questions.empty()) return ok();
    SLLM_TRY(const std::string test, hash_path(project_.path(project_.data.test)));
    Json recipe = {{"version", kQuestionsVersion},
                   {"near", project_.data.near_duplicate},
                   {"test", test},
                   {"files", Json::array()}};
    for (const std::string& file : project_.index.questions) {
      SLLM_TRY(const std::string hash, hash_path(project_.path(file)));
      recipe["files"].push_back({{"name", file}, {"sha256", hash}});
    }
    graph_.add({"questions", {"index"}, recipe, [project = project_](const StageContext& context) {
                  return learn_questions(project, context);
                }});
    return ok();
  }

  // The stage whose index answers are looked up in.
  std::string searched() const { return project_.index.questions.empty() ? "index" : "questions"; }

  // Texts and tasks that evaluation reads, by what they hold.
  Status hash_evaluation_files() {
    const Project::Evaluate& e = project_.evaluate;
    evaluation_files_ = Json::object();
    if (!e.perplexity.empty()) {
      SLLM_TRY(evaluation_files_["perplexity"], hash_path(project_.path(e.perplexity)));
    }
    if (!e.tasks.empty()) {
      SLLM_TRY(evaluation_files_["tasks"], hash_path(project_.path(e.tasks_dir)));
    }
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
            {"files", evaluation_files_},
            {"chunks", e.chunks}};
  }

  // `from`: the stage with the model; `kld_from`: the stage with the one to compare with, or "".
  void add_evaluate(const std::string& suffix, Role role, const std::string& label,
                    const std::string& from, const std::string& kld_from) {
    std::vector<std::string> after = {from, "pull", "data"};
    const std::string index = project_.evaluate.grounded ? searched() : "";
    if (!index.empty()) after.push_back(index);
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
                  if (!index.empty()) input.index = context.inputs.at(index) / "index.db";
                  if (!kld_from.empty()) {
                    SLLM_TRY(input.kld_base, model_in(context.inputs.at(kld_from)));
                  }
                  return evaluate_into(project, std::move(input), context);
                }});
    evaluations_.push_back("evaluate-" + suffix);
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
    Json recipe = evaluation_recipe(reference.model, reference.examples);
    if (reference.examples > 0) {
      SLLM_TRY(const fs::path file, examples_file(project_, reference));
      SLLM_TRY(recipe["examples_file"], hash_path(file));
    }
    SLLM_TRY(recipe["sha256"], hash_path(path.value()));
    std::vector<std::string> after = {"data"};
    const std::string index = project_.evaluate.grounded ? searched() : "";
    if (!index.empty()) after.push_back(index);
    graph_.add({reference_stage(reference), after, recipe,
                [reference, index, project = project_, model = path.value(),
                 label = model_name(reference.model)](const StageContext& context) -> Status {
                  EvaluateInput input;
                  input.role = Role::kReference;
                  input.label = label;
                  input.shown_as = reference.model;
                  input.model = model;
                  SLLM_TRY(const auto source, open_model(model));
                  input.licence = licence_of(*source, reference.model);
                  if (!index.empty()) input.index = context.inputs.at(index) / "index.db";
                  SLLM_TRY(input.examples, reference_examples(project, reference));
                  return evaluate_into(project, std::move(input), context);
                }});
    evaluations_.push_back(reference_stage(reference));
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
                [project = project_, options = options_, evaluations = evaluations_,
                 gates = gates_](const StageContext& context) {
                  return write_report(project, evaluations, gates, options.version, options.command,
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

  const Project& project_;
  const StageOptions& options_;
  StageGraph graph_;
  std::vector<std::string> evaluations_, gates_;
  Json evaluation_files_;
};

}  // namespace

std::string reference_stage(const Reference& reference) {
  std::string name = fs::path(reference.model).filename().string();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '-';
  return "evaluate-reference-" + name;
}

Result<Conversation> reference_examples(const Project& project, const Reference& reference) {
  Conversation examples;
  if (reference.examples == 0) return examples;
  SLLM_TRY(const fs::path file, examples_file(project, reference));
  SLLM_TRY(const auto rows, eval::read_test_rows(file));
  for (size_t i = 0; i < rows.size() && i < static_cast<size_t>(reference.examples); ++i) {
    examples.push_back(rows[i].prompt.back());
    examples.push_back({"assistant", rows[i].expected, {}});
  }
  return examples;
}

fs::path runs_folder(const Project& project) {
  const fs::path runs = project.folder / "runs", stem = project.file.stem();
  return stem == "sllm" ? runs : runs / stem;
}
fs::path stages_folder(const Project& project) { return runs_folder(project) / "stages"; }
fs::path latest_folder(const Project& project) { return runs_folder(project) / "latest"; }

bool is_published(const Project& project, const fs::path& report) {
  const auto shown = read_file(latest_folder(project) / "lineage.json");
  const auto made = read_file(report / "lineage.json");
  return shown.ok() && made.ok() && *shown == *made;
}

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
  if (const PlannedStage report = stage("report");
      report.done && (!result.ran.empty() || !is_published(project, report.folder)))
    SLLM_OK(publish(project, result.stages));
  if (!ran.ok()) return std::move(ran).error();
  SLLM_TRY(const Json verdict, read_json(stage("report").folder / "verdict.json"));
  result.sentence = verdict.value("sentence", std::string());
  result.report = latest_folder(project) / "report.html";
  return result;
}

}  // namespace sllm::project
