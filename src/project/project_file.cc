// Reads sllm.toml section by section.
#include "project/project_file.h"

#include <algorithm>
#include <map>

#include "compress/recipe.h"
#include "project/toml_section.h"

namespace sllm::project {
namespace {

constexpr int64_t kAny = INT64_MAX;
const std::vector<std::string> kAnswerMetrics = {"exact_match", "json_match", "token_f1",
                                                 "key_facts"};
// Metrics that a threshold may name besides task.<name>.
struct Metric {
  bool upper;      // smaller is better
  double highest;  // of its range, which begins at 0
};
constexpr double kUnbounded = 1e300;
const std::map<std::string, Metric> kBounds = {{"exact_match", {false, 1}},
                                               {"json_match", {false, 1}},
                                               {"token_f1", {false, 1}},
                                               {"key_facts", {false, 1}},
                                               {"cited", {false, 1}},
                                               {"refused", {false, 1}},
                                               {"falsely_refused", {true, 1}},
                                               {"kld", {true, kUnbounded}},
                                               {"perplexity", {true, kUnbounded}},
                                               {"first_word_seconds", {true, kUnbounded}}};

class ProjectReader {
 public:
  ProjectReader(const toml::table& root, const fs::path& file) : root_(root) {
    project_.file = file;
    project_.folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  }

  Result<Project> read() {
    for (const auto& [key, node] : root_)
      if (!node.is_table()) {
        const std::string name(key.str());
        return usage_error("{}:{}: {} stands outside a section; expected [purpose] and the like",
                           file(), node.source().begin.line, name);
      }
    SLLM_OK(read_purpose());
    SLLM_OK(read_device());
    SLLM_OK(read_base());
    SLLM_OK(read_data());
    SLLM_OK(read_tune());
    SLLM_OK(read_quantize());
    SLLM_OK(read_index());
    SLLM_OK(read_evaluate());
    SLLM_OK(read_deploy());
    SLLM_OK(read_thresholds());
    return finish();
  }

 private:
  std::string file() const { return project_.file.string(); }
  TomlSection section(const std::string& name) {
    sections_.push_back(name);
    return TomlSection(root_[name].as_table(), name, file());
  }

  Status read_purpose() {
    TomlSection s = section("purpose");
    project_.name = fs::absolute(project_.folder).lexically_normal().filename().string();
    if (project_.name.empty())
      project_.name = fs::absolute(project_.folder).lexically_normal().parent_path().filename();
    SLLM_OK(s.read("name", project_.name));
    SLLM_OK(s.read("goal", project_.goal));
    SLLM_OK(s.require("goal", !project_.goal.empty()));
    SLLM_OK(s.read("languages", project_.languages));
    if (project_.languages.empty())
      return usage_error("{}: [purpose] languages is empty; expected [\"en\"] or so", file());
    for (const std::string& language : project_.languages)
      if (language.size() != 2 ||
          !std::ranges::all_of(language, [](char c) { return c >= 'a' && c <= 'z'; }))
        return usage_error(
            "{}:{}: [purpose] languages: \"{}\" is no code of two letters like "
            "\"en\" or \"ko\"",
            file(), root_["purpose"]["languages"].node()->source().begin.line, language);
    for (const std::string& language : project_.languages)
      if (language == "ko" || language == "en") {
        project_.report_language = language;
        break;
      }
    SLLM_OK(s.read_choice("report_language", project_.report_language, {"en", "ko"}));
    SLLM_OK(s.read_choice("use", project_.use, {"private", "commercial"}));
    return s.finish();
  }

  Status read_device() {
    TomlSection s = section("device");
    SLLM_OK(s.read("memory_mb", project_.memory_mb, 0, 1 << 24));
    SLLM_OK(s.read("disk_mb", project_.disk_mb, 0, 1 << 30));
    SLLM_OK(s.read("threads", project_.threads, 0, 4096));
    return s.finish();
  }

  Status read_base() {
    TomlSection s = section("base");
    SLLM_OK(s.read("model", project_.base));
    SLLM_OK(s.require("model", !project_.base.empty()));
    SLLM_OK(s.read("licence_checked", project_.licence_checked));
    return s.finish();
  }

  Status read_data() {
    TomlSection s = section("data");
    Project::Data& d = project_.data;
    SLLM_OK(s.read("train", d.train));
    SLLM_OK(s.read("augment", d.augment));
    SLLM_OK(s.read("augment_count", d.augment_count, 1, 10'000'000));
    SLLM_OK(s.read("test", d.test));
    SLLM_OK(s.read("system", d.system));
    SLLM_OK(s.read("validation", d.validation, 0, 0.5));
    SLLM_OK(s.read("near_duplicate", d.near_duplicate, 0.1, 1));
    SLLM_OK(s.read("seed", d.seed, 0, kAny));
    SLLM_OK(s.require("test", !d.test.empty()));
    return s.finish();
  }

  // Every setting of `sllm tune` but the ones that the stages fill in.
  Status read_tune() {
    TomlSection s = section("tune");
    Project::Tune& tune = project_.tune;
    SLLM_OK(s.read_choice("method", tune.method, {"lora", "full", "none"}));
    TuneOptions defaults;
    defaults.epochs = 2;
    defaults.max_length = 512;
    if (tune.method == "full") defaults.method = tune.method, defaults.lr = kFullLr;
    toml::table settings = toml::parse(to_toml(defaults));
    for (const auto& [key, node] : toml::table(settings)) {
      static const std::vector<std::string> kFilledIn = {
          "model", "data", "eval", "run", "init_adapter", "eval_fraction", "method"};
      const std::string name(key.str());
      if (std::ranges::find(kFilledIn, name) != kFilledIn.end()) continue;
      const toml::node* given = s.find(name);
      if (!given) continue;
      const bool fits =
          given->type() == node.type() || (node.is_floating_point() && given->is_integer());
      if (!fits)
        return s.wrong(name, *given,
                       node.is_string()    ? "text"
                       : node.is_boolean() ? "true or false"
                                           : "a number");
      given->visit([&](const auto& value) {
        if constexpr (toml::is_value<decltype(value)>) settings.insert_or_assign(name, value);
      });
    }
    SLLM_OK(s.finish());
    std::ostringstream text;
    text << settings;
    SLLM_TRY(tune.options, tune_options_from_toml(text.str(), file() + " [tune]"));
    TuneOptions check = tune.options;  // the stages' part, so that the rest is validated now
    check.model = check.data = check.run = "-";
    SLLM_OK(validate(check).context(file() + ": [tune]"));
    if (!check.teacher.empty())
      return with_hint(usage_error("{}: [tune] teacher: sllm run learns without one", file()),
                       "Learn from it with sllm tune --teacher");
    if (check.objective == "sft") return ok();
    return with_hint(usage_error("{}: [tune] objective: sllm run tunes on examples, not on "
                                 "preferences",
                                 file()),
                     "Tune its result further with sllm tune --objective " + check.objective);
  }

  Status read_quantize() {
    TomlSection s = section("quantize");
    SLLM_OK(s.read("types", project_.quantize));
    for (const std::string& type : project_.quantize)
      if (const auto recipe = find_recipe(type); !recipe.ok())
        return usage_error("{}:{}: [quantize] types: {}", file(),
                           root_["quantize"]["types"].node()->source().begin.line,
                           recipe.error().message);
    if (project_.quantize.empty())
      return usage_error("{}: [quantize] types is empty; expected at least one, such as q8_0",
                         file());
    return s.finish();
  }

  Status read_index() {
    TomlSection s = section("index");
    SLLM_OK(s.read("documents", project_.index.documents));
    SLLM_OK(s.read("passages", project_.index.passages, 1, 20));
    SLLM_OK(s.read("questions", project_.index.questions));
    if (s.present()) SLLM_OK(s.require("documents", !project_.index.documents.empty()));
    return s.finish();
  }

  Status read_evaluate() {
    TomlSection s = section("evaluate");
    Project::Evaluate& e = project_.evaluate;
    SLLM_OK(s.read("metrics", e.metrics));
    for (const std::string& metric : e.metrics)
      if (std::ranges::find(kAnswerMetrics, metric) == kAnswerMetrics.end())
        return usage_error("{}:{}: [evaluate] metrics: \"{}\" is not known; expected {}", file(),
                           root_["evaluate"]["metrics"].node()->source().begin.line, metric,
                           fmt::join(kAnswerMetrics, ", "));
    SLLM_OK(s.read("max_tokens", e.max_tokens, 1, 1 << 20));
    SLLM_OK(s.read_choice("mode", e.mode, {"exact", "bf16", "fast"}));
    SLLM_OK(s.read("compare_base", e.compare_base));
    SLLM_OK(s.read("grounded", e.grounded));
    SLLM_OK(s.read("perplexity", e.perplexity));
    SLLM_OK(s.read("chunks", e.chunks, 1, 1 << 20));
    SLLM_OK(s.read("tasks", e.tasks));
    SLLM_OK(s.read("tasks_dir", e.tasks_dir));
    SLLM_OK(s.read("limit", e.limit, 0, kAny));
    if (const toml::node* list = s.find("reference")) {
      if (!list->as_array()) return s.wrong("reference", *list, "[[evaluate.reference]] tables");
      for (const toml::node& item : *list->as_array()) {
        if (!item.is_table()) return s.wrong("reference", item, "[[evaluate.reference]] tables");
        TomlSection r(item.as_table(), "evaluate.reference", file());
        Reference reference;
        SLLM_OK(r.read("model", reference.model));
        SLLM_OK(r.require("model", !reference.model.empty()));
        SLLM_OK(r.read("examples", reference.examples, 0, 100));
        SLLM_OK(r.read("examples_file", reference.examples_file));
        SLLM_OK(r.finish());
        e.references.push_back(std::move(reference));
      }
    }
    SLLM_OK(s.finish());
    if (e.grounded && project_.index.documents.empty())
      return usage_error("{}: [evaluate] grounded needs [index] documents", file());
    return ok();
  }

  Status read_deploy() {
    TomlSection s = section("deploy");
    Project::Deploy& d = project_.deploy;
    d.type = project_.quantize.front();
    SLLM_OK(s.read_choice("type", d.type, project_.quantize));
    SLLM_OK(s.read("host", d.host));
    SLLM_OK(s.read("port", d.port, 1, 65535));
    SLLM_OK(s.read("context", d.context, 64, 1 << 24));
    return s.finish();
  }

  Status read_thresholds() {
    TomlSection s = section("thresholds");
    if (!s.present()) return ok();
    std::vector<std::string> known;
    for (const auto& [metric, upper] : kBounds) known.push_back(metric);
    for (const auto& [key, node] : *root_["thresholds"].as_table()) {
      const std::string metric(key.str());
      const auto bound = kBounds.find(metric);
      if (bound == kBounds.end() && metric != "task") {
        Error error = usage_error("{}: [thresholds] has no metric {}", s.where(node), metric);
        const std::string near = nearest(metric, known);
        error.hint = near.empty() ? fmt::format("Known metrics: {}", fmt::join(known, ", "))
                                  : fmt::format("Did you mean {}?", near);
        return error;
      }
      // A task's first figure may be of any kind.
      const Metric known_metric =
          bound != kBounds.end() ? bound->second : Metric{false, kUnbounded};
      const bool upper = known_metric.upper;
      const auto in_range = [&](const toml::node& value) -> Status {
        const double number = *value.value<double>();
        if (number >= 0 && number <= known_metric.highest) return ok();
        return usage_error("{}: [thresholds] {} is {}; expected {}", s.where(value), metric, number,
                           known_metric.highest == 1 ? "a share from 0 to 1" : "0 or more");
      };
      if (metric != "task" && node.is_number()) {
        SLLM_OK(in_range(node));
        project_.thresholds.push_back({metric, "", *node.value<double>(), upper});
        continue;
      }
      const toml::table* parts = node.as_table();
      if (!parts) return s.wrong(metric, node, "a number, or one per language: {en = 0.9}");
      for (const auto& [part, value] : *parts) {
        if (!value.is_number()) return s.wrong(metric, value, "a number");
        SLLM_OK(in_range(value));
        const std::string name(part.str());
        const double number = *value.value<double>();
        if (metric == "task") {
          project_.thresholds.push_back({"task." + name, "", number, false});
        } else if (std::ranges::find(project_.languages, name) == project_.languages.end()) {
          return usage_error("{}: [thresholds] {}: \"{}\" is none of the [purpose] languages",
                             s.where(value), metric, name);
        } else {
          project_.thresholds.push_back({metric, name, number, upper});
        }
      }
    }
    return check_thresholds_are_measured();
  }

  // A threshold on what nobody measures would never be met.
  Status check_thresholds_are_measured() const {
    const Project::Evaluate& e = project_.evaluate;
    for (const Threshold& t : project_.thresholds) {
      const auto missing = [&](std::string_view need) {
        return usage_error("{}: [thresholds] {} needs {}", file(), t.metric, need);
      };
      if (std::ranges::find(kAnswerMetrics, t.metric) != kAnswerMetrics.end() &&
          std::ranges::find(e.metrics, t.metric) == e.metrics.end())
        return missing("the metric among [evaluate] metrics");
      if ((t.metric == "cited" || t.metric.ends_with("refused")) && !e.grounded)
        return missing("[evaluate] grounded = true");
      if ((t.metric == "kld" || t.metric == "perplexity") && e.perplexity.empty())
        return missing("a text as [evaluate] perplexity");
      if (t.metric.starts_with("task.") &&
          std::ranges::find(e.tasks, t.metric.substr(5)) == e.tasks.end())
        return missing("the task among [evaluate] tasks");
    }
    return ok();
  }

  Result<Project> finish() {
    if (project_.tune.method != "none" && project_.data.train.empty() &&
        project_.data.augment.empty())
      return usage_error("{}: [data] needs train files or an augment grammar", file());
    for (const auto& [key, node] : root_) {
      const std::string name(key.str());
      if (std::ranges::find(sections_, name) != sections_.end()) continue;
      Error error =
          usage_error("{}:{}: there is no section [{}]", file(), node.source().begin.line, name);
      if (const std::string near = nearest(name, sections_); !near.empty())
        error.hint = fmt::format("Did you mean [{}]?", near);
      return error;
    }
    return std::move(project_);
  }

  const toml::table& root_;
  Project project_;
  std::vector<std::string> sections_;
};

}  // namespace

std::string Threshold::to_string() const {
  return fmt::format("{}{} {} {:g}", metric, language.empty() ? "" : " (" + language + ")",
                     upper ? "<=" : ">=", bound);
}

Result<Project> parse_project(const std::string& text, const fs::path& file) {
  try {
    const toml::table root = toml::parse(text, file.string());
    return ProjectReader(root, file).read();
  } catch (const toml::parse_error& e) {
    return usage_error("{}:{}: not TOML: {}", file.string(), e.source().begin.line,
                       e.description());
  }
}

Result<Project> read_project(const fs::path& where) {
  std::error_code error;
  const fs::path file = fs::is_directory(where, error) ? where / "sllm.toml" : where;
  if (!fs::exists(file, error))
    return with_hint(usage_error("{}: no such project file", file.string()),
                     "Write one with: sllm new");
  auto text = read_file(file, 1 << 20);
  if (!text.ok()) return usage_error("{}", text.error().message);
  return parse_project(text.value(), file);
}

}  // namespace sllm::project
