// resolve_model and pull_model: the catalogue's origins in order.
#include "hub/resolve.h"

#include "base/sha256.h"
#include "hub/cache.h"
#include "hub/catalogue.h"
#include "hub/name.h"
#include "hub/origin.h"

namespace sllm {
namespace {

Result<fs::path> find(const ModelOrigin& origin) {
  if (is_url(origin.name)) return find_url(origin.name);
  SLLM_TRY(const auto hf, parse_hf_name(origin.name));
  return hf ? find_hf(*hf) : find_pypi(origin);
}

Result<fs::path> fetch(const ModelOrigin& origin, bool quick, const ProgressSink& progress) {
  const FetchOptions options{quick, origin.sha256};
  if (is_url(origin.name)) return fetch_url(origin.name, options, progress);
  SLLM_TRY(const auto hf, parse_hf_name(origin.name));
  return hf ? fetch_hf(*hf, options, progress) : fetch_pypi(origin, progress);
}

bool has_prefix(std::string_view name) {
  return is_url(name) || name.starts_with("hf:") || name.starts_with("pypi:");
}

Error unknown_name(std::string_view name) {
  Error error = bad_input("{}: neither a file or folder here nor a known model", name);
  if (const CatalogueEntry* near = nearest_in_catalogue(name))
    error.hint = fmt::format("Did you mean {}? `sllm list` shows all names", near->name);
  else
    error.hint = "Give a path, hf:ORGANISATION/REPOSITORY, or a name that `sllm list` shows";
  return error;
}

// A blob that no longer has the hash it is known by is removed, so that it is fetched again.
Result<bool> is_intact(const fs::path& path, const ModelOrigin& origin) {
  if (!*origin.sha256) return true;
  SLLM_TRY(const std::string sha256, sha256_file(path));
  if (sha256 == origin.sha256) return true;
  log(LogLevel::kWarning, fmt::format("{}: damaged; fetched again", path.string()));
  std::error_code error;
  fs::remove(fs::canonical(path, error), error);
  fs::remove(path, error);
  return false;
}

}  // namespace

Result<fs::path> resolve_model(std::string_view name) {
  if (has_prefix(name)) {
    const std::string owned(name);
    auto found = find({owned.c_str()});
    if (found.ok() || found.error().code != ErrorCode::kBadInput) return found;
    return with_hint(std::move(found).error(), fmt::format("Fetch it: sllm pull {}", name));
  }
  std::error_code error;
  if (fs::exists(fs::path(name), error)) return fs::path(name);
  const CatalogueEntry* entry = find_in_catalogue(name);
  if (!entry) return unknown_name(name);
  for (const ModelOrigin& origin : entry->origins)
    if (auto found = find(origin); found.ok()) return found;
  return with_hint(bad_input("{}: not on this machine yet", name),
                   fmt::format("Fetch it ({:.0f} MB): sllm pull {}", entry->megabytes, name));
}

Result<fs::path> pull_model(std::string_view name, const ProgressSink& progress) {
  const std::string owned(name);
  std::vector<ModelOrigin> origins;
  if (has_prefix(name)) {
    // A name that cannot be meant is said to be so, with or without a network.
    SLLM_TRY([[maybe_unused]] const auto hf, parse_hf_name(name));
    SLLM_TRY([[maybe_unused]] const auto pypi, parse_pypi_name(name));
    origins = {{owned.c_str()}};
  } else if (const CatalogueEntry* entry = find_in_catalogue(name)) {
    origins = entry->origins;
  } else {
    return unknown_name(name);
  }
  for (const ModelOrigin& origin : origins) {
    // A branch may have moved on: only what is pinned by a hash, a version or a commit is taken as
    // it lies, and a folder may lack a file.
    const auto hf = parse_hf_name(origin.name);
    const bool pinned = *origin.sha256 || std::string_view(origin.name).starts_with("pypi:") ||
                        (hf.ok() && *hf && (*hf)->is_pinned() && !(*hf)->file.empty());
    if (auto found = find(origin); found.ok() && (pinned || hub_offline())) {
      SLLM_TRY(const bool intact, is_intact(*found, origin));
      if (intact) return found;
    }
  }
  if (hub_offline())
    return with_hint(make_error(ErrorCode::kNetwork,
                                "{}: not on this machine, and HF_HUB_OFFLINE "
                                "forbids to fetch it",
                                name),
                     "Unset HF_HUB_OFFLINE");
  std::string failures;
  Error last;
  for (size_t i = 0; i < origins.size(); ++i) {
    auto path = fetch(origins[i], i + 1 < origins.size(), progress);
    if (path.ok()) return path;
    last = std::move(path).error();
    const bool next_may_help =
        last.code == ErrorCode::kNetwork || last.code == ErrorCode::kBadInput;
    if (origins.size() == 1 || !next_may_help) return last;
    failures +=
        fmt::format("{}{} ({})", failures.empty() ? "" : "; ", origins[i].name, last.message);
    if (i + 1 < origins.size())
      log(LogLevel::kInfo, fmt::format("{} is not to be had ({}); trying {}", origins[i].name,
                                       last.message, origins[i + 1].name));
  }
  return with_hint(
      make_error(ErrorCode::kNetwork, "{}: no source could be reached: {}", name, failures),
      last.hint);
}

}  // namespace sllm
