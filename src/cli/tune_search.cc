// Looks for tuning settings and says what was found.
#include "cli/tune_search.h"

#include <cmath>
#include <iostream>

#include "project/plan.h"
#include "project/project_file.h"
#include "project/search_page.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

Status read_rates(const std::string& text, SearchSpace& space) {
  const bool range = text.find(':') != std::string::npos;
  std::vector<double> rates;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(range ? ':' : ',', begin), text.size());
    const std::string piece = text.substr(begin, end - begin);
    char* rest = nullptr;
    const double rate = std::strtod(piece.c_str(), &rest);
    if (piece.empty() || *rest != '\0')
      return usage_error(
          "--search-lr {}: expected LOW:HIGH, as in 2e-5:2e-3, or rates between "
          "commas",
          text);
    rates.push_back(rate);
    begin = end + 1;
  }
  if (range && rates.size() != 2)
    return usage_error("--search-lr {}: expected one LOW and one HIGH", text);
  if (range)
    space.lr_low = rates[0], space.lr_high = rates[1];
  else
    space.lr = rates;
  return ok();
}

std::string shares_text(const std::vector<double>& shares) {
  std::string text;
  for (const double share : shares) text += (text.empty() ? "" : ", ") + project::share_text(share);
  return text;
}

Status estimate(const TuneOptions& options, const SearchOptions& search, const Globals& globals) {
  SLLM_TRY(const SearchEstimate e, estimate_search(options, search));
  if (globals.json) {
    Json brackets = Json::array();
    for (const BracketPlan& b : e.brackets)
      brackets.push_back(
          {{"candidates", b.candidates}, {"shares", b.shares}, {"seconds", b.seconds}});
    print_json("tune", {{"run_seconds", e.cost.run},
                        {"rung_seconds", e.cost.rung},
                        {"memory_mb", static_cast<double>(e.run.memory) / 1e6},
                        {"brackets", brackets}});
    return ok();
  }
  std::cout << fmt::format("a whole run: {}; a comparison: {}; {:.1f} GB of memory\n",
                           project::human_time(e.cost.run), project::human_time(e.cost.rung),
                           static_cast<double>(e.run.memory) / 1e9);
  for (const BracketPlan& b : e.brackets)
    std::cout << fmt::format("{} candidates, compared after {} of their steps", b.candidates,
                             shares_text(b.shares))
              << (b.seconds > 0 ? fmt::format(": {}", project::human_time(b.seconds)) : "") << '\n';
  if (e.brackets.empty())
    std::cout << fmt::format("{:.3g} minutes are too short to compare two candidates\n",
                             search.minutes);
  return ok();
}

// The best first; those that were not begun are counted.
void print_table(const Search& s) {
  std::cout << fmt::format("{:>4} {:>9} {:>5} {:>7} {:>12} {:>9}  {}\n", "id", "lr", "rank",
                           "epochs", "steps", "eval loss", "state");
  size_t waiting = 0;
  for (const int64_t id : s.ranking()) {
    const SearchCandidate& c = s.candidates[static_cast<size_t>(id)];
    if (c.rungs.empty()) {
      ++waiting;
      continue;
    }
    const SearchRung& last = c.rungs.back();
    std::cout << fmt::format("{:>4} {:>9.3g} {:>5} {:>7} {:>12} {:>9}  {}\n", c.id, c.lr, c.rank,
                             c.epochs, fmt::format("{}/{}", last.step, c.total_steps),
                             std::isfinite(last.loss) ? fmt::format("{:.4f}", last.loss) : "-",
                             s.state_of(c));
  }
  if (waiting > 0) std::cout << fmt::format("and {} that were not begun\n", waiting);
}

void print_text(const Search& s, const TuneOptions& options) {
  print_table(s);
  const SearchCandidate& best = s.candidates[static_cast<size_t>(s.best)];
  std::cout << fmt::format(
      "\n{} of {:.3g} minutes spent{}; the best: --lr {:g} --rank {} --alpha {:g} --epochs {}\n",
      fmt::format("{:.1f}", s.seconds / 60), s.minutes,
      s.out_of_time ? ", which ended the search early" : "", best.lr, best.rank, best.alpha,
      best.epochs);
  std::cout << best_path(options.run).string() << '\n'
            << project::search_page_path(options.run).string() << '\n';
  if (const fs::path adapter = project::best_adapter(options.run, s); !adapter.empty())
    std::cout << adapter.string() << '\n';
  else
    std::cout << fmt::format("no candidate was trained to its end: sllm tune --config {}\n",
                             best_path(options.run).string());
}

Json to_json(const Search& s, const TuneOptions& options) {
  const fs::path adapter = project::best_adapter(options.run, s);
  Json json = {{"folder", options.run.string()},
               {"best_settings", best_path(options.run).string()},
               {"page", project::search_page_path(options.run).string()},
               {"adapter", adapter.empty() ? Json(nullptr) : Json(adapter.string())}};
  json["search"] = s.to_json();
  return json;
}

std::string page_language(const std::string& asked) {
  if (!asked.empty()) return asked;
  const auto project = project::read_project(".");
  return project.ok() ? project->report_language : "en";
}

}  // namespace

void add_search_flags(CLI::App& app, SearchFlags& f) {
  constexpr const char* kGroup = "Search";
  SearchOptions& o = f.options;
  CLI::Option* search =
      app.add_flag("--search", f.search,
                   "Look for learning rate, rank and epochs by successive halving; the evaluation "
                   "loss decides")
          ->group(kGroup);
  const auto add = [&](CLI::Option* option) { option->group(kGroup)->needs(search); };
  add(app.add_option("--minutes", o.minutes, "Time for all of it, interrupted or not")
          ->check(positive()));
  add(app.add_option("--search-lr", f.lr,
                     "LOW:HIGH to draw from log-uniformly, or rates between commas: a grid")
          ->capture_default_str());
  add(app.add_option("--search-rank", o.space.rank, "Ranks to try (alpha / rank stays as given)")
          ->delimiter(',')
          ->capture_default_str());
  add(app.add_option("--search-epochs", o.space.epochs, "Numbers of epochs to try")
          ->delimiter(',')
          ->capture_default_str());
  add(app.add_option("--eta", o.eta, "One in so many goes on from a rung")->capture_default_str());
  add(app.add_option("--candidates", o.candidates, "To begin with; 0: as many as the time allows"));
  add(app.add_option("--rungs", o.rungs, "Comparisons, the last after whole runs; 0: as useful"));
  add(app.add_option("--rung-steps", o.rung_steps, "Steps before the first comparison at least")
          ->capture_default_str());
  add(app.add_option("--brackets", o.brackets,
                     "Searches that share the time, each with one rung less (Hyperband)")
          ->capture_default_str());
  add(app.add_option("--language", f.language, "Of search.html (default: that of ./sllm.toml)")
          ->check(CLI::IsMember({"en", "ko"})));
}

Status run_search(const TuneOptions& options, SearchFlags flags, const Globals& globals) {
  SLLM_OK(read_rates(flags.lr, flags.options.space));
  if (flags.options.minutes <= 0)
    return with_hint(usage_error("--search needs --minutes"), "As in: --minutes 60");
  if (globals.dry_run) return estimate(options, flags.options, globals);
  SLLM_TRY(const Search found, search(options, flags.options, progress_sink(globals)));
  SLLM_OK(project::write_search_page(options, page_language(flags.language)));
  if (globals.json)
    print_json("tune", to_json(found, options));
  else
    print_text(found, options);
  return ok();
}

}  // namespace sllm::cli
