// Measures one model: perplexity, divergence, tasks, answers.
#include "cli/evaluation.h"

#include "eval/answers.h"
#include "eval/harness.h"
#include "eval/perplexity.h"
#include "eval/recorded.h"
#include "hub/resolve.h"
#include "train/options.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

Status measure_perplexity(Engine& engine, const EvaluationFlags& flags, const Globals& globals,
                          Json& out) {
  SLLM_TRY(const std::string text, read_file(flags.perplexity_file));
  SLLM_TRY(const eval::Perplexity p,
           eval::perplexity(engine, text, {flags.window, flags.chunks, progress_sink(globals)}));
  out["perplexity"] = p.value;
  out["perplexity_stderr"] = p.standard_error;
  out["perplexity_chunks"] = p.chunks;
  out["perplexity_tokens"] = p.tokens;
  return ok();
}

bool is_recorded(const EvaluationFlags& flags) {
  return !flags.kld_base.empty() && eval::RecordedPredictions::recognises(flags.kld_base);
}

Status measure_divergence(const ModelFlags& model, const EvaluationFlags& flags,
                          const Globals& globals, Json& out) {
  SLLM_TRY(const fs::path path, resolve_model(model.model));
  SLLM_TRY(const Numerics numerics, numerics_from_name(model.mode));
  const eval::PerplexityOptions options{flags.window, flags.chunks, progress_sink(globals),
                                        model.kv};
  const auto compare = [&]() -> Result<eval::Divergence> {
    if (is_recorded(flags))
      return eval::divergence_from_recorded(path, flags.kld_base, numerics, model.threads, options);
    SLLM_TRY(const std::string text, read_file(flags.perplexity_file));
    SLLM_TRY(const fs::path base, resolve_model(flags.kld_base));
    return eval::divergence(path, base, text, numerics, model.threads, options);
  };
  SLLM_TRY(const eval::Divergence d, compare());
  out["kld_mean"] = d.kld_mean;
  out["kld_stderr"] = d.kld_stderr;
  out["kld_max"] = d.kld_max;
  out["top1_agree"] = d.top1_agree;
  out["kld_tokens"] = d.tokens;
  return ok();
}

Json task_json(const eval::TaskResult& result) {
  Json out = {{"documents", result.documents}};
  Json errors = Json::object();
  for (const eval::MetricResult& m : result.metrics) {
    const std::string key = m.filter == "none" ? m.metric : m.metric + "," + m.filter;
    out[key] = m.value;
    errors[key] = m.standard_error ? Json(*m.standard_error) : Json(nullptr);
  }
  out["stderr"] = errors;
  return out;
}

Status run_tasks(Engine& engine, const EvaluationFlags& flags, const Globals& globals, Json& out) {
  SLLM_TRY(const eval::TaskCatalogue catalogue, eval::list_tasks(flags.tasks_dir));
  SLLM_TRY(const std::vector<fs::path> files, catalogue.resolve(flags.tasks));
  std::vector<eval::Task> tasks;  // all are read before the first is run
  for (const fs::path& file : files) {
    SLLM_TRY(eval::TaskConfig config, eval::read_task_config(file));
    if (flags.num_fewshot >= 0) config.num_fewshot = flags.num_fewshot;
    SLLM_TRY(eval::Task task, eval::Task::load(config));
    tasks.push_back(std::move(task));
  }
  std::string samples;
  double seconds = 0;
  int64_t items = 0;
  out["results"] = Json::object();
  for (eval::Task& task : tasks) {
    SLLM_TRY(const eval::TaskResult result,
             eval::run_task(engine, task, {flags.limit, progress_sink(globals)}));
    out["results"][result.task] = task_json(result);
    seconds += result.seconds;
    items += result.documents;
    for (const eval::SampleResult& s : result.samples)
      samples += Json{{"task", result.task},
                      {"doc_id", s.document},
                      {"logprobs", s.logprobs},
                      {"answers", s.answers}}
                     .dump() +
                 "\n";
  }
  out["items_s"] = seconds > 0 ? static_cast<double>(items) / seconds : 0;
  if (!flags.samples_file.empty()) return write_file_atomically(flags.samples_file, samples);
  return ok();
}

Status answer_rows(Engine& engine, const EvaluationFlags& flags, const Globals& globals,
                   Json& out) {
  SLLM_TRY(std::vector<eval::TestRow> rows, eval::read_test_rows(flags.answers_file));
  if (flags.limit > 0 && static_cast<int64_t>(rows.size()) > flags.limit) rows.resize(flags.limit);
  eval::AnswerOptions options;
  options.metrics = flags.metrics;
  options.max_tokens = flags.max_tokens;
  options.progress = progress_sink(globals);
  SLLM_TRY(const eval::AnswerReport report,
           eval::evaluate_answers(rows, eval::engine_answerer(engine, options), options));
  out.update(report.to_json());
  return ok();
}

}  // namespace

void add_evaluation_flags(CLI::App& app, EvaluationFlags& f) {
  app.add_option("--perplexity", f.perplexity_file, "Text whose perplexity to measure");
  app.add_option("--kld", f.kld_base,
                 "Model to compare the predictions on that text with, or "
                 "llama-perplexity's --kl-divergence-base file, which holds the text");
  app.add_option("--chunks", f.chunks, "Windows of the text; 0: all")->check(not_negative());
  app.add_option("--window", f.window, "Tokens in a window; the second half of each is scored")
      ->check(CLI::Range(int64_t{8}, int64_t{1} << 20))
      ->capture_default_str();
  app.add_option("--tasks", f.tasks, "lm-evaluation-harness tasks: names, groups or YAML files")
      ->delimiter(',');
  app.add_option("--tasks-dir", f.tasks_dir, "Folder of task files")->capture_default_str();
  app.add_option("--num-fewshot", f.num_fewshot, "Examples in each prompt, instead of the task's")
      ->check(CLI::Range(int64_t{0}, int64_t{1000}));
  app.add_option("--log-samples", f.samples_file,
                 "Write each document's scores to this JSONL file");
  app.add_option("--answers", f.answers_file, "Held-out conversations (JSONL) to answer");
  app.add_option("--metrics", f.metrics, "exact_match, json_match, token_f1, key_facts")
      ->delimiter(',');
  app.add_option("--max-tokens", f.max_tokens, "Tokens of an answer at most")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--limit", f.limit, "Documents or rows; 0: all")->check(not_negative());
}

Result<Json> evaluate(const ModelFlags& model, const EvaluationFlags& flags,
                      const Globals& globals) {
  if (!flags.kld_base.empty() && flags.perplexity_file.empty() && !is_recorded(flags))
    return with_hint(usage_error("--kld needs a text on which to compare the predictions"),
                     "Give it with --perplexity FILE");
  if (!flags.kld_base.empty() && !model.adapter.empty())
    return with_hint(usage_error("--kld compares two models, not one with an adapter"),
                     "Merge it first: sllm merge");
  if (flags.perplexity_file.empty() && flags.tasks.empty() && flags.answers_file.empty() &&
      flags.kld_base.empty())
    return with_hint(usage_error("nothing to measure was named"),
                     "Give --tasks, --perplexity or --answers");
  Json out = {{"model", model.model}, {"mode", model.mode}};
  if (!model.adapter.empty()) out["adapter"] = model.adapter;
  if (!flags.perplexity_file.empty() || !flags.tasks.empty() || !flags.answers_file.empty()) {
    SLLM_TRY(const std::shared_ptr<Engine> engine, open_engine(model));
    if (!flags.perplexity_file.empty()) SLLM_OK(measure_perplexity(*engine, flags, globals, out));
    if (!flags.tasks.empty()) SLLM_OK(run_tasks(*engine, flags, globals, out));
    if (!flags.answers_file.empty()) SLLM_OK(answer_rows(*engine, flags, globals, out));
  }
  if (!flags.kld_base.empty()) SLLM_OK(measure_divergence(model, flags, globals, out));
  return out;
}

std::vector<std::pair<std::string, std::string>> figure_rows(const Json& figures) {
  std::vector<std::pair<std::string, std::string>> rows;
  const auto with_error = [](double value, const Json& error) {
    return error.is_number() && error.get<double>() > 0
               ? fmt::format("{:.4f} ± {:.4f}", value, error.get<double>())
               : fmt::format("{:.4f}", value);
  };
  if (figures.contains("perplexity"))
    rows.emplace_back("perplexity",
                      with_error(figures["perplexity"], figures["perplexity_stderr"]));
  if (figures.contains("kld_mean")) {
    rows.emplace_back("KLD", fmt::format("{:.6f} ± {:.6f}", figures["kld_mean"].get<double>(),
                                         figures["kld_stderr"].get<double>()));
    rows.emplace_back("same top token",
                      fmt::format("{:.2f} %", 100 * figures["top1_agree"].get<double>()));
  }
  if (figures.contains("results"))
    for (const auto& [task, result] : figures["results"].items())
      for (const auto& [metric, error] : result["stderr"].items())
        rows.emplace_back(task + " " + metric, with_error(result[metric], error));
  if (figures.contains("metrics")) {
    for (const auto& [metric, languages] : figures["metrics"].items())
      for (const auto& [language, f] : languages.items())
        rows.emplace_back(
            fmt::format("{} ({}, {} rows)", metric, language, f["items"].get<int64_t>()),
            with_error(f["value"], f["stderr"]));
    rows.emplace_back("seconds to the first word",
                      fmt::format("{:.3f}", figures["first_word_seconds"].get<double>()));
  }
  return rows;
}

}  // namespace sllm::cli
