// `sllm new`: from a goal to a commented sllm.toml.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "hub/catalogue.h"

namespace sllm::project {

struct NewProject {
  std::string name, goal;
  std::vector<std::string> languages = {"en"};
  int64_t memory_mb = 0, disk_mb = 0;
  std::string base;             // "": chosen by language, limits and use
  std::string use = "private";  // or "commercial"
  std::string train = "train.jsonl", test = "test.jsonl", documents, metric = "exact_match";
  std::map<std::string, double> thresholds;  // language -> least value of `metric`
};

struct BaseChoice {
  const CatalogueEntry* entry = nullptr;
  std::string reason;  // one sentence
};
// The smallest catalogued model that runs here, speaks all the languages and whose 8-bit form fits
// the limits; one that is open to everybody and free of conditions before any other, and for
// commercial use none whose licence forbids it.
// A model without Korean in it spends several tokens on a syllable and learns little of it from a
// few hundred rows. Errors: kUsage when none fits, with the nearest one's needs.
Result<BaseChoice> choose_base(const std::vector<std::string>& languages, int64_t memory_mb,
                               int64_t disk_mb, const std::string& use = "private");
// About what the entry's 8-bit form needs in memory while it answers, in MB.
double memory_needed(const CatalogueEntry& entry);

// Whether `base` can be meant: a file or folder (seen from the project's folder), a name of the
// catalogue, or a well-formed hf:, pypi: or web address. Error: kUsage with the nearest name.
Status check_base(const std::string& base, const fs::path& folder);

// The file's text: every key with a comment, readable again by parse_project().
// `plan`: what tuning will take, as a comment; "": none.
std::string project_toml(const NewProject& project, const std::string& base_reason,
                         const std::string& plan = {});

}  // namespace sllm::project
