// report.html: one file, no network, in the project's language. It opens with the verdict.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "project/gate.h"
#include "project/results.h"

namespace sllm::project {

// Everything that the page shows; nothing in it is computed by the page but order and scale.
struct ReportInput {
  Project project;
  Verdict verdict;
  std::vector<Candidate> candidates;  // base, tuned, quantised, references
  std::vector<GateResult> gates;      // in the order of the borders

  std::vector<double> loss;                           // one per step
  std::vector<std::pair<int64_t, double>> eval_loss;  // (step, loss)
  double tune_seconds = 0, tune_tok_s = 0;
  int64_t tune_tokens = 0, trained_parameters = 0;

  int64_t rows_read = 0, rows_kept = 0;
  std::vector<std::pair<std::string, int64_t>> rows_dropped;  // reason -> rows
  struct Drop {
    std::string source, reason, detail;
  };
  std::vector<Drop> drop_examples;

  struct Part {  // a model, data file or document folder that went in
    std::string what, name, licence, sha256;
  };
  std::vector<Part> parts;
  std::vector<std::pair<std::string, double>> stage_seconds;
  std::string machine, version, command;  // command: what repeats all of it
};

std::string render_report(const ReportInput& input);
// The verdict in one sentence, as the page and the terminal say it.
std::string verdict_sentence(const Verdict& verdict, const std::string& language);

// & < > " ' as entities; other control characters become spaces.
std::string html_escape(std::string_view text);

}  // namespace sllm::project
