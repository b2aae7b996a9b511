// sllm list: the models that have a short name, and what lies in the cache.
#include <iostream>

#include "cli/command.h"
#include "hub/cache.h"
#include "hub/catalogue.h"
#include "hub/resolve.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

void print_json_list(const std::vector<CachedModel>& cached) {
  Json known = Json::array(), local = Json::array();
  for (const CatalogueEntry& e : catalogue()) {
    const auto path = resolve_model(e.name);
    known.push_back({{"name", e.name},
                     {"description", e.description},
                     {"licence", e.licence},
                     {"languages", e.languages},
                     {"parameters_millions", e.parameters},
                     {"megabytes", e.megabytes},
                     {"path", path.ok() ? Json(path->string()) : Json()}});
  }
  for (const CachedModel& m : cached)
    local.push_back({{"name", m.name}, {"path", m.path.string()}, {"bytes", m.bytes}});
  print_json("list", {{"catalogue", known}, {"cache", local}});
}

void print_lists(const std::vector<CachedModel>& cached) {
  std::cout << "Known by name (fetch with `sllm pull NAME`):\n";
  for (const CatalogueEntry& e : catalogue())
    std::cout << fmt::format("  {} {:<24} {:>6.0f} M {:>6.0f} MB  {:<10}  {}\n",
                             resolve_model(e.name).ok() ? '*' : ' ', e.name, e.parameters,
                             e.megabytes, e.licence, e.description);
  std::cout << "  * on this machine\n";
  if (cached.empty()) return;
  std::cout << fmt::format("\nIn {}:\n", hub_cache_dir().string());
  for (const CachedModel& m : cached)
    std::cout << fmt::format("  {:>8.1f} MB  {}\n", static_cast<double>(m.bytes) / 1e6, m.name);
}

}  // namespace

Action declare_list(CLI::App&, const Globals& globals) {
  return [&globals]() -> Status {
    const std::vector<CachedModel> cached = cached_models();
    if (globals.json)
      print_json_list(cached);
    else
      print_lists(cached);
    return ok();
  };
}

}  // namespace sllm::cli
