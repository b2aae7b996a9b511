// Chooses a base and writes the purpose file.
#include "project/new_project.h"

#include <algorithm>

#include "hub/licence.h"
#include "hub/name.h"
#include "project/base_check.h"
#include "project/workload.h"

namespace sllm::project {
namespace {

// MB of the 8-bit file (34 bytes per block of 32 weights), and to run it.
double q8_megabytes(const CatalogueEntry& e) { return e.parameters * 34 / 32; }
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace

double memory_needed(const CatalogueEntry& e) {
  return static_cast<double>(memory_while_answering(static_cast<int64_t>(q8_megabytes(e) * 1e6))) /
         1e6;
}

Result<BaseChoice> choose_base(const std::vector<std::string>& languages, int64_t memory_mb,
                               int64_t disk_mb, const std::string& use) {
  const CatalogueEntry *best = nullptr, *second = nullptr, *too_large = nullptr;
  for (const CatalogueEntry& entry : catalogue()) {
    const bool speaks = std::ranges::all_of(languages, [&](const std::string& language) {
      return std::ranges::any_of(entry.languages, [&](const char* l) { return language == l; });
    });
    const Commercial allowed = licence_terms(entry.licence).commercial;
    const bool permitted =
        use != "commercial" || allowed == Commercial::kYes || allowed == Commercial::kConditions;
    // Coder models are there as references and for code; they are not chosen unasked.
    if (!speaks || !permitted || !can_run(entry) || !entry.chat_template ||
        std::string_view(entry.name).find("coder") != std::string_view::npos)
      continue;
    const bool fits = (memory_mb == 0 || memory_needed(entry) <= static_cast<double>(memory_mb)) &&
                      (disk_mb == 0 || q8_megabytes(entry) <= static_cast<double>(disk_mb));
    const bool free = allowed == Commercial::kYes && !entry.gated;
    const CatalogueEntry*& slot = !fits ? too_large : free ? best : second;
    if (!slot || entry.parameters < slot->parameters) slot = &entry;
  }
  if (!best) best = second;
  if (best)
    return BaseChoice{
        best, fmt::format("the smallest catalogued model that speaks {} within the limits; "
                          "{:.0f} MB on disk and about {:.0f} MB in memory at 8 bits; {}",
                          fmt::join(languages, " and "), q8_megabytes(*best), memory_needed(*best),
                          licence_terms(best->licence).to_string())};
  if (too_large)
    return with_hint(
        usage_error(
            "no catalogued model for {} fits: {} needs {:.0f} MB of disk and about {:.0f} MB "
            "of memory at 8 bits",
            fmt::join(languages, " and "), too_large->name, q8_megabytes(*too_large),
            memory_needed(*too_large)),
        "Raise --memory or --disk, or name a base with --base");
  return with_hint(usage_error("no catalogued model speaks {}", fmt::join(languages, " and ")),
                   "Name a base with --base: a file, a folder, or hf:org/repo");
}

Status check_base(const std::string& base, const fs::path& folder) {
  std::error_code error;
  if (is_url(base) || fs::exists(folder / base, error)) return ok();
  SLLM_TRY(const auto hf, parse_hf_name(base));
  SLLM_TRY(const auto pypi, parse_pypi_name(base));
  if (const CatalogueEntry* entry = catalogue_entry_of(base); entry && !can_run(*entry))
    return with_hint(usage_error("{}: its architecture, {}, cannot be run by this version yet",
                                 base, entry->architecture),
                     "`sllm list` shows which bases can");
  if (hf || pypi || find_in_catalogue(base)) return ok();
  const CatalogueEntry* near = nearest_in_catalogue(base);
  return with_hint(
      usage_error("{}: neither a file or folder in {} nor a known model", base, folder.string()),
      near ? fmt::format("Did you mean {}? `sllm list` shows all names", near->name)
           : "Give a path, hf:ORGANISATION/REPOSITORY, or a name that `sllm list` "
             "shows");
}

std::string project_toml(const NewProject& p, const std::string& base_reason,
                         const std::string& plan) {
  std::string languages;
  for (const std::string& language : p.languages)
    languages += (languages.empty() ? "" : ", ") + quoted(language);
  std::string out = fmt::format(
      "# The purpose of a model, and how it is built. `sllm run` follows it; `sllm run --dry-run` "
      "shows the plan.\n\n[purpose]\nname = {}\ngoal = {}\nlanguages = [{}]\nuse = {}   # "
      "\"commercial\": the base's licence must allow it\n\n",
      quoted(p.name), quoted(p.goal), languages, quoted(p.use));
  out += fmt::format(
      "[device]          # the machine that will run the result; 0: no limit\nmemory_mb = {}\n"
      "disk_mb = {}\n\n",
      p.memory_mb, p.disk_mb);
  out += "[thresholds]      # a quantised model that misses one is not deployed (exit code 7)\n";
  if (p.thresholds.empty()) {
    out += fmt::format("# {} = 0.9\n\n", p.metric);
  } else {
    std::string bounds;
    for (const auto& [language, value] : p.thresholds)
      bounds += fmt::format("{}{} = {:g}", bounds.empty() ? "" : ", ", language, value);
    out += fmt::format("{} = {{ {} }}\n\n", p.metric, bounds);
  }
  out += fmt::format("[base]{}\nmodel = {}\n\n",
                     base_reason.empty() ? "" : "            # " + base_reason, quoted(p.base));
  out += fmt::format(
      "[data]            # JSONL rows {{\"messages\": [...]}} and the other forms of `sllm data`\n"
      "train = [{}]\ntest = {}   # held out: nothing near it is trained on\nvalidation = 0.05\n"
      "near_duplicate = 0.85\n\n",
      quoted(p.train), quoted(p.test));
  if (!plan.empty()) out += "# " + plan + ".\n";
  // Passages stand in a grounded question.
  out += fmt::format(
      "[tune]            # LoRA; every setting of `sllm tune` may stand here\nrank = 16\n"
      "epochs = 2\nlr = 2e-4\nmax_length = {}\n\n",
      p.documents.empty() ? 512 : 1536);
  out += "[quantize]\ntypes = [\"q8_0\", \"q4_k\"]\n\n";
  if (!p.documents.empty())
    out += fmt::format("[index]           # answers rest on these documents\ndocuments = {}\n\n",
                       quoted(p.documents));
  out += fmt::format("[evaluate]\nmetrics = [{}]\nmode = \"fast\"\n{}\n", quoted(p.metric),
                     p.documents.empty() ? "" : "grounded = true\n");
  out +=
      "# [[evaluate.reference]]      # another model on the same rows, with examples in its "
      "prompt\n# model = \"qwen2.5-coder-0.5b\"\n# examples = 5\n\n[deploy]\ntype = \"q8_0\"\n";
  return out;
}

}  // namespace sllm::project
