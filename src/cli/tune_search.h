// sllm tune --search: its flags and what it prints.
#pragma once

#include "cli/command.h"
#include "train/search.h"

namespace sllm::cli {

struct SearchFlags {
  bool search = false;
  std::string lr = "2e-5:2e-3";  // LOW:HIGH, or rates between commas
  std::string language;          // of the page; "": that of ./sllm.toml
  SearchOptions options;
};
void add_search_flags(CLI::App& app, SearchFlags& flags);
// Searches, or with --dry-run says what would be done.
Status run_search(const TuneOptions& options, SearchFlags flags, const Globals& globals);

}  // namespace sllm::cli
