// Training and test examples: read from the files people have, cleaned, de-duplicated, split, and
// written as JSONL, with a reason for every row that was left out.
#pragma once

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/events.h"
#include "base/file.h"
#include "base/result.h"
#include "text/message.h"

namespace sllm {

// One example. Exactly one of `messages` and `text` is not empty: a conversation (its assistant
// turns are learned) or plain text (all of it is learned).
struct Example {
  Conversation messages;
  std::string text;
  nlohmann::ordered_json tools;  // null or an array of tool descriptions for the template
  nlohmann::ordered_json extra;  // null or an object: the row's other columns
  std::string source;            // "faq.csv:12", for messages to people

  // All that a reader sees, roles and contents in order; equal examples have equal keys.
  std::string key() const;
  // The last user message, or the text: what a held-out question is compared by.
  std::string_view question() const;
  // The last assistant message, or "".
  std::string_view answer() const;
};

struct ReadOptions {
  uint64_t skip_bad = 0;  // malformed rows to log and leave out before it is an error
  std::string system;     // put as system message before conversations that have none
  std::map<std::string, std::string> columns;  // "question" -> the file's name for it
  uint64_t max_bytes = 0;                      // of one file; 0: 4 GiB
};

// A row that was not taken, and why ("exact duplicate of faq.csv:3").
struct DroppedRow {
  std::string source, reason, detail;
};

// Reads one file, by extension: .jsonl/.ndjson, .json (an array), .csv/.tsv, .md, .txt.
// Rows: {messages|conversations}, {instruction,input,output}, {prompt,completion},
// {question,answer}, {text}; the CSV header names the same columns. Markdown and plain text become
// `text` examples, one a section or paragraph group. UTF-8 (BOM allowed), UTF-16, CP949/EUC-KR and
// other charsets are detected. Errors: kBadInput "file:line: what, expected".
Result<std::vector<Example>> read_examples(const fs::path& path, const ReadOptions& options = {},
                                           std::vector<DroppedRow>* dropped = nullptr);
// One JSONL row in the canonical form ({"messages":[...]} or {"text":...}, "tools", extra columns).
std::string to_jsonl(const Example& example);
Status write_examples(const fs::path& path, const std::vector<Example>& examples);

struct ImportOptions {
  ReadOptions read;
  double eval_fraction = 0.1, test_fraction = 0.1;
  uint64_t seed = 0;                // of the split
  size_t min_characters = 1;        // of an example's shortest required part
  size_t max_characters = 100'000;  // of the whole example
  double near_duplicate = 0.85;     // Jaccard similarity of character 5-grams; 1: exact only
  std::vector<fs::path> held_out;   // examples near any in these files are dropped
};

struct ImportSummary {
  size_t read = 0, kept = 0, train = 0, eval = 0, test = 0;
  size_t near_duplicate_groups = 0;
  std::map<std::string, size_t> dropped;    // reason -> rows
  std::map<std::string, size_t> languages;  // "ko", "en", "other" -> kept rows
  std::string fingerprint;  // SHA-256 over the three files' contents: the data's identity
  nlohmann::ordered_json to_json() const;
};

// Reads `inputs` (files or folders), cleans, drops exact and near duplicates, splits so that
// similar examples never straddle, and writes train.jsonl, eval.jsonl, test.jsonl, dropped.jsonl
// and summary.json into `out` (replaced atomically). The same input gives the same files, byte for
// byte, in whatever order the inputs are named. Errors: kBadInput also when nothing usable is left,
// with the counts.
Result<ImportSummary> import_data(const std::vector<fs::path>& inputs, const fs::path& out,
                                  const ImportOptions& options = {},
                                  const ProgressSink& progress = {});

// Pairs whose questions are near duplicates (Jaccard of character 5-grams >= threshold).
struct NearPair {
  size_t a = 0, b = 0;  // positions in the two lists
  double similarity = 0;
};
std::vector<NearPair> near_duplicates(const std::vector<std::string>& a,
                                      const std::vector<std::string>& b, double threshold = 0.85);

}  // namespace sllm
