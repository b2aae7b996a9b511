// The licences of the models that people use at this size.
#include "hub/licence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "hub/cache.h"
#include "hub/cached_repo.h"
#include "hub/catalogue.h"

namespace sllm {
namespace {

struct Known {
  const char* id;
  Commercial commercial;
  const char* condition;
};

constexpr Known kKnown[] = {
    {"Apache-2.0", Commercial::kYes, ""},
    {"MIT", Commercial::kYes, ""},
    {"BSD-2-Clause", Commercial::kYes, ""},
    {"BSD-3-Clause", Commercial::kYes, ""},
    {"ISC", Commercial::kYes, ""},
    {"CC0-1.0", Commercial::kYes, ""},
    {"Unlicense", Commercial::kYes, ""},
    {"CC-BY-4.0", Commercial::kYes, ""},
    {"CC-BY-SA-4.0", Commercial::kConditions, "what is made of it stays under the same licence"},
    {"gemma", Commercial::kConditions, "Google's terms and prohibited uses are passed on"},
    {"llama2", Commercial::kConditions, "up to 700 million users a month, acceptable uses only"},
    {"llama3", Commercial::kConditions,
     "up to 700 million users a month, \"Built with Meta Llama 3\" is shown"},
    {"llama3.1", Commercial::kConditions,
     "up to 700 million users a month, \"Built with Llama\" is shown"},
    {"llama3.2", Commercial::kConditions,
     "up to 700 million users a month, \"Built with Llama\" is shown"},
    {"hyperclovax-seed", Commercial::kConditions,
     "up to 10 million users a month, not against NAVER's own services"},
    {"lfm1.0", Commercial::kConditions, "companies with less than 10 million dollars a year"},
    {"qwen-research", Commercial::kNo, "research and evaluation only"},
    {"exaone", Commercial::kNo, "research only; LG AI Research sells another licence"},
    {"mrl", Commercial::kNo, "research only; Mistral sells another licence"},
    {"CC-BY-NC-4.0", Commercial::kNo, "non-commercial use only"},
    {"CC-BY-NC-SA-4.0", Commercial::kNo, "non-commercial use only"},
    {"CC-BY-NC-ND-4.0", Commercial::kNo, "non-commercial use only"},
    {"CC-BY-NC-2.0", Commercial::kNo, "non-commercial use only"},
    {"CC-BY-NC-3.0", Commercial::kNo, "non-commercial use only"},
};

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// "value", 'value' or value # comment
std::string yaml_scalar(std::string_view text) {
  const auto trim = [](std::string_view t) {
    while (!t.empty() && std::isspace(static_cast<unsigned char>(t.front()))) t.remove_prefix(1);
    while (!t.empty() && std::isspace(static_cast<unsigned char>(t.back()))) t.remove_suffix(1);
    return t;
  };
  text = trim(text);
  if (text.size() >= 2 && (text[0] == '"' || text[0] == '\'')) {
    const size_t end = text.find(text[0], 1);
    return std::string(text.substr(1, end == text.npos ? text.npos : end - 1));
  }
  return std::string(trim(text.substr(0, text.find(" #"))));
}

// The card beside the model; in the cache, also that of the snapshot it lies in.
std::string card_of(const fs::path& model) {
  std::error_code error;
  const fs::path folder = fs::is_directory(model, error) ? model : model.parent_path();
  constexpr uint64_t kMost = 4 << 20;
  if (auto text = read_file(folder / "README.md", kMost); text.ok()) return *text;
  for (fs::path f = folder; f.has_relative_path(); f = f.parent_path())
    if (f.parent_path().filename() == "snapshots") {
      auto text = read_file(f / "README.md", kMost);
      return text.ok() ? *text : "";
    }
  return "";
}

}  // namespace

std::string LicenceTerms::to_string() const {
  const std::string name = id.empty() ? "no licence is stated" : id;
  switch (commercial) {
    case Commercial::kYes:
      return name + ": commercial use is allowed";
    case Commercial::kConditions:
      return fmt::format("{}: commercial use is allowed on conditions ({})", name, condition);
    case Commercial::kNo:
      return fmt::format("{}: no commercial use ({})", name, condition);
    case Commercial::kUnknown:
      break;
  }
  return name + ": check the licence";
}

LicenceTerms licence_terms(std::string_view id) {
  for (const Known& known : kKnown)
    if (same(known.id, id)) return {known.id, known.commercial, known.condition};
  return {std::string(id.substr(0, 200)), Commercial::kUnknown, ""};
}

std::string licence_of_card(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::string licence, name;
  bool inside = false;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = text.substr(start, end - start);
    if (line.ends_with('\r')) line.remove_suffix(1);
    start = end + 1;
    if (line == "---") {
      if (inside) break;
      inside = true;
    } else if (!inside) {
      return "";  // no front matter
    } else if (line.starts_with("license:") && licence.empty()) {
      licence = yaml_scalar(line.substr(8));
      if (licence.empty() && start < text.size()) {  // a list: its first
        const std::string_view next = text.substr(start, text.find('\n', start) - start);
        const size_t dash = next.find("- ");
        if (dash != next.npos && next.find_first_not_of(" -") != next.npos)
          licence = yaml_scalar(next.substr(dash + 2));
      }
    } else if (line.starts_with("license_name:") && name.empty()) {
      name = yaml_scalar(line.substr(13));
    }
  }
  return (same(licence, "other") && !name.empty()) ? name : licence;
}

std::string licence_of_cached(const fs::path& model) {
  if (std::string licence = licence_of_card(card_of(model)); !licence.empty()) return licence;
  const fs::path cache = hub_cache_dir().lexically_normal();
  const fs::path below = fs::absolute(model).lexically_normal().lexically_relative(
      fs::absolute(cache).lexically_normal());
  if (below.empty() || *below.begin() == "..") return "";
  const std::string folder = below.begin()->string();
  if (!folder.starts_with("models--")) return "";
  const std::string repo = cached_repo_name(folder);
  const CatalogueEntry* entry =
      repo.starts_with("hf:") ? find_repo_in_catalogue(repo.substr(3)) : nullptr;
  return entry ? entry->licence : "";
}

}  // namespace sllm
