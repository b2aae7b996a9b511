// sllm rm: removes models from the cache and says what that frees.
#include <unistd.h>

#include <iostream>

#include "cli/commands.h"
#include "hub/cached.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string megabytes(uint64_t bytes) {
  return fmt::format("{} bytes ({:.1f} MB)", bytes, static_cast<double>(bytes) / 1e6);
}

Result<bool> confirmed(const Removal& removal, const Globals& globals) {
  if (globals.yes) return true;
  if (::isatty(STDIN_FILENO) != 1)
    return with_hint(
        usage_error("rm: would free {}; nobody is there to be asked", megabytes(removal.bytes)),
        "Give --yes, or look first with --dry-run");
  std::cerr << fmt::format("Free {}? [y/N] ", megabytes(removal.bytes)) << std::flush;
  std::string line;
  const bool read = read_line(line);
  SLLM_OK(check_stop());
  return read && (line == "y" || line == "Y" || line == "yes");
}

Status run(const std::vector<std::string>& names, const Globals& globals) {
  std::vector<CachedModel> models;
  for (const std::string& name : names) {
    SLLM_TRY(const std::vector<CachedModel> found, cached_models_named(name));
    for (const CachedModel& model : found)
      if (std::ranges::none_of(models, [&](const CachedModel& m) { return m.path == model.path; }))
        models.push_back(model);
  }
  const Removal removal = plan_removal(models);
  Json removed = Json::array();
  for (const CachedModel& m : models) {
    removed.push_back({{"name", m.name}, {"path", m.path.string()}, {"bytes", m.bytes}});
    if (!globals.json)
      std::cout << fmt::format("{:>10.1f} MB  {}{}\n", static_cast<double>(m.bytes) / 1e6, m.name,
                               m.format == "leftovers" ? " (leftovers of downloads)" : "");
  }
  uint64_t freed = removal.bytes;
  bool done = false;
  if (!globals.dry_run) {
    SLLM_TRY(done, confirmed(removal, globals));
    freed = 0;
    if (done) {
      SLLM_TRY(freed, remove_cached(removal));
    }
  }
  if (globals.json)
    print_json("rm", {{"removed", done},
                      {"models", removed},
                      {globals.dry_run ? "would_free_bytes" : "freed_bytes", freed}});
  else
    std::cout << (globals.dry_run ? "would free " + megabytes(freed)
                  : done          ? "freed " + megabytes(freed)
                                  : "nothing was removed")
              << "\n";
  return ok();
}

}  // namespace

Action declare_rm(CLI::App& app, const Globals& globals) {
  const auto names = std::make_shared<std::vector<std::string>>();
  app.add_option("model", *names,
                 "Names or paths that `sllm list` shows; hf:ORG/REPO: all of a repository")
      ->required();
  return [=, &globals] { return run(*names, globals); };
}

}  // namespace sllm::cli
