// Task YAML -> TaskConfig: YAML 1.1 scalars as PyYAML reads them, includes, strict keys.
#include "eval/task_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "eval/python_text.h"

namespace sllm::eval {
namespace {

constexpr int kMaxDepth = 40, kMaxIncludes = 8;
constexpr const char* kFunctionKey = "!function";

// YAML 1.1 as PyYAML's SafeLoader resolves plain scalars.
Json resolve_plain(const std::string& s) {
  static const std::set<std::string> kNull = {"", "~", "null", "Null", "NULL"};
  static const std::set<std::string> kTrue = {"true", "True", "TRUE", "yes", "Yes",
                                              "YES",  "on",   "On",   "ON"};
  static const std::set<std::string> kFalse = {"false", "False", "FALSE", "no", "No",
                                               "NO",    "off",   "Off",   "OFF"};
  if (kNull.contains(s)) return nullptr;
  if (kTrue.contains(s)) return true;
  if (kFalse.contains(s)) return false;
  const char* end = s.data() + s.size();
  int64_t integer;
  if (const auto [p, e] = std::from_chars(s.data(), end, integer); e == std::errc{} && p == end)
    return integer;
  double real;
  if (s.find('.') != s.npos && s.find_first_not_of("+-.0123456789eE") == s.npos)
    if (const auto [p, e] = std::from_chars(s.data(), end, real); e == std::errc{} && p == end)
      return real;
  return s;
}

Result<Json> to_json(const YAML::Node& node, const fs::path& file, int depth) {
  const auto where = [&] { return fmt::format("{}:{}", file.string(), node.Mark().line + 1); };
  if (depth > kMaxDepth) return usage_error("{}: nested too deeply", where());
  if (!node.IsDefined() || node.IsNull()) return Json(nullptr);
  if (node.Tag() == "!function") {
    if (!node.IsScalar()) return usage_error("{}: expected !function module.name", where());
    return Json{{kFunctionKey, node.Scalar()}};
  }
  if (!node.Tag().empty() && node.Tag()[0] == '!' && node.Tag() != "!")
    return usage_error("{}: the YAML tag {} is not known; only !function is", where(), node.Tag());
  if (node.IsScalar())  // the tag "!" marks a quoted scalar
    return node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str"
               ? Json(node.Scalar())
               : resolve_plain(node.Scalar());
  if (node.IsSequence()) {
    Json array = Json::array();
    for (const auto& item : node) {
      SLLM_TRY(Json value, to_json(item, file, depth + 1));
      array.push_back(std::move(value));
    }
    return array;
  }
  Json object = Json::object();
  for (const auto& pair : node) {
    const YAML::Node &key = pair.first, &item = pair.second;
    if (!key.IsScalar()) return usage_error("{}: expected a plain key", where());
    if (object.contains(key.Scalar()))
      return usage_error("{}: the key {} occurs twice", where(), key.Scalar());
    SLLM_TRY(object[key.Scalar()], to_json(item, file, depth + 1));
  }
  return object;
}

// yaml-cpp recurses per flow bracket; a bound on the text keeps the stack bounded.
bool nests_too_deeply(const std::string& text) {
  int open = 0;
  for (const char c : text) {
    open += c == '[' || c == '{';
    open -= (c == ']' || c == '}') && open > 0;
    if (open > 200) return true;
  }
  return false;
}

struct Document {
  Json values;
  std::map<std::string, int> lines;  // of the top-level keys
};

Result<Document> parse_document(const std::string& yaml, const fs::path& file) {
  if (nests_too_deeply(yaml)) return usage_error("{}: nested too deeply", file.string());
  Document document;
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (!root.IsMap())
      return usage_error("{}: expected keys and values of one task", file.string());
    for (const auto& item : root)
      if (item.first.IsScalar()) document.lines[item.first.Scalar()] = item.first.Mark().line + 1;
    SLLM_TRY(document.values, to_json(root, file, 0));
  } catch (const YAML::Exception& e) {
    return usage_error("{}:{}: not YAML: {}", file.string(), e.mark.line + 1, e.msg);
  }
  return document;
}

Result<Document> load_with_includes(const std::string& yaml, const fs::path& file, int depth) {
  if (depth > kMaxIncludes) return usage_error("{}: includes itself", file.string());
  SLLM_TRY(Document document, parse_document(yaml, file));
  if (!document.values.contains("include")) return document;
  Json includes = document.values["include"];
  if (includes.is_string()) includes = Json::array({includes});
  if (!includes.is_array())
    return usage_error("{}:{}: include expects a file name or a list of them", file.string(),
                       document.lines["include"]);
  Json merged = Json::object();
  for (const Json& name : includes) {
    if (!name.is_string()) return usage_error("{}: include expects file names", file.string());
    const fs::path path = file.parent_path() / name.get<std::string>();
    auto text = read_file(path, 1 << 20);
    if (!text.ok())
      return usage_error("{}:{}: include: {}", file.string(), document.lines["include"],
                         text.error().message);
    SLLM_TRY(const Document base, load_with_includes(text.value(), path, depth + 1));
    merged.update(base.values);
  }
  merged.update(document.values);
  merged.erase("include");
  document.values = std::move(merged);
  return document;
}

// Reads keys of the merged document; remembers which ones are known.
class Reader {
 public:
  Reader(const Document& document, const fs::path& file) : document_(document), file_(file) {}

  std::string where(const std::string& key) const {
    const auto it = document_.lines.find(key);
    return it == document_.lines.end() ? file_.string()
                                       : fmt::format("{}:{}", file_.string(), it->second);
  }
  const Json* find(const std::string& key) {
    known_.insert(key);
    const auto it = document_.values.find(key);
    return it == document_.values.end() || it->is_null() ? nullptr : &*it;
  }
  Status text(const std::string& key, std::string& out) {
    const Json* value = find(key);
    if (!value) return ok();
    if (!value->is_string()) return wrong(key, "text", *value);
    out = value->get<std::string>();
    return ok();
  }
  Status field(const std::string& key, Field& out) {
    if (const Json* value = find(key)) out = to_field(*value);
    return ok();
  }
  static Field to_field(const Json& value) {
    if (value.is_object() && value.contains(kFunctionKey))
      return {Field::Kind::kFunction, value[kFunctionKey].get<std::string>(), {}};
    if (value.is_string()) return {Field::Kind::kTemplate, value.get<std::string>(), {}};
    return {Field::Kind::kValue, {}, value};
  }
  Error wrong(const std::string& key, std::string_view expected, const Json& found) const {
    return usage_error("{}: {}: expected {}, found {}", where(key), key, expected,
                       found.type_name());
  }
  Status reject_unknown(std::initializer_list<const char*> ignored) {
    for (const char* key : ignored) known_.insert(key);
    for (const auto& [key, value] : document_.values.items())
      if (!known_.contains(key))
        return usage_error("{}: unknown key {}; see lm-evaluation-harness' task guide", where(key),
                           key);
    return ok();
  }

 private:
  const Document& document_;
  const fs::path& file_;
  std::set<std::string> known_;
};

Status read_output_type(Reader& reader, TaskConfig& config) {
  static const std::map<std::string, OutputType> kTypes = {
      {"loglikelihood", OutputType::kLoglikelihood},
      {"multiple_choice", OutputType::kMultipleChoice},
      {"generate_until", OutputType::kGenerateUntil}};
  std::string name = "generate_until";
  SLLM_OK(reader.text("output_type", name));
  const auto it = kTypes.find(name);
  if (it == kTypes.end())
    return usage_error(
        "{}: output_type {} is not supported; expected multiple_choice, generate_until or "
        "loglikelihood",
        reader.where("output_type"), name);
  config.output_type = it->second;
  return ok();
}

Status read_dataset(Reader& reader, TaskConfig& config) {
  SLLM_OK(reader.text("dataset_path", config.dataset_path));
  if (config.dataset_path != "json" && config.dataset_path != "csv")
    return with_hint(usage_error("{}: dataset_path {} is not a local format; expected json or csv",
                                 reader.where("dataset_path"),
                                 config.dataset_path.empty() ? "(none)" : config.dataset_path),
                     "Put the data beside the task and name it under dataset_kwargs: data_files");
  const Json* kwargs = reader.find("dataset_kwargs");
  if (!kwargs || !kwargs->is_object() || !kwargs->contains("data_files"))
    return usage_error("{}: dataset_kwargs needs data_files: the files of each split",
                       reader.where("dataset_kwargs"));
  config.dataset_kwargs = *kwargs;
  Json files = (*kwargs)["data_files"];
  config.dataset_kwargs.erase("data_files");
  if (!files.is_object()) files = Json{{"train", files}};  // as `datasets` names a lone list
  for (const auto& [split, value] : files.items()) {
    const Json list = value.is_string() ? Json::array({value}) : value;
    if (!list.is_array()) return reader.wrong("dataset_kwargs", "file names per split", list);
    for (const Json& name : list) {
      if (!name.is_string()) return reader.wrong("dataset_kwargs", "file names per split", name);
      config.data_files[split].push_back(name.get<std::string>());
    }
  }
  return ok();
}

Status read_metrics(Reader& reader, TaskConfig& config) {
  const Json* list = reader.find("metric_list");
  if (!list) {
    for (const char* name : config.output_type == OutputType::kMultipleChoice
                                ? std::vector<const char*>{"acc", "acc_norm"}
                            : config.output_type == OutputType::kLoglikelihood
                                ? std::vector<const char*>{"perplexity", "acc"}
                                : std::vector<const char*>{"exact_match"})
      config.metrics.push_back({name, {}, Json::object()});
    return ok();
  }
  if (!list->is_array()) return reader.wrong("metric_list", "a list", *list);
  for (const Json& item : *list) {
    if (!item.is_object() || !item.contains("metric") || !item["metric"].is_string())
      return usage_error("{}: each entry of metric_list needs a metric: by name",
                         reader.where("metric_list"));
    MetricConfig metric{item["metric"].get<std::string>(), {}, Json::object()};
    for (const auto& [key, value] : item.items()) {
      if (key == "aggregation")
        metric.aggregation = Reader::to_field(value);
      else if (key != "metric" && key != "higher_is_better" && key != "hf_evaluate")
        metric.options[key] = value;
    }
    config.metrics.push_back(std::move(metric));
  }
  return ok();
}

Status read_filters(Reader& reader, TaskConfig& config) {
  const Json* list = reader.find("filter_list");
  if (!list) {
    config.filters = {{"none", {{"take_first", Json::object()}}}};
    return ok();
  }
  if (!list->is_array()) return reader.wrong("filter_list", "a list", *list);
  for (const Json& item : *list) {
    if (!item.is_object() || !item.contains("name") || !item["name"].is_string() ||
        !item.contains("filter") || !item["filter"].is_array())
      return usage_error("{}: each entry of filter_list needs name and filter",
                         reader.where("filter_list"));
    FilterConfig filter{item["name"].get<std::string>(), {}};
    for (const Json& step : item["filter"]) {
      if (!step.is_object() || !step.contains("function") || !step["function"].is_string())
        return usage_error("{}: each filter needs a function by name", reader.where("filter_list"));
      FilterStep one{step["function"].get<std::string>(), step};
      one.options.erase("function");
      filter.steps.push_back(std::move(one));
    }
    config.filters.push_back(std::move(filter));
  }
  return ok();
}

Status read_fewshot(Reader& reader, TaskConfig& config) {
  SLLM_OK(reader.text("fewshot_split", config.fewshot_split));
  if (const Json* n = reader.find("num_fewshot")) {
    if (!n->is_number_integer() || n->get<int64_t>() < 0 || n->get<int64_t>() > 1000)
      return reader.wrong("num_fewshot", "a number from 0 to 1000", *n);
    config.num_fewshot = n->get<int64_t>();
  }
  const Json* options = reader.find("fewshot_config");
  if (!options) return ok();
  if (!options->is_object()) return reader.wrong("fewshot_config", "keys and values", *options);
  for (const auto& [key, value] : options->items()) {
    if (key == "sampler" && value.is_string())
      config.sampler = value.get<std::string>();
    else if (key == "split" && value.is_string())
      config.fewshot_split = value.get<std::string>();
    else if (key == "samples" && value.is_array())
      config.fewshot_samples = value;
    else
      return usage_error(
          "{}: fewshot_config: {} is not supported; expected sampler, split or samples",
          reader.where("fewshot_config"), key);
  }
  if (config.sampler != "default" && config.sampler != "first_n")
    return usage_error("{}: fewshot_config: sampler {} is not known; expected default or first_n",
                       reader.where("fewshot_config"), config.sampler);
  return ok();
}

}  // namespace

Result<TaskConfig> parse_task_config(const std::string& yaml, const fs::path& file) {
  SLLM_TRY(const Document document, load_with_includes(yaml, file, 0));
  Reader reader(document, file);
  TaskConfig config;
  config.file = file;
  SLLM_OK(reader.text("task", config.task));
  if (config.task.empty()) return usage_error("{}: task: expected the task's name", file.string());
  SLLM_OK(read_output_type(reader, config));
  SLLM_OK(read_dataset(reader, config));
  SLLM_OK(reader.text("training_split", config.training_split));
  SLLM_OK(reader.text("validation_split", config.validation_split));
  SLLM_OK(reader.text("test_split", config.test_split));
  SLLM_OK(reader.field("process_docs", config.process_docs));
  SLLM_OK(reader.field("doc_to_text", config.doc_to_text));
  SLLM_OK(reader.field("doc_to_target", config.doc_to_target));
  SLLM_OK(reader.field("doc_to_choice", config.doc_to_choice));
  SLLM_OK(reader.text("description", config.description));
  SLLM_OK(reader.text("target_delimiter", config.target_delimiter));
  SLLM_OK(reader.text("fewshot_delimiter", config.fewshot_delimiter));
  SLLM_OK(reader.text("gen_prefix", config.gen_prefix));
  SLLM_OK(read_fewshot(reader, config));
  SLLM_OK(read_metrics(reader, config));
  SLLM_OK(read_filters(reader, config));
  if (const Json* kwargs = reader.find("generation_kwargs")) {
    if (!kwargs->is_object()) return reader.wrong("generation_kwargs", "keys and values", *kwargs);
    config.generation_kwargs = *kwargs;
  }
  // Names for people, and what does not change a score.
  SLLM_OK(
      reader.reject_unknown({"task_alias", "tag", "group", "group_alias", "dataset_name",
                             "metadata", "should_decontaminate", "doc_to_decontamination_query"}));
  if (!config.doc_to_text.present() || !config.doc_to_target.present())
    return usage_error("{}: doc_to_text and doc_to_target are needed", file.string());
  if (config.output_type == OutputType::kMultipleChoice && !config.doc_to_choice.present())
    return usage_error("{}: multiple_choice needs doc_to_choice", file.string());
  if (config.test_split.empty() && config.validation_split.empty())
    return usage_error("{}: test_split or validation_split is needed", file.string());
  return config;
}

Result<TaskConfig> read_task_config(const fs::path& file) {
  auto text = read_file(file, 1 << 20);
  if (!text.ok()) return usage_error("{}", text.error().message);
  return parse_task_config(text.value(), file);
}

Result<TaskCatalogue> list_tasks(const fs::path& folder) {
  TaskCatalogue catalogue;
  std::error_code error;
  if (!fs::is_directory(folder, error))
    return with_hint(usage_error("{}: no such folder of task files", folder.string()),
                     "Give one with --tasks-dir");
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error))
    if (entry.path().extension() == ".yaml" || entry.path().extension() == ".yml")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    auto text = read_file(file, 1 << 20);
    if (!text.ok()) continue;
    const auto document = parse_document(text.value(), file);
    if (!document.ok()) continue;  // reported when the task is asked for by its file
    const Json& values = document->values;
    const auto task = values.find("task");
    if (task == values.end()) continue;
    if (task->is_string()) catalogue.tasks[task->get<std::string>()] = file;
    const auto group = values.find("group");
    if (task->is_array() && group != values.end() && group->is_string())
      for (const Json& member : *task)
        if (member.is_string())
          catalogue.groups[group->get<std::string>()].push_back(member.get<std::string>());
  }
  return catalogue;
}

Result<std::vector<fs::path>> TaskCatalogue::resolve(const std::vector<std::string>& names) const {
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    if (const auto it = tasks.find(name); it != tasks.end()) {
      files.push_back(it->second);
    } else if (const auto group = groups.find(name); group != groups.end()) {
      for (const std::string& member : group->second) {
        const auto found = tasks.find(member);
        if (found == tasks.end())
          return usage_error("the group {} names the task {}, of which there is no file", name,
                             member);
        files.push_back(found->second);
      }
    } else if (fs::is_regular_file(name)) {
      files.emplace_back(name);
    } else {
      std::string known;
      for (const auto& [task, file] : tasks) known += (known.empty() ? "" : ", ") + task;
      return with_hint(
          usage_error("there is no task named {}", name),
          known.empty() ? "Name a folder of task files with --tasks-dir" : "Known tasks: " + known);
    }
  }
  return files;
}

}  // namespace sllm::eval
