// Finding entries of the catalogue by name.
#include "hub/catalogue.h"

#include <algorithm>

#include "hub/name.h"

namespace sllm {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

const CatalogueEntry* find_in_catalogue(std::string_view name) {
  for (const CatalogueEntry& e : catalogue())
    if (name == e.name) return &e;
  return nullptr;
}

const CatalogueEntry* find_repo_in_catalogue(std::string_view repo) {
  for (const CatalogueEntry& e : catalogue())
    for (const ModelOrigin& origin : e.origins)
      if (const auto hf = parse_hf_name(origin.name); hf.ok() && *hf && (*hf)->repo == repo)
        return &e;
  return nullptr;
}

const CatalogueEntry* nearest_in_catalogue(std::string_view name) {
  if (name.size() > 100) return nullptr;
  for (const CatalogueEntry& e : catalogue())
    if (name.size() > 3 && std::string_view(e.name).starts_with(name)) return &e;
  const CatalogueEntry* best = nullptr;
  size_t distance = 8;
  for (const CatalogueEntry& e : catalogue())
    if (const size_t d = edit_distance(name, e.name); d < distance) distance = d, best = &e;
  return best;
}

}  // namespace sllm
