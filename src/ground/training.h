// Tuning data for answers from documents: a question with its answer becomes the conversation that
// ask() will hold, with retrieved passages in the prompt and the citation behind the answer, so
// that a model learns to read and to cite instead of to remember.
#pragma once

#include <nlohmann/json.hpp>

#include <vector>

#include "data/dataset.h"
#include "ground/answer.h"

namespace sllm {

struct GroundTrainingOptions {
  GroundOptions ground;
  // Share of answerable rows that come a second time with passages that do not hold the answer,
  // and with "I don't know": refusing is learned from the passages, not from the question.
  double without_source = 0.15;
  double shuffled = 0.5;  // share of rows whose passages are not in the order of retrieval
  uint64_t seed = 0;
};

struct GroundTrainingSummary {
  size_t cited = 0;     // answers with a citation
  size_t refused = 0;   // "I don't know", of unanswerable rows
  size_t withheld = 0;  // "I don't know", because the source was left out
  size_t placed = 0;    // of `cited`: the source was not retrieved and took the last place
  std::vector<DroppedRow> dropped;
  nlohmann::ordered_json to_json() const;
};

// A row's extra columns say what is known of it: "quote", a piece of the passage that holds the
// answer (without it the passage that supports the answer best is cited), and "answerable": false
// (or a refusal as the answer). A row that no passage supports is dropped with the reason. Errors:
// those of Index::search.
Result<std::vector<Example>> grounded_examples(const Index& index, const std::vector<Example>& rows,
                                               const GroundTrainingOptions& options,
                                               GroundTrainingSummary& summary);

// Does so with train.jsonl and eval.jsonl of a folder that import_data() wrote, in place; dropped
// rows join its dropped.jsonl. To be done after the import, which compares bare questions.
Result<GroundTrainingSummary> ground_data(const Index& index, const fs::path& folder,
                                          const GroundTrainingOptions& options = {});

}  // namespace sllm
