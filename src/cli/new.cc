// sllm new: writes sllm.toml from flags, or from questions on a terminal.
#include <unistd.h>

#include <iostream>

#include "cli/commands.h"
#include "project/base_check.h"
#include "project/new_project.h"
#include "project/plan.h"
#include "project/project_file.h"

namespace sllm::cli {
namespace {

using project::NewProject;

std::string ask(const std::string& question, const std::string& fallback) {
  std::cerr << question << (fallback.empty() ? "" : " [" + fallback + "]") << ": " << std::flush;
  std::string line;
  if (!std::getline(std::cin, line) || line.empty()) return fallback;
  return line;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + ",")
    if (c != ',' && c != ' ')
      part += c;
    else if (!part.empty())
      parts.push_back(std::exchange(part, {}));
  return parts;
}

Result<double> to_number(const std::string& text, std::string_view what) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || value < 0)
    return usage_error("{}: \"{}\" is not a number", what, text);
  return value;
}

// "en=0.95" for one language, "0.9" for all.
Status set_thresholds(NewProject& p, const std::vector<std::string>& given) {
  for (const std::string& one : given) {
    const size_t equals = one.find('=');
    SLLM_TRY(const double value,
             to_number(one.substr(equals == one.npos ? 0 : equals + 1), "threshold " + one));
    if (equals != one.npos)
      p.thresholds[one.substr(0, equals)] = value;
    else
      for (const std::string& language : p.languages) p.thresholds[language] = value;
  }
  return ok();
}

Status ask_for_the_rest(NewProject& p, std::vector<std::string>& thresholds) {
  if (p.goal.empty()) p.goal = ask("What must the model do? (one sentence)", "");
  p.languages = split(ask("In which languages? (codes: en, ko, ...)",
                          fmt::format("{}", fmt::join(p.languages, ","))));
  SLLM_TRY(const double memory,
           to_number(ask("Memory of the device in MB (0: no limit)", std::to_string(p.memory_mb)),
                     "memory"));
  SLLM_TRY(
      const double disk,
      to_number(ask("Room on its disk in MB (0: no limit)", std::to_string(p.disk_mb)), "disk"));
  p.memory_mb = static_cast<int64_t>(memory), p.disk_mb = static_cast<int64_t>(disk);
  if (thresholds.empty())
    thresholds = split(ask("How many of its answers must be right? (0.9, or en=0.95,ko=0.85)", ""));
  return ok();
}

Status write_project(NewProject p, std::vector<std::string> thresholds, const fs::path& folder,
                     const Globals& globals) {
  const fs::path file = folder / "sllm.toml";
  std::error_code error;
  if (fs::exists(file, error) && !globals.yes)
    return with_hint(usage_error("{} is there already", file.string()),
                     "Replace it with --yes, or choose another folder");
  const bool questions = !globals.yes && ::isatty(STDIN_FILENO) == 1 && p.goal.empty();
  if (questions) SLLM_OK(ask_for_the_rest(p, thresholds));
  if (p.goal.empty()) return with_hint(usage_error("a goal is needed"), "Give it with --goal");
  if (p.name.empty()) p.name = fs::absolute(folder).lexically_normal().filename().string();
  if (p.name.empty()) p.name = "model";
  SLLM_OK(set_thresholds(p, thresholds));
  std::string reason;
  if (p.base.empty()) {
    SLLM_TRY(const project::BaseChoice choice,
             project::choose_base(p.languages, p.memory_mb, p.disk_mb, p.use));
    p.base = choice.entry->name;
    reason = choice.reason;
  } else {
    SLLM_OK(project::check_base(p.base, folder));
  }
  std::string text = project::project_toml(p, reason);
  SLLM_TRY(const project::Project checked, project::parse_project(text, file));
  SLLM_OK(project::check_use(checked));
  const auto plan = project::plan_new(checked);  // may be unknown: a base that is not here yet
  const std::string takes = plan.ok() ? plan->to_string() : plan.error().message;
  text = project::project_toml(p, reason, takes);
  if (!globals.dry_run) {
    fs::create_directories(folder, error);
    SLLM_OK(write_file_atomically(file, text));
  }
  if (globals.json) {
    print_json("new", {{"file", file.string()},
                       {"base", p.base},
                       {"reason", reason},
                       {"languages", p.languages},
                       {"use", p.use},
                       {"method", checked.tune.method},
                       {"tune_seconds", plan.ok() ? plan->seconds : 0},
                       {"tune_memory_mb", plan.ok() ? static_cast<double>(plan->memory) / 1e6 : 0},
                       {"plan", takes}});
    return ok();
  }
  if (globals.dry_run) {
    std::cout << text;
    return ok();
  }
  std::cout << fmt::format(
      "{}\nbase: {}{}\nmethod: LoRA of rank {}, {} epochs; then {}\nplan: {}\n", file.string(),
      p.base, reason.empty() ? "" : " (" + reason + ")", checked.tune.options.rank,
      checked.tune.options.epochs, fmt::join(checked.quantize, " and "), takes);
  std::cout << fmt::format("next: put rows into {} and {}, then: sllm run --dry-run --project {}\n",
                           (folder / p.train).string(), (folder / p.test).string(),
                           folder.string());
  return ok();
}

}  // namespace

Action declare_new(CLI::App& app, const Globals& globals) {
  const auto p = std::make_shared<NewProject>();
  const auto folder = std::make_shared<std::string>(".");
  const auto thresholds = std::make_shared<std::vector<std::string>>();
  app.add_option("folder", *folder, "Where to write sllm.toml")->capture_default_str();
  app.add_option("--name", p->name, "The model's name (default: the folder's)");
  app.add_option("--goal", p->goal, "What the model must do, in a sentence");
  app.add_option("--languages", p->languages, "Codes: en,ko")->delimiter(',');
  app.add_option("--memory", p->memory_mb, "The device's memory in MB; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--disk", p->disk_mb, "Room on its disk in MB; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--base", p->base, "Base model (default: chosen by language and limits)");
  app.add_option("--use", p->use, "private, or commercial: only bases whose licence allows it")
      ->check(CLI::IsMember({"private", "commercial"}))
      ->capture_default_str();
  app.add_option("--metric", p->metric, "exact_match, json_match, token_f1 or key_facts")
      ->check(CLI::IsMember({"exact_match", "json_match", "token_f1", "key_facts"}))
      ->capture_default_str();
  app.add_option("--threshold", *thresholds, "Least value of the metric: 0.9, or en=0.95,ko=0.85")
      ->delimiter(',');
  app.add_option("--train", p->train, "Training rows")->capture_default_str();
  app.add_option("--test", p->test, "Held-out rows")->capture_default_str();
  app.add_option("--documents", p->documents, "Folder of documents that answers rest on");
  return [=, &globals] { return write_project(*p, *thresholds, *folder, globals); };
}

}  // namespace sllm::cli
