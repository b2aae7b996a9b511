// Training rows from a teacher's answers: prompts are read, each is answered several times if
// wished, answers are rejected by rules and the best is kept, near duplicates are dropped, and
// every row says where it comes from.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/events.h"
#include "base/file.h"
#include "data/teacher.h"

namespace sllm {

struct DistillPrompt {
  Conversation messages;         // that the answer follows; ends with the user's (or a tool's)
  std::string reference;         // the answer that the file gives, or ""
  nlohmann::ordered_json extra;  // null or an object: the row's other columns
  std::string source;            // "prompts.jsonl:12"
};
// Rows as read_examples() takes them, with or without an answer, which becomes the reference (so
// does a column "reference"); of a .txt file each line is a prompt. `system` is put before
// conversations that have no system message. Errors: kBadInput with file and line.
Result<std::vector<DistillPrompt>> read_prompts(const fs::path& path, const std::string& system);

// What an answer must be, or it is rejected.
struct AnswerRule {
  std::string name;  // as counts and rows give it
  bool needs_reference = false;
  std::function<bool(const std::string& answer, const std::string& reference)> holds;
};

struct DistillOptions {
  std::string system;
  bool keep_system = true;  // in the rows; else the student learns to do without
  double temperature = 0.7, top_p = 1;
  int64_t samples = 1;  // answers to each prompt
  int64_t max_tokens = 512;
  uint64_t seed = 0;
  int top_logprobs = 0;   // alternatives kept of each token, in the rows' "logprobs"; 0: none
  int64_t parallel = 8;   // requests at a time
  bool keep_cut = false;  // also answers that did not end by themselves
  bool keep_all = false;  // every accepted answer rather than the best
  double near_duplicate = 0.85;  // Jaccard similarity of question and answer; 1: exact only
  std::vector<AnswerRule> rules;
  // How good an answer is beside the reference. Without one, or without a reference, the best is
  // the answer that is most like the others (of largest mean Jaccard similarity of 5-grams: the
  // choice of least Bayes risk, Eikema and Aziz 2020).
  std::function<double(const std::string& answer, const std::string& reference)> score;
  fs::path rejected;  // JSONL of what was left out and why, or ""
};

struct DistillSummary {
  size_t prompts = 0, answers = 0, rows = 0;
  size_t same_prompts = 0;                 // asked once
  size_t unanswered = 0;                   // prompts of which every answer was rejected
  size_t near_duplicates = 0;              // rows
  size_t resumed = 0;                      // prompts that an earlier process had asked
  int64_t tokens = 0;                      // of all answers, as far as the teacher says
  double seconds = 0;                      // of this process
  std::map<std::string, size_t> rejected;  // reason -> answers
  nlohmann::ordered_json to_json() const;
};

// Asks `teacher` and writes `out`, JSONL of {"messages", the prompt's columns, "distilled"}. Each
// prompt's answers are appended to `out`.part when they are there; the file itself appears whole,
// and .part goes. A second call with the same prompts, teacher and sampling goes on; rules, the
// choice and duplicates are decided at the end, so those may differ. Which rows come out does not
// depend on `parallel`. Errors: kUsage (settings, `out` is there, .part of other settings),
// kBadInput (prompts; no answer accepted), kLocked, those of the teacher, 130 and 143 when stopped.
Result<DistillSummary> distill(const fs::path& prompts, const fs::path& out, Teacher& teacher,
                               const DistillOptions& options, const ProgressSink& progress = {});
Status validate(const DistillOptions& options);

inline fs::path part_path(const fs::path& out) { return out.string() + ".part"; }

}  // namespace sllm
