// Prompts: description, few-shot examples, question; the pairs to score; columns or templates.
#include "eval/task.h"

#include <algorithm>

#include "eval/python_text.h"

namespace sllm::eval {

Result<DocField> DocField::compile(const Field& field, const std::string& task) {
  DocField out;
  out.field_ = field;
  if (field.kind == Field::Kind::kFunction) {
    SLLM_TRY(out.function_, find_doc_function(task, field.text));
  } else if (field.kind == Field::Kind::kTemplate) {
    // A bare column name is not a template; parsing it as one is harmless.
    SLLM_TRY(out.template_, TaskTemplate::parse(field.text));
  }
  return out;
}

Result<Json> DocField::evaluate(const Json& doc, const std::vector<std::string>& columns) const {
  switch (field_.kind) {
    case Field::Kind::kAbsent:
      return Json(nullptr);
    case Field::Kind::kValue:
      return Json(field_.value);
    case Field::Kind::kFunction:
      return function_(doc);
    case Field::Kind::kTemplate:
      break;
  }
  if (std::ranges::find(columns, field_.text) != columns.end())
    return doc.contains(field_.text) ? Json(doc[field_.text]) : Json(nullptr);
  SLLM_TRY(std::string text, template_->render(doc));
  return Json(std::move(text));
}

Result<std::vector<Json>> Task::load_split(const std::string& split) const {
  const auto it = config_.data_files.find(split);
  if (it == config_.data_files.end())
    return usage_error("{}: data_files has no split named {}", config_.file.string(), split);
  std::vector<Json> rows;
  for (const std::string& name : it->second) {
    fs::path path = name;  // as `datasets`: from the current folder; else beside the task file
    if (!fs::exists(path) && path.is_relative()) path = config_.file.parent_path() / name;
    SLLM_TRY(const std::string text, read_decompressed(path));
    const Json& options = config_.dataset_kwargs;
    TableOptions table;
    const std::string delimiter = options.value("delimiter", options.value("sep", ","));
    if (delimiter.size() != 1)
      return usage_error("{}: delimiter expects one character", config_.file.string());
    table.delimiter = delimiter[0];
    table.column_names = options.value("column_names", std::vector<std::string>{});
    SLLM_TRY(std::vector<Json> part,
             config_.dataset_path == "csv"
                 ? parse_table(text, path.string(), table)
                 : parse_json_rows(text, path.string(), options.value("field", std::string())));
    std::ranges::move(part, std::back_inserter(rows));
  }
  if (config_.process_docs.present()) {
    SLLM_TRY(const ProcessFunction process,
             find_process_function(config_.task, config_.process_docs.text));
    for (Json& row : rows) {
      SLLM_TRY(row, process(row).context(config_.task));
    }
  }
  return rows;
}

Result<Task> Task::load(const TaskConfig& config) {
  Task task;
  task.config_ = config;
  const auto in_file = [&](Error e) { return std::move(e).context(config.file.string()); };
  const auto compile = [&](const Field& field, DocField& out) -> Status {
    auto compiled = DocField::compile(field, config.task);
    if (!compiled.ok()) return in_file(std::move(compiled).error());
    out = std::move(compiled).value();
    return ok();
  };
  const auto text_field = [](const std::string& text) {
    return text.empty() ? Field{} : Field{Field::Kind::kTemplate, text, {}};
  };
  SLLM_OK(compile(config.doc_to_text, task.doc_to_text_));
  SLLM_OK(compile(config.doc_to_target, task.doc_to_target_));
  SLLM_OK(compile(config.doc_to_choice, task.doc_to_choice_));
  SLLM_OK(compile(text_field(config.description), task.description_));
  SLLM_OK(compile(text_field(config.gen_prefix), task.gen_prefix_));
  for (const MetricConfig& metric : config.metrics)
    if (metric.aggregation.kind == Field::Kind::kFunction)
      SLLM_OK(
          find_aggregation_function(config.task, metric.aggregation.text).ok()
              ? ok()
              : Status(find_aggregation_function(config.task, metric.aggregation.text).error()));
  try {  // dataset_kwargs of a wrong type
    SLLM_TRY(task.docs_, task.load_split(config.test_split.empty() ? config.validation_split
                                                                   : config.test_split));
    if (config.num_fewshot > 0) {
      std::string split = config.fewshot_split;
      if (split.empty() && config.fewshot_samples.is_array()) {
        task.fewshot_docs_ = config.fewshot_samples.get<std::vector<Json>>();
      } else {
        if (split.empty())
          split = !config.training_split.empty()     ? config.training_split
                  : !config.validation_split.empty() ? config.validation_split
                                                     : config.test_split;
        SLLM_TRY(task.fewshot_docs_, task.load_split(split));
      }
      task.exclude_doc_ = config.fewshot_split == config.test_split;
    }
  } catch (const Json::exception& e) {
    return usage_error("{}: dataset_kwargs: {}", config.file.string(), e.what());
  }
  if (task.docs_.empty())
    return bad_input("{}: the task {} has no documents", config.file.string(), config.task);
  for (const auto& [column, value] : task.docs_.front().items()) task.columns_.push_back(column);
  return task;
}

Result<Json> Task::text_of(const Json& doc) const {
  SLLM_TRY(Json value, doc_to_text_.evaluate(doc, columns_));
  if (doc_to_text_.is_template() && doc_to_choice_.present() && value.is_string() &&
      is_digits(value.get_ref<const std::string&>()))
    return Json(std::strtoll(value.get_ref<const std::string&>().c_str(), nullptr, 10));
  return value;
}

Result<Json> Task::target_of(const Json& doc) const {
  SLLM_TRY(Json value, doc_to_target_.evaluate(doc, columns_));
  if (!doc_to_target_.is_template() || !value.is_string()) return value;
  const auto& text = value.get_ref<const std::string&>();
  if (doc_to_choice_.present() && is_digits(text))
    return Json(std::strtoll(text.c_str(), nullptr, 10));
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']')
    if (auto list = parse_python_literal(text); list.ok()) return std::move(list).value();
  return value;
}

Result<std::vector<std::string>> Task::choices_of(const Json& doc) const {
  SLLM_TRY(Json value, doc_to_choice_.evaluate(doc, columns_));
  if (doc_to_choice_.is_template() && value.is_string()) {
    SLLM_TRY(value, parse_python_literal(value.get<std::string>()).context("doc_to_choice"));
  }
  if (!value.is_array() && !value.is_object())
    return bad_input("{}: doc_to_choice gave {}; expected a list", config_.task, value.type_name());
  std::vector<std::string> choices;
  for (const Json& choice : value) {
    if (!choice.is_string())
      return bad_input("{}: a choice is {}; expected text", config_.task, choice.type_name());
    choices.push_back(choice.get<std::string>());
  }
  if (choices.empty()) return bad_input("{}: a document has no choices", config_.task);
  return choices;
}

namespace {
// api/utils.py maybe_delimit: joins with `delimiter` unless white space stands at the seam.
std::string maybe_delimit(const std::string& prefix, const std::string& suffix,
                          const std::string& delimiter) {
  if (prefix.empty()) return suffix;
  if (suffix.empty()) return prefix;
  return prefix + (ends_with_space(prefix) || starts_with_space(suffix) ? "" : delimiter) + suffix;
}
}  // namespace

Result<std::vector<Json>> Task::few_shot_examples(const Json& doc) {
  const int64_t n = config_.num_fewshot;
  std::vector<Json> pool;
  const auto without_doc = [&](const std::vector<Json>& docs) {
    std::vector<Json> kept;
    for (const Json& d : docs)
      if (!exclude_doc_ || d != doc) kept.push_back(d);
    return kept;
  };
  const auto too_few = [&](size_t have) {
    return bad_input("{}: num_fewshot is {} but only {} examples are there", config_.task, n, have);
  };
  const auto draw = [&](const std::vector<Json>& docs, int64_t k) {
    std::vector<Json> drawn;
    for (const int64_t i : random_.sample(static_cast<int64_t>(docs.size()), k))
      drawn.push_back(docs[i]);
    return drawn;
  };
  if (config_.sampler == "first_n") {
    pool = without_doc(fewshot_docs_);
    if (static_cast<int64_t>(pool.size()) < n) return too_few(pool.size());
  } else {
    const int64_t wanted = n + exclude_doc_;
    if (static_cast<int64_t>(fewshot_docs_.size()) < wanted) return too_few(fewshot_docs_.size());
    pool = without_doc(draw(fewshot_docs_, wanted));
    if (static_cast<int64_t>(pool.size()) < n) {  // copies of the document were drawn
      const std::vector<Json> others = without_doc(fewshot_docs_);
      if (static_cast<int64_t>(others.size()) < n) return too_few(others.size());
      pool = draw(others, n);
    }
  }
  pool.resize(n);
  return pool;
}

Result<std::string> Task::prefix_of_answer(const Json& doc) const {
  if (!gen_prefix_.present()) return std::string();
  SLLM_TRY(const Json prefix, gen_prefix_.evaluate(doc, columns_));
  return prefix.is_string() ? prefix.get<std::string>() : python_str(prefix);
}

Result<std::string> Task::few_shot_prefix(const Json& doc) {
  std::string prefix;
  if (description_.present()) {
    SLLM_TRY(const Json text, description_.evaluate(doc, columns_));
    prefix = text.is_string() ? text.get<std::string>() : python_str(text);
  }
  if (config_.num_fewshot == 0) return prefix;
  SLLM_TRY(const std::vector<Json> examples, few_shot_examples(doc));
  for (const Json& example : examples) {
    SLLM_TRY(Json question, text_of(example));
    SLLM_TRY(Json answer, target_of(example));
    std::vector<std::string> choices;
    if (doc_to_choice_.present()) {
      SLLM_TRY(choices, choices_of(example));
    }
    const auto choice = [&](const Json& index) -> Result<std::string> {
      const auto i = index.get<int64_t>();
      if (i < 0 || i >= static_cast<int64_t>(choices.size()))
        return bad_input("{}: an example's index {} is not among its {} choices", config_.task, i,
                         choices.size());
      return choices[i];
    };
    if (question.is_number_integer()) {  // the options stand in the context
      SLLM_TRY(question, choice(question));
    } else if (answer.is_number_integer() && !choices.empty()) {
      SLLM_TRY(answer, choice(answer));
    }
    if (answer.is_array()) answer = answer.empty() ? Json("") : Json(answer[0]);
    if (!question.is_string() || !answer.is_string())
      return bad_input("{}: an example's question or answer is not text", config_.task);
    SLLM_TRY(const std::string gen_prefix, prefix_of_answer(example));
    const std::string &q = question.get_ref<const std::string&>(),
                      &a = answer.get_ref<const std::string&>();
    prefix += q;
    if (gen_prefix.empty() ? !a.empty()
                           : !q.empty() && !ends_with_space(q) && !starts_with_space(gen_prefix))
      prefix += config_.target_delimiter;
    if (!a.empty())
      prefix += maybe_delimit(gen_prefix, a, " ") + config_.fewshot_delimiter;
    else
      prefix += gen_prefix;
  }
  return prefix;
}

Status Task::fill_choices(Item& item, const Json& doc, const std::string& prefix) const {
  SLLM_TRY(item.choices, choices_of(doc));
  SLLM_TRY(const Json text, text_of(doc));
  SLLM_TRY(const Json target, target_of(doc));
  SLLM_TRY(const std::string gen_prefix, prefix_of_answer(doc));
  const auto question = [&](const std::string& q, const std::string& delimiter) {
    if (gen_prefix.empty()) return prefix + q;
    const bool seam = !q.empty() && !ends_with_space(q) && !starts_with_space(gen_prefix);
    return prefix + q + (seam ? delimiter : "") + gen_prefix;
  };
  const auto n = static_cast<int64_t>(item.choices.size());
  const auto index = [&](const Json& gold) -> int64_t {
    if (gold.is_number_integer()) {
      const auto i = gold.get<int64_t>();
      return i < n ? i : -1;
    }
    const auto it = gold.is_string()
                        ? std::ranges::find(item.choices, gold.get_ref<const std::string&>())
                        : item.choices.end();
    return it == item.choices.end() ? -1 : it - item.choices.begin();
  };
  if (text.is_number_integer()) {  // the options stand in the context, the target is scored
    if (!target.is_string()) return bad_input("{}: the target is not text", config_.task);
    for (const std::string& choice : item.choices)
      item.pairs.emplace_back(question(choice, ""),
                              config_.target_delimiter + target.get<std::string>());
    item.gold = {index(text)};
    return ok();
  }
  if (!text.is_string()) return bad_input("{}: the question is not text", config_.task);
  for (const std::string& choice : item.choices)
    item.pairs.emplace_back(question(text.get<std::string>(), config_.target_delimiter),
                            config_.target_delimiter + choice);
  if (wants("acc_mutual_info"))
    for (const std::string& choice : item.choices)
      item.pairs.emplace_back("", config_.target_delimiter + choice);
  item.several_gold = target.is_array();
  if (target.is_array())
    for (const Json& gold : target) item.gold.push_back(index(gold));
  else
    item.gold = {index(target)};
  return ok();
}

Status Task::fill_generation(Item& item, const Json& doc) const {
  SLLM_TRY(Json target, target_of(doc));
  if (doc_to_choice_.present() && target.is_number_integer()) {
    SLLM_TRY(item.choices, choices_of(doc));
    const auto i = target.get<int64_t>();
    if (i < 0 || i >= static_cast<int64_t>(item.choices.size()))
      return bad_input("{}: the target {} is not among the choices", config_.task, i);
    target = item.choices[i];
  }
  const Json list = target.is_array() ? target : Json::array({target});
  for (const Json& answer : list) item.answers.push_back(python_str(answer));
  return ok();
}

Result<Item> Task::prepare(int64_t i) {
  const Json& doc = docs_.at(i);
  const auto where = fmt::format("{}: document {}", config_.task, i);
  const auto build = [&]() -> Result<Item> {
    Item item;
    SLLM_TRY(const std::string prefix, few_shot_prefix(doc));
    if (config_.output_type == OutputType::kMultipleChoice) {
      SLLM_OK(fill_choices(item, doc, prefix));
      return item;
    }
    SLLM_TRY(const Json text, text_of(doc));
    if (!text.is_string()) return bad_input("the question is not text");
    SLLM_TRY(const std::string gen_prefix, prefix_of_answer(doc));
    const auto& q = text.get_ref<const std::string&>();
    const bool seam =
        !gen_prefix.empty() && !q.empty() && !ends_with_space(q) && !starts_with_space(gen_prefix);
    item.context = prefix + q + (seam ? config_.target_delimiter : "") + gen_prefix;
    if (config_.output_type == OutputType::kGenerateUntil) {
      SLLM_OK(fill_generation(item, doc));
      return item;
    }
    SLLM_TRY(const Json target, target_of(doc));
    item.pairs.emplace_back(item.context,
                            target.is_string() ? target.get<std::string>() : python_str(target));
    return item;
  };
  return build().context(where);
}

}  // namespace sllm::eval
