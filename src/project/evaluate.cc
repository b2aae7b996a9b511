// Loads, answers, scores, and says what it cost.
#include "project/evaluate.h"

#include <malloc.h>

#include <chrono>
#include <fstream>

#include "eval/harness.h"
#include "eval/perplexity.h"
#include "ground/answer.h"
#include "tensor/tensor.h"

namespace sllm::project {
namespace {

double since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

eval::Answerer grounded_answerer(Engine& engine, const Index& index, const Project& project) {
  return [&](const Conversation& prompt) -> Result<eval::Reply> {
    GroundOptions options;
    options.passages = static_cast<size_t>(project.index.passages);
    options.max_tokens = project.evaluate.max_tokens;
    SLLM_TRY(const GroundedAnswer answer, ask(engine, index, prompt.back().content, options));
    eval::Reply reply;
    reply.text = answer.text;
    reply.seconds_to_first = answer.seconds_to_first;
    reply.seconds = answer.seconds;
    reply.tokens = static_cast<int64_t>(engine.tokenizer()->encode(answer.text).size());
    reply.abstained = !answer.known;
    for (const Citation& citation : answer.citations) reply.cited.push_back(citation.chunk.text);
    return reply;
  };
}

Status run_tasks(const Project& project, Engine& engine, Candidate& candidate,
                 const ProgressSink& progress) {
  if (project.evaluate.tasks.empty()) return ok();
  SLLM_TRY(const eval::TaskCatalogue catalogue,
           eval::list_tasks(project.path(project.evaluate.tasks_dir)));
  SLLM_TRY(const std::vector<fs::path> files, catalogue.resolve(project.evaluate.tasks));
  for (const fs::path& file : files) {
    SLLM_TRY(const eval::TaskConfig config, eval::read_task_config(file));
    SLLM_TRY(eval::Task task, eval::Task::load(config));
    SLLM_TRY(const eval::TaskResult result,
             eval::run_task(engine, task, {project.evaluate.limit, progress}));
    for (size_t i = 0; i < result.metrics.size(); ++i) {
      const eval::MetricResult& m = result.metrics[i];
      const eval::Figure figure{m.value, m.standard_error.value_or(0), result.documents};
      if (i == 0) candidate.tasks[result.task] = figure;
      candidate.tasks[result.task + "." + m.metric] = figure;
    }
  }
  return ok();
}

}  // namespace

int64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  return 0;
}

bool reset_peak_memory() {
  release_kept_buffers();
  malloc_trim(0);
  std::ofstream file("/proc/self/clear_refs");
  file << "5";  // Linux: resets VmHWM to the present resident size
  file.flush();
  return file.good();
}

int64_t size_on_disk(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return static_cast<int64_t>(fs::file_size(path, error));
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path, error))
    if (entry.is_regular_file(error)) bytes += static_cast<int64_t>(entry.file_size(error));
  return bytes;
}

Result<Candidate> evaluate_model(const Project& project, const EvaluateInput& input,
                                 const ProgressSink& progress) {
  SLLM_TRY(const Numerics numerics, numerics_from_name(project.evaluate.mode));
  Candidate candidate;
  candidate.role = input.role;
  candidate.label = input.label;
  candidate.model = input.shown_as;
  candidate.licence = input.licence;
  candidate.bytes = size_on_disk(input.model);
  candidate.examples = static_cast<int64_t>(input.examples.size()) / 2;
  reset_peak_memory();
  {
    const auto begin = std::chrono::steady_clock::now();
    EngineOptions options;
    options.numerics = numerics;
    options.threads = static_cast<int>(project.threads);
    options.context = project.deploy.context;
    eval::AnswerOptions answers;
    options.max_sequences = answers.parallel;
    SLLM_TRY(const std::shared_ptr<Engine> engine, Engine::open(input.model, options));
    candidate.load_seconds = since(begin);
    answers.metrics = project.evaluate.metrics;
    answers.max_tokens = project.evaluate.max_tokens;
    answers.examples = input.examples;
    answers.progress = progress;
    std::shared_ptr<Index> index;
    if (!input.index.empty()) {
      SLLM_TRY(index, Index::open(input.index));
      answers.metrics.insert(answers.metrics.end(), {"cited", "refused", "falsely_refused"});
    }
    const eval::Answerer answerer = index ? grounded_answerer(*engine, *index, project)
                                          : eval::engine_answerer(*engine, answers);
    SLLM_TRY(candidate.answers, eval::evaluate_answers(input.rows, answerer, answers));
    candidate.peak_memory = peak_memory();
    SLLM_OK(run_tasks(project, *engine, candidate, progress));
    if (!project.evaluate.perplexity.empty() && input.role != Role::kReference) {
      SLLM_TRY(const std::string text, read_file(project.path(project.evaluate.perplexity)));
      eval::PerplexityOptions options_of_text;
      options_of_text.chunks = project.evaluate.chunks;
      options_of_text.progress = progress;
      SLLM_TRY(const eval::Perplexity p, eval::perplexity(*engine, text, options_of_text));
      candidate.perplexity = p.value;
    }
  }
  if (!input.kld_base.empty() && !project.evaluate.perplexity.empty()) {
    SLLM_TRY(const std::string text, read_file(project.path(project.evaluate.perplexity)));
    eval::PerplexityOptions options;
    options.chunks = project.evaluate.chunks;
    options.progress = progress;
    SLLM_TRY(const eval::Divergence d,
             eval::divergence(input.model, input.kld_base, text, numerics,
                              static_cast<int>(project.threads), options));
    candidate.kld = d.kld_mean;
    candidate.top1_agree = d.top1_agree;
  }
  return candidate;
}

}  // namespace sllm::project
