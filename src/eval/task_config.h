// A task of lm-evaluation-harness as its YAML describes it (0.4.13, config/task.py). Keys keep
// their YAML names; unknown ones are errors that name the file and line.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "eval/documents.h"

namespace sllm::eval {

enum class OutputType { kLoglikelihood, kMultipleChoice, kGenerateUntil };

// What a doc_to_* key holds: a Jinja template or column name, a fixed value, or `!function a.b`.
struct Field {
  enum class Kind { kAbsent, kTemplate, kValue, kFunction } kind = Kind::kAbsent;
  std::string text;  // template, or the function's name
  Json value;
  bool present() const { return kind != Kind::kAbsent; }
};

struct MetricConfig {
  std::string metric;
  Field aggregation;              // absent: the metric's own
  Json options = Json::object();  // ignore_case, ignore_punctuation, regexes_to_ignore, ...
};

struct FilterStep {
  std::string function;
  Json options = Json::object();
};
struct FilterConfig {
  std::string name = "none";
  std::vector<FilterStep> steps;
};

struct TaskConfig {
  fs::path file;
  std::string task;
  OutputType output_type = OutputType::kGenerateUntil;
  std::string dataset_path;  // "json", "csv" or "text"-like loader name
  std::map<std::string, std::vector<std::string>> data_files;  // split -> paths
  Json dataset_kwargs = Json::object();                        // the rest: field, delimiter, ...
  std::string training_split, validation_split, test_split, fewshot_split;
  Field process_docs, doc_to_text, doc_to_target, doc_to_choice;
  std::string description, target_delimiter = " ", fewshot_delimiter = "\n\n", gen_prefix;
  int64_t num_fewshot = 0;
  std::string sampler = "default";  // or "first_n"
  Json fewshot_samples;             // fewshot_config.samples: an array, or null
  std::vector<MetricConfig> metrics;
  std::vector<FilterConfig> filters;
  Json generation_kwargs = Json::object();
};

// Reads one task file with its `include`s. Errors: kUsage (what, file and line).
Result<TaskConfig> read_task_config(const fs::path& file);
// The same from text; `file` is for messages and for relative paths.
Result<TaskConfig> parse_task_config(const std::string& yaml, const fs::path& file);
// Task name -> file for every *.yaml below `folder`. Group files name their members' names.
struct TaskCatalogue {
  std::map<std::string, fs::path> tasks;
  std::map<std::string, std::vector<std::string>> groups;
  // Groups replaced by their members; an unknown name is kUsage with the nearest one.
  Result<std::vector<fs::path>> resolve(const std::vector<std::string>& names) const;
};
Result<TaskCatalogue> list_tasks(const fs::path& folder);

}  // namespace sllm::eval
