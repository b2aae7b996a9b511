// sllm.toml, the purpose file: what a model is for, how good it must be, and how it is built.
// docs/project-file.md describes every key.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "train/options.h"

namespace sllm::project {

// A bound that every quantised model must keep.
struct Threshold {
  std::string metric;    // "json_match", "task.hellaswag", "kld", "first_word_seconds", ...
  std::string language;  // "" for all items
  double bound = 0;
  bool upper = false;  // at most, rather than at least
  bool met_by(double value) const { return upper ? value <= bound : value >= bound; }
  std::string to_string() const;  // "json_match (ko) >= 0.85"
};

struct Reference {
  std::string model;
  int64_t examples = 0;  // rows of `examples_file` as earlier turns
  std::string examples_file;
};

struct Project {
  fs::path file, folder;

  // [purpose]
  std::string name, goal, report_language = "en";
  std::string use = "private";  // "commercial": the base's licence must allow it
  std::vector<std::string> languages = {"en"};
  // [device]: 0 is no limit
  int64_t memory_mb = 0, disk_mb = 0, threads = 0;
  std::vector<Threshold> thresholds;
  std::string base;              // [base] model
  bool licence_checked = false;  // somebody has read the base's licence: it allows the use

  struct Data {
    std::vector<std::string> train;
    std::string augment, test, system;
    int64_t augment_count = 600, seed = 1;
    double validation = 0.05, near_duplicate = 0.85;
  } data;
  struct Tune {
    std::string method = "lora";  // or "none"
    TuneOptions options;          // model, data, eval and run are filled in by the stages
  } tune;
  std::vector<std::string> quantize = {"q8_0", "q4_k"};
  struct Index {
    std::string documents;  // a folder; "": none
    int64_t passages = 3;
    std::vector<std::string> questions;  // files of questions whose passage is known
  } index;
  struct Evaluate {
    std::vector<std::string> metrics = {"exact_match"};
    std::string mode = "fast", perplexity, tasks_dir = "tasks";
    std::vector<std::string> tasks;
    int64_t max_tokens = 128, limit = 0, chunks = 20;
    bool compare_base = true, grounded = false;
    std::vector<Reference> references;
  } evaluate;
  struct Deploy {
    std::string type;  // one of `quantize`; its first by default
    std::string host = "127.0.0.1";
    int64_t port = 8080, context = 2048;
  } deploy;

  fs::path path(const std::string& relative) const { return folder / relative; }
};

// Errors: kUsage with file, line and the nearest key or value.
Result<Project> parse_project(const std::string& toml, const fs::path& file);
// `where`: the file, or the folder that holds sllm.toml.
Result<Project> read_project(const fs::path& where);

}  // namespace sllm::project
