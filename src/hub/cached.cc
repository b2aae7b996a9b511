// The models of all repositories in the cache, and which of them a name means.
#include "hub/cached.h"

#include <algorithm>
#include <cctype>

#include "hub/cache.h"
#include "hub/cached_repo.h"
#include "hub/catalogue.h"
#include "hub/name.h"
#include "hub/resolve.h"

namespace sllm {

std::vector<CachedModel> cached_models() {
  std::vector<CachedModel> models;
  for (const fs::path& folder : entries_of(hub_cache_dir())) {
    if (!folder.filename().string().starts_with("models--")) continue;
    std::ranges::move(CachedRepo(folder).models(), std::back_inserter(models));
  }
  // A short name is what people know a model by.
  for (const CatalogueEntry& entry : catalogue()) {
    const auto path = resolve_model(entry.name);
    if (!path.ok()) continue;
    for (CachedModel& model : models)
      if (model.path == *path && model.format != "leftovers") model.name = entry.name;
  }
  std::ranges::stable_sort(models, {}, &CachedModel::name);
  return models;
}

Result<std::vector<CachedModel>> cached_models_named(std::string_view name) {
  const std::vector<CachedModel> all = cached_models();
  std::vector<CachedModel> found;
  const auto take = [&](auto&& fits) {
    if (!found.empty()) return;
    for (const CachedModel& model : all)
      if (fits(model)) found.push_back(model);
  };
  // hf:org/repo alone is the repository with all that it holds.
  take([&](const CachedModel& m) { return m.repo == name; });
  take([&](const CachedModel& m) { return m.name == name; });
  const fs::path given = fs::path(name).lexically_normal();
  take([&](const CachedModel& m) { return m.path == given; });
  if (const auto path = resolve_model(name); found.empty() && path.ok())
    take([&](const CachedModel& m) { return m.path == *path; });
  // Without a revision, a file or type means that of every revision.
  if (const auto hf = parse_hf_name(name); found.empty() && hf.ok() && *hf)
    take([&](const CachedModel& m) {
      if (m.repo != "hf:" + (*hf)->repo || m.format == "leftovers") return false;
      if ((*hf)->names_revision && m.revision != (*hf)->revision &&
          m.revision != RepoCache((*hf)->repo).revision_of((*hf)->revision))
        return false;
      if (!(*hf)->quant.empty())
        return std::ranges::equal(m.type, (*hf)->quant, [](unsigned char a, unsigned char b) {
          return std::toupper(a) == std::toupper(b);
        });
      return (*hf)->file.empty() || std::ranges::count(m.files, (*hf)->file) > 0;
    });
  if (!found.empty()) return found;
  return with_hint(bad_input("{}: not in {}", name, hub_cache_dir().string()),
                   "`sllm list` shows what is there");
}

}  // namespace sllm
