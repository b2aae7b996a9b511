// Estimates for the stages that are still to be run.
#include "project/plan.h"

#include <unistd.h>

#include <chrono>
#include <map>

#include "eval/answers.h"
#include "hub/catalogue.h"
#include "hub/resolve.h"
#include "project/evaluate.h"
#include "project/gate.h"
#include "project/workload.h"
#include "train/options.h"

namespace sllm::project {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kWrittenPerSecond = 2e8;  // bytes, synced to a common disk
constexpr int64_t kWindow = 512;           // tokens of a chunk of perplexity

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class ScratchFolder {
 public:
  ScratchFolder() : path_(fs::temp_directory_path() / fmt::format("sllm-plan-{}", ::getpid())) {
    std::error_code error;
    fs::remove_all(path_, error);
    fs::create_directories(path_, error);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string found_name(const Project& project, const std::string& name) {
  std::error_code error;
  const fs::path local = project.path(name);
  return fs::exists(local, error) ? local.string() : name;
}

Result<NewPlan> tuning_of(const Project& project, const TuningWork& work, const KnownModel& model) {
  TuneOptions options = project.tune.options;
  options.threads = static_cast<int>(project.threads);
  SLLM_TRY(const TuningSpeed speed,
           measure_tuning_speed(model.config, model.type_of, work, options));
  const TuneEstimate e = estimate_tune(model.config, work, options, speed);
  NewPlan plan;
  plan.seconds = e.seconds, plan.memory = e.memory;
  return plan;
}

class Planner {
 public:
  Planner(const Project& project, const std::vector<PlannedStage>& stages)
      : project_(project), stages_(stages), base_(known_model(found_name(project, project.base))) {}

  Result<std::vector<PlanLine>> lines() {
    SLLM_TRY(rows_, eval::read_test_rows(project_.path(project_.data.test)));
    SLLM_OK(read_rows());
    std::vector<PlanLine> lines;
    for (const PlannedStage& stage : stages_) {
      PlanLine line{stage, 0, 0, {}};
      if (stage.done)
        line.note = "done";
      else
        SLLM_OK(fill(line));
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  const PlannedStage& stage(std::string_view name) const {
    return *std::ranges::find(stages_, name, &PlannedStage::name);
  }

  // Passages and rows, from finished stages where there are any.
  Status read_rows() {
    if (!project_.index.documents.empty()) {
      SLLM_TRY(sample_, index_sample(project_.path(project_.index.documents), scratch_.path()));
    }
    const Index* index = project_.evaluate.grounded ? sample_.index.get() : nullptr;
    const auto begin = Clock::now();
    SLLM_TRY(prompts_, held_out_prompts(project_, rows_, index));
    const fs::path made = stage("data").folder / "rows" / "train.jsonl";
    std::error_code error;
    if (stage("data").done && fs::exists(made, error)) {
      SLLM_TRY(train_, read_examples(made));
    } else {
      SLLM_TRY(train_, tuning_rows(project_, index, scratch_.path()));
    }
    data_seconds_ = seconds_since(begin);
    return ok();
  }

  Status fill(PlanLine& line) {
    const std::string& name = line.stage.name;
    if (name == "pull") {
      const CatalogueEntry* entry = find_in_catalogue(project_.base);
      line.note = base_.ok() && !base_->path.empty() ? "is here"
                  : entry ? fmt::format("{:.0f} MB to fetch", entry->megabytes)
                          : "to fetch";
    } else if (name == "index") {
      line.seconds = sample_.seconds;
      line.note = fmt::format("{} documents, {:.1f} MB", sample_.documents,
                              static_cast<double>(sample_.bytes) / 1e6);
    } else if (name == "questions") {
      line.seconds = data_seconds_;
      line.note = fmt::format("{} files of known questions", project_.index.questions.size());
    } else if (name == "data") {
      line.seconds = data_seconds_;
      line.note = fmt::format("{} {} to learn from, {} held out", train_.size(),
                              project_.evaluate.grounded ? "conversations" : "rows", rows_.size());
    } else if (name == "report") {
      line.seconds = 0.5;
      line.note = (latest_folder(project_) / "report.html").string();
    } else if (name.starts_with("evaluate-reference-")) {
      return evaluate_reference(line);
    } else if (!base_.ok()) {
      line.note = "estimated once the base model is here";
    } else if (name == "tune") {
      return tune(line);
    } else if (name == "merge" || name.starts_with("quantize-")) {
      SLLM_TRY(const TypeOf types, types_of(name == "merge" ? "tuned" : name.substr(9)));
      const int64_t bytes = bytes_of_shape(base_->config, types);
      line.seconds = 0.5 + static_cast<double>(bytes) / kWrittenPerSecond;
      line.note = fmt::format("{:.0f} MB", static_cast<double>(bytes) / 1e6);
    } else if (name.starts_with("evaluate-")) {
      return evaluate(line, name.substr(9));
    } else if (name.starts_with("gate-")) {
      return gate(line, name.substr(5));
    } else if (name == "deploy-check") {
      SLLM_TRY(const AnswerSpeed speed, speed_of(project_.deploy.type));
      AnswerWork one = work_of(true, {}, *base_);
      one.rows = 1;
      line.seconds = 0.5 + speed.seconds(one);
      line.note = "one answer of the file that is deployed";
    }
    return ok();
  }

  // Both sides read the prompts and write the answers; the weights are read once more.
  Status gate(PlanLine& line, const std::string& border) {
    const std::string label = border == "merge"   ? "tuned"
                              : border == "serve" ? project_.deploy.type
                                                  : border;
    SLLM_TRY(const AnswerSpeed speed, speed_of(label));
    const AnswerWork prompts{kGatePrompts, kGatePromptTokens, 0},
        answers{kGateAnswers, kGatePromptTokens, kGateAnswerTokens};
    line.seconds = 1 + 2 * (speed.seconds(prompts) + speed.seconds(answers));
    line.note =
        border == "serve" ? "the server beside its file" : "what came out beside what went in";
    return ok();
  }

  Status tune(PlanLine& line) {
    const TuningWork work = tuning_work(train_, project_.tune.options, *base_);
    SLLM_TRY(const NewPlan plan, tuning_of(project_, work, *base_));
    line.seconds = plan.seconds, line.memory = plan.memory;
    line.note = fmt::format("{} steps, {} tokens", work.steps, work.tokens);
    return ok();
  }

  // "base", "tuned" or a recipe's name.
  Result<TypeOf> types_of(const std::string& label) const {
    if (label == "base") return base_->type_of;
    if (label == "tuned") return types_of_merged();
    return types_of_recipe(label, base_->config);
  }

  Result<AnswerSpeed> speed_of(const std::string& label) {
    if (const auto it = speeds_.find(label); it != speeds_.end()) return it->second;
    SLLM_TRY(const TypeOf types, types_of(label));
    SLLM_TRY(const AnswerSpeed speed, measure(base_->config, types));
    return speeds_[label] = speed;
  }

  Result<AnswerSpeed> measure(const ModelConfig& config, const TypeOf& types) const {
    SLLM_TRY(const Numerics numerics, numerics_from_name(project_.evaluate.mode));
    return measure_answer_speed(config, types, numerics, static_cast<int>(project_.threads));
  }

  AnswerWork work_of(bool tuned, const Conversation& examples, const KnownModel& model) const {
    return answer_work(prompts_, rows_, examples, tuned, project_.evaluate.max_tokens, model);
  }

  void put(PlanLine& line, const AnswerWork& work, const AnswerSpeed& speed, int64_t bytes) const {
    line.seconds = speed.seconds(work);
    line.memory = memory_while_answering(bytes);
    line.note = fmt::format("{} rows of {:.0f} tokens, answers of {:.0f}{}", work.rows,
                            work.prompt_tokens, work.answer_tokens,
                            project_.evaluate.tasks.empty() ? "" : "; without the tasks");
  }

  Status evaluate(PlanLine& line, const std::string& label) {
    SLLM_TRY(const TypeOf types, types_of(label));
    SLLM_TRY(const AnswerSpeed speed, speed_of(label));
    const bool tuned = label != "base" && project_.tune.method != "none";
    const int64_t bytes = label == "base" ? base_->bytes : bytes_of_shape(base_->config, types);
    put(line, work_of(tuned, {}, *base_), speed, bytes);
    if (!project_.evaluate.perplexity.empty()) {
      // A quantised model's text is read again for the divergence, and by its base too.
      const bool compared = label != "base" && label != "tuned";
      line.seconds += static_cast<double>(project_.evaluate.chunks * kWindow) * speed.prompt *
                      (compared ? 3 : 1);
    }
    return ok();
  }

  Status evaluate_reference(PlanLine& line) {
    for (const Reference& reference : project_.evaluate.references) {
      if (line.stage.name != reference_stage(reference)) continue;
      SLLM_TRY(const KnownModel model, known_model(found_name(project_, reference.model)));
      Conversation examples;
      if (!project_.evaluate.grounded) {  // grounded prompts do without
        SLLM_TRY(examples, reference_examples(project_, reference));
      }
      SLLM_TRY(const AnswerSpeed speed, measure(model.config, model.type_of));
      put(line, work_of(false, examples, model), speed, model.bytes);
    }
    return ok();
  }

  const Project& project_;
  const std::vector<PlannedStage>& stages_;
  ScratchFolder scratch_;
  Result<KnownModel> base_;
  SampleIndex sample_;
  std::vector<eval::TestRow> rows_;
  std::vector<Conversation> prompts_;
  std::vector<Example> train_;
  double data_seconds_ = 0;
  std::map<std::string, AnswerSpeed> speeds_;
};

}  // namespace

Result<std::vector<PlanLine>> plan_project(const Project& project, const StageOptions& options) {
  StageOptions here = options;
  here.fetch = false;
  SLLM_TRY(const StageGraph graph, build_stages(project, here));
  const std::vector<PlannedStage> stages = graph.plan();
  return Planner(project, stages).lines();
}

Result<NewPlan> plan_new(const Project& project) {
  constexpr int64_t kAssumedRows = 500, kAssumedTokens = 120, kAssumedPassage = 225;
  SLLM_TRY(const KnownModel model, known_model(found_name(project, project.base)));
  const ScratchFolder scratch;
  std::error_code error;
  bool here = true;
  for (const std::string& file : project.data.train)
    here = here && fs::exists(project.path(file), error);
  TuningWork work;
  NewPlan assumed;
  if (here) {
    SLLM_TRY(const std::vector<Example> rows, tuning_rows(project, nullptr, scratch.path()));
    assumed.rows = static_cast<int64_t>(rows.size());
    work = tuning_work(rows, project.tune.options, model);
    assumed.row = work.tokens / std::max<int64_t>(1, assumed.rows * project.tune.options.epochs);
  } else {
    const TuneOptions& options = project.tune.options;
    assumed.assumed = true, assumed.rows = kAssumedRows;
    assumed.row =
        kAssumedTokens + (project.evaluate.grounded ? project.index.passages : 0) * kAssumedPassage;
    assumed.row = std::min(assumed.row, options.max_length);
    work.tokens = options.epochs * assumed.rows * assumed.row;
    work.supervised = options.epochs * assumed.rows * kAssumedTokens / 4;
    work.longest = work.typical = assumed.row;
    work.bytes_of_weights = model.bytes;
  }
  SLLM_TRY(NewPlan plan, tuning_of(project, work, model));
  plan.rows = assumed.rows, plan.row = assumed.row, plan.assumed = assumed.assumed;
  plan.epochs = project.tune.options.epochs;
  return plan;
}

std::string human_time(double seconds) {
  return seconds < 1      ? "under 1 s"
         : seconds < 90   ? fmt::format("about {:.0f} s", seconds)
         : seconds < 5400 ? fmt::format("about {:.0f} min", seconds / 60)
                          : fmt::format("about {:.1f} h", seconds / 3600);
}

std::string NewPlan::to_string() const {
  return fmt::format(
      "tuning takes {} and {:.1f} GB of memory on this machine, for {} rows of {} "
      "tokens{} in {} epochs",
      human_time(seconds), static_cast<double>(memory) / 1e9, rows, row,
      assumed ? " (assumed: none are there yet)" : "", epochs);
}

}  // namespace sllm::project
