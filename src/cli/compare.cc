// sllm compare: the same measurements on several models, side by side.
#include <algorithm>
#include <iostream>
#include <map>

#include "cli/commands.h"
#include "cli/evaluation.h"
#include "project/evaluate.h"

namespace sllm::cli {
namespace {

Status compare(const std::vector<std::string>& names, ModelFlags flags, const EvaluationFlags& what,
               const Globals& globals) {
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const std::string& name : names) {
    flags.model = name;
    project::reset_peak_memory();
    SLLM_TRY(nlohmann::ordered_json figures, evaluate(flags, what, globals).context(name));
    figures["peak_rss_mb"] = static_cast<double>(project::peak_memory()) / 1e6;
    models.push_back(std::move(figures));
  }
  if (globals.json) {
    for (auto& model : models) model.erase("answers");
    print_json("compare", {{"models", models}});
    return ok();
  }
  std::vector<std::string> order;
  std::vector<std::map<std::string, std::string>> columns;
  for (const auto& model : models) {
    columns.emplace_back();
    auto rows = figure_rows(model);
    rows.emplace_back("memory", fmt::format("{:.0f} MB", model["peak_rss_mb"].get<double>()));
    for (const auto& [figure, value] : rows) {
      if (std::ranges::find(order, figure) == order.end()) order.push_back(figure);
      columns.back()[figure] = value;
    }
  }
  for (size_t i = 0; i < names.size(); ++i) std::cout << fmt::format("{}: {}\n", i + 1, names[i]);
  for (const std::string& figure : order) {
    std::cout << fmt::format("{:<44}", figure);
    for (auto& column : columns) std::cout << fmt::format(" {:>22}", column[figure]);
    std::cout << '\n';
  }
  return ok();
}

}  // namespace

Action declare_compare(CLI::App& app, const Globals& globals) {
  const auto names = std::make_shared<std::vector<std::string>>();
  const auto model = std::make_shared<ModelFlags>();
  const auto flags = std::make_shared<EvaluationFlags>();
  app.add_option("models", *names, "Two or more models")->required()->expected(2, 100);
  app.add_option("--mode", model->mode, "Numerics: exact, bf16 or fast")
      ->check(CLI::IsMember({"exact", "bf16", "fast"}))
      ->capture_default_str();
  app.add_option("-t,--threads", model->threads, "Threads; 0: all usable cores")
      ->check(CLI::Range(0, 1024));
  app.add_option("-c,--context", model->context, "Context in tokens; 0: what fits");
  add_evaluation_flags(app, *flags);
  return [=, &globals] { return compare(*names, *model, *flags, globals); };
}

}  // namespace sllm::cli
