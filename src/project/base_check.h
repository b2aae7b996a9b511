// Whether a base may be what a purpose is built on: it runs here, and its licence allows the use.
#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"
#include "hub/catalogue.h"
#include "project/project_file.h"

namespace sllm::project {

// The model registry knows the entry's architecture.
bool can_run(const CatalogueEntry& entry);

// The catalogue's entry for a short name, or for the repository of hf:org/repo...; else nullptr.
const CatalogueEntry* catalogue_entry_of(const std::string& base);

// With use = "commercial" and a licence that does not allow it, or that nobody has read: kUsage
// with what the licence says and what to do. `licence` as the model or its card states it.
Status check_licence(const Project& project, const std::string& licence);

// The same before the base is fetched: by the catalogue, or by the files when they are here. What
// is not known yet passes; it is checked again when the base is here.
Status check_use(const Project& project);

}  // namespace sllm::project
