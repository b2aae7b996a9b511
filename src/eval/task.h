// A task ready to run: documents loaded, prompts built exactly as lm-evaluation-harness 0.4.13
// builds them (api/task.py), answers scored as it scores them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "eval/filters.h"
#include "eval/python_random.h"
#include "eval/task_config.h"
#include "eval/task_functions.h"
#include "eval/task_template.h"

namespace sllm::eval {

// A doc_to_* key made executable.
class DocField {
 public:
  static Result<DocField> compile(const Field& field, const std::string& task);
  bool present() const { return field_.present(); }
  // The value for one document; `columns` are the data set's column names.
  Result<Json> evaluate(const Json& doc, const std::vector<std::string>& columns) const;
  bool is_template() const { return field_.kind == Field::Kind::kTemplate; }

 private:
  Field field_;
  std::optional<TaskTemplate> template_;
  DocFunction function_;
};

// One document's requests and what is needed to score the answers.
struct Item {
  // (context, continuation) per choice; one pair for loglikelihood; empty for generate_until.
  std::vector<std::pair<std::string, std::string>> pairs;
  std::string context;  // generate_until
  std::vector<std::string> choices;
  std::vector<int64_t> gold;         // indices of right choices, -1: none of the choices
  bool several_gold = false;         // the target was a list
  std::vector<std::string> answers;  // right answers of generate_until
};

// One item's contribution to a metric: a number, or a gold/predicted pair for F1.
using Contribution = std::variant<double, Outcome>;
using Contributions = std::map<std::string, Contribution>;

struct ChoiceScore {
  double logprob = 0;
  bool greedy = false;
};

class Task {
 public:
  // `base`: where relative data files are looked for after the current folder and the task's own.
  static Result<Task> load(const TaskConfig& config);

  const TaskConfig& config() const { return config_; }
  const std::string& name() const { return config_.task; }
  int64_t size() const { return static_cast<int64_t>(docs_.size()); }
  const Json& document(int64_t i) const { return docs_[i]; }
  // Items must be prepared in document order: the sampler of few-shot examples runs on.
  Result<Item> prepare(int64_t i);
  Result<Contributions> score_choices(const Item& item,
                                      const std::vector<ChoiceScore>& scores) const;
  Result<Contributions> score_loglikelihood(const ChoiceScore& score) const;
  Result<Contributions> score_generation(const Item& item, const std::string& answer) const;

  struct Aggregate {
    double value = 0;
    std::optional<double> standard_error;
  };
  // Errors: kUsage for an aggregation that is not known.
  Result<Aggregate> aggregate(const MetricConfig& metric,
                              const std::vector<Contribution>& contributions) const;

 private:
  Result<std::vector<Json>> load_split(const std::string& split) const;
  Result<std::vector<Json>> few_shot_examples(const Json& doc);
  Result<Json> text_of(const Json& doc) const;
  Result<Json> target_of(const Json& doc) const;
  Result<std::vector<std::string>> choices_of(const Json& doc) const;
  Result<std::string> few_shot_prefix(const Json& doc);
  Result<std::string> prefix_of_answer(const Json& doc) const;
  Status fill_choices(Item& item, const Json& doc, const std::string& prefix) const;
  Status fill_generation(Item& item, const Json& doc) const;
  bool wants(const std::string& metric) const;

  TaskConfig config_;
  DocField doc_to_text_, doc_to_target_, doc_to_choice_, description_, gen_prefix_;
  std::vector<Json> docs_, fewshot_docs_;
  std::vector<std::string> columns_;
  bool exclude_doc_ = false;  // the examples come from the documents under test
  PythonRandom random_{1234};
};

}  // namespace sllm::eval
