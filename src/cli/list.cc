// sllm list: the models that have a short name, and what lies in the cache.
#include <iostream>
#include <map>

#include "cli/command.h"
#include "hub/cache.h"
#include "hub/cached.h"
#include "hub/catalogue.h"
#include "hub/licence.h"
#include "hub/resolve.h"
#include "project/base_check.h"
#include "project/new_project.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  bool cached = false, commercial = false;
  std::string language;
};

std::string utc(std::time_t when, const char* format) {
  std::tm parts{};
  char text[32] = "";
  if (when && ::gmtime_r(&when, &parts)) std::strftime(text, sizeof text, format, &parts);
  return text;
}

const char* word(Commercial commercial) {
  switch (commercial) {
    case Commercial::kYes:
      return "yes";
    case Commercial::kConditions:
      return "conditions";
    case Commercial::kNo:
      return "no";
    case Commercial::kUnknown:
      break;
  }
  return "unknown";
}

std::vector<const CatalogueEntry*> wanted(const Flags& flags) {
  std::vector<const CatalogueEntry*> out;
  for (const CatalogueEntry& e : catalogue()) {
    const Commercial commercial = licence_terms(e.licence).commercial;
    const bool speaks = flags.language.empty() || std::ranges::count(e.languages, flags.language);
    const bool allowed = commercial == Commercial::kYes || commercial == Commercial::kConditions;
    if (speaks && (allowed || !flags.commercial)) out.push_back(&e);
  }
  return out;
}

void print_json_list(const Flags& flags, const std::vector<CachedModel>& cached) {
  Json known = Json::array(), local = Json::array();
  for (const CatalogueEntry* e : wanted(flags)) {
    const auto path = resolve_model(e->name);
    const LicenceTerms terms = licence_terms(e->licence);
    Json origins = Json::array();
    for (const ModelOrigin& origin : e->origins) origins.push_back(origin.name);
    known.push_back({{"name", e->name},
                     {"description", e->description},
                     {"origins", origins},
                     {"licence", e->licence},
                     {"commercial_use", word(terms.commercial)},
                     {"licence_condition", terms.condition},
                     {"gated", e->gated},
                     {"languages", e->languages},
                     {"parameters_millions", e->parameters},
                     {"megabytes", e->megabytes},
                     {"memory_mb_at_8_bits", project::memory_needed(*e)},
                     {"chat_template", e->chat_template},
                     {"architecture", e->architecture},
                     {"supported", project::can_run(*e)},
                     {"path", path.ok() ? Json(path->string()) : Json()}});
  }
  uint64_t total = 0;
  for (const CachedModel& m : cached) {
    total += m.bytes;
    local.push_back({{"name", m.name},
                     {"repository", m.repo},
                     {"revision", m.revision},
                     {"format", m.format},
                     {"type", m.type},
                     {"path", m.path.string()},
                     {"bytes", m.bytes},
                     {"last_used", utc(m.last_used, "%Y-%m-%dT%H:%M:%SZ")}});
  }
  Json document = {{"catalogue", known}, {"cache", local}};
  if (flags.cached) document.erase("catalogue");
  document["cache_folder"] = hub_cache_dir().string();
  document["cache_bytes"] = total;
  print_json("list", document);
}

void print_catalogue(const Flags& flags) {
  std::cout << "Known by name (fetch with `sllm pull NAME`):\n"
            << fmt::format("    {:<26} {:>8} {:>8} {:>8}  {:<16} {:<10} {}\n", "name", "size",
                           "fetch", "memory", "licence", "to sell", "");
  bool gated = false, unsupported = false;
  std::map<std::string, std::string> conditions;
  for (const CatalogueEntry* e : wanted(flags)) {
    const bool runs = project::can_run(*e);
    const LicenceTerms terms = licence_terms(e->licence);
    if (!terms.condition.empty()) conditions[terms.id] = terms.condition;
    gated |= e->gated, unsupported |= !runs;
    std::cout << fmt::format(
        "  {}{} {:<26} {:>6.0f} M {:>5.0f} MB {:>5.0f} MB  {:<16} {:<10} {}{}\n",
        resolve_model(e->name).ok() ? '*' : ' ', runs ? ' ' : '-', e->name, e->parameters,
        e->megabytes, project::memory_needed(*e), e->licence, word(terms.commercial),
        e->description, e->gated ? " (gated)" : "");
  }
  std::cout << "  * on this machine; memory: about what answering takes at 8 bits\n";
  if (unsupported) std::cout << "  - this version cannot run the architecture yet\n";
  if (gated) std::cout << "  gated: accept the terms on the model's page and set HF_TOKEN\n";
  for (const auto& [id, condition] : conditions)
    std::cout << fmt::format("  {}: {}\n", id, condition);
}

void print_cache(const std::vector<CachedModel>& cached) {
  std::cout << fmt::format("In {}:\n", hub_cache_dir().string());
  uint64_t total = 0;
  for (const CachedModel& m : cached) {
    total += m.bytes;
    std::cout << fmt::format("  {:>8.1f} MB  {:<10}  {:<18}  {}\n",
                             static_cast<double>(m.bytes) / 1e6, utc(m.last_used, "%Y-%m-%d"),
                             m.type.empty() ? m.format : m.format + " " + m.type, m.name);
  }
  std::cout << (cached.empty() ? "  nothing\n"
                               : fmt::format("  {:>8.1f} MB  together; the date is the last use. "
                                             "Remove with `sllm rm NAME`\n",
                                             static_cast<double>(total) / 1e6));
}

}  // namespace

Action declare_list(CLI::App& app, const Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  app.add_flag("--cached", flags->cached, "Only what is on this machine");
  app.add_option("--language", flags->language, "Only bases that speak it: ko");
  app.add_flag("--commercial", flags->commercial, "Only bases whose licence allows commercial use");
  return [=, &globals]() -> Status {
    const std::vector<CachedModel> cached = cached_models();
    if (globals.json) {
      print_json_list(*flags, cached);
      return ok();
    }
    if (!flags->cached) {
      print_catalogue(*flags);
      std::cout << "\n";
    }
    print_cache(cached);
    return ok();
  };
}

}  // namespace sllm::cli
