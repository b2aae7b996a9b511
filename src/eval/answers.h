// Question answering on a project's own held-out rows: generate, compare, summarise by language.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "eval/documents.h"
#include "infer/engine.h"

namespace sllm::eval {

struct TestRow {
  std::string id, lang;
  Conversation prompt;   // everything before the expected answer
  std::string expected;  // the last assistant message
  Json facts;            // null, or what holds_facts() reads
  bool answerable = true;
};
// JSON lines with "messages" and optionally id, lang, facts, answerable. Errors: kBadInput with
// file and line.
Result<std::vector<TestRow>> read_test_rows(const fs::path& path);
Result<std::vector<TestRow>> parse_test_rows(const std::string& text, const std::string& source);

// What came back for one row.
struct Reply {
  std::string text;
  double seconds_to_first = 0, seconds = 0;
  int64_t tokens = 0;
  std::vector<std::string> cited;  // texts of the cited chunks (grounded answers)
  bool abstained = false;          // "I don't know"
};
using Answerer = std::function<Result<Reply>(const Conversation& prompt)>;

struct AnswerOptions {
  // exact_match, json_match, token_f1, key_facts; grounded runs add cited, refused,
  // falsely_refused.
  std::vector<std::string> metrics = {"exact_match"};
  int64_t max_tokens = 128;
  Conversation examples;  // earlier turns put before each question, after its system message
  int64_t parallel = 4;   // rows answered together; the first kTimedRows go alone and are timed
  static constexpr size_t kTimedRows = 8;
  ProgressSink progress;
};
// The engine's own template, greedy.
Answerer engine_answerer(Engine& engine, const AnswerOptions& options);

struct ScoredRow {
  TestRow row;
  Reply reply;
  std::map<std::string, double> scores;  // a metric that does not concern the row is absent
};
struct Figure {
  double value = 0, standard_error = 0;
  int64_t items = 0;
};
struct AnswerReport {
  std::map<std::string, std::map<std::string, Figure>> figures;  // metric -> language or "all"
  double first_word_seconds = 0;                                 // medians over rows answered alone
  double seconds = 0;
  double tokens_per_second = 0;
  std::vector<ScoredRow> rows;
  Json to_json() const;
  static Result<AnswerReport> from_json(const Json& json);
};
// Errors: kUsage for an unknown metric; kInterrupted when asked to stop.
Result<AnswerReport> evaluate_answers(const std::vector<TestRow>& rows, const Answerer& answerer,
                                      const AnswerOptions& options);
std::map<std::string, double> score_reply(const TestRow& row, const Reply& reply,
                                          const std::vector<std::string>& metrics);

}  // namespace sllm::eval
