#include "project/base_check.h"

#include <algorithm>

#include "base/events.h"
#include "hub/licence.h"
#include "hub/name.h"
#include "hub/resolve.h"
#include "models/registry.h"
#include "project/stage_bodies.h"

namespace sllm::project {

bool can_run(const CatalogueEntry& entry) {
  return find_architecture(entry.architecture) != nullptr;
}

const CatalogueEntry* catalogue_entry_of(const std::string& base) {
  if (const CatalogueEntry* entry = find_in_catalogue(base)) return entry;
  const auto hf = parse_hf_name(base);
  return hf.ok() && *hf ? find_repo_in_catalogue((*hf)->repo) : nullptr;
}

Status check_licence(const Project& project, const std::string& licence) {
  if (project.use != "commercial") return ok();
  const LicenceTerms terms = licence_terms(licence);
  if (terms.commercial == Commercial::kYes) return ok();
  const std::string what = fmt::format("{} is under {}", project.base, terms.to_string());
  if (terms.commercial == Commercial::kConditions || project.licence_checked) {
    log(LogLevel::kWarning, licence.empty() ? project.base + ": no licence is stated" : what);
    return ok();
  }
  const std::string where =
      fmt::format("{}: [purpose] use is \"commercial\"", project.file.string());
  if (terms.commercial == Commercial::kNo)
    return with_hint(usage_error("{}, but {}", where, what),
                     "Choose another base (`sllm list` says what each licence allows), or set "
                     "licence_checked = true in [base] if its owner has allowed it to you");
  return with_hint(licence.empty()
                       ? usage_error("{}, but {} states no licence", where, project.base)
                       : usage_error("{}, but {}, which is not known here", where, what),
                   "Read it; if it allows your use, set licence_checked = true in [base]");
}

Status check_use(const Project& project) {
  if (project.use != "commercial") return ok();
  std::error_code error;
  const fs::path local = project.path(project.base);
  const bool is_local = fs::exists(local, error);
  if (!is_local)
    if (const CatalogueEntry* entry = catalogue_entry_of(project.base))
      return check_licence(project, entry->licence);
  const auto path = is_local ? Result<fs::path>(local) : resolve_model(project.base);
  if (!path.ok()) return ok();
  const auto source = open_model(*path);
  if (!source.ok()) return ok();  // the stage that opens it says why
  return check_licence(project, licence_of(**source, project.base));
}

}  // namespace sllm::project
