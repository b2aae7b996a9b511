// Runs tasks against an engine and reports what lm-evaluation-harness would report.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/task.h"
#include "infer/engine.h"

namespace sllm::eval {

struct TaskOptions {
  int64_t limit = 0;  // documents per task; 0: all
  ProgressSink progress;
};

struct MetricResult {
  std::string metric, filter;  // filter "none" unless the task defines some
  double value = 0;
  std::optional<double> standard_error;
};
struct SampleResult {
  int64_t document = 0;
  std::vector<double> logprobs;      // per choice
  std::vector<std::string> answers;  // per filter, generate_until
};
struct TaskResult {
  std::string task;
  int64_t documents = 0;
  std::vector<MetricResult> metrics;
  std::vector<SampleResult> samples;
  double seconds = 0;
};

// A context and continuation tokenized as the harness' `hf` model does: white space at the end of
// the context moves to the continuation, both are encoded together and split at the length of the
// encoded context, and what exceeds `max_length` + 1 tokens is cut on the left.
Result<ScoreRequest> encode_pair(const Tokenizer& tokenizer, const std::string& context,
                                 const std::string& continuation, int64_t max_length);

Result<TaskResult> run_task(Engine& engine, Task& task, const TaskOptions& options);

}  // namespace sllm::eval
