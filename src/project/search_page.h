// search.html: what a search for tuning settings found, as one file without network.
#pragma once

#include <string>
#include <vector>

#include "train/search.h"

namespace sllm::project {

struct SearchPage {
  Search search;
  std::vector<std::vector<double>> loss;  // of each candidate's steps
  std::string model, data;                // names
  std::string settings;                   // best.toml
  std::string adapter;                    // of the best, or "" when it was not trained to its end
  std::string command;                    // that tunes with the best settings
  std::string language = "en";            // or "ko"
};
std::string render_search_page(const SearchPage& page);

inline fs::path search_page_path(const fs::path& folder) { return folder / "search.html"; }
// Reads what search() left in options.run and writes the page beside it.
Status write_search_page(const TuneOptions& options, const std::string& language);

// The adapter of the best candidate; "" when it was not trained to its end.
fs::path best_adapter(const fs::path& folder, const Search& search);
std::string share_text(double share);  // "1/9"

}  // namespace sllm::project
