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
  // Questions asked one after another about the same passages. Reading the passages is nearly all
  // of the cost and an answer nearly all of what is learned, so many answers a reading learn as
  // much in a fraction of the time; the first question stands exactly as ask() will put it.
  int64_t questions = 8;
  double refused = 0.2;    // share of the further questions that these passages do not answer
  double shuffled = 0.25;  // share of conversations whose passages are not in retrieval's order
  uint64_t seed = 0;
};

struct GroundTrainingSummary {
  size_t conversations = 0;
  size_t cited = 0;     // answers with a citation
  size_t refused = 0;   // "I don't know" to questions that the documents do not answer
  size_t withheld = 0;  // "I don't know" to questions that other passages would answer
  size_t placed = 0;    // conversations whose source was not retrieved and took the last place
  std::vector<DroppedRow> dropped;
  nlohmann::ordered_json to_json() const;
};

// A row's extra columns say what is known of it: "quote", a piece of the passage that holds the
// answer (without it the passage that supports the answer best is cited), and "answerable": false
// (or a refusal as the answer). Each row is asked once, as the first question of a conversation or
// as a further one in a conversation whose passages happen to hold its answer; refusals may come
// again. A row that no passage supports is dropped with the reason. Errors: those of Index::search.
Result<std::vector<Example>> grounded_examples(const Index& index, const std::vector<Example>& rows,
                                               const GroundTrainingOptions& options,
                                               GroundTrainingSummary& summary);

// Does so with train.jsonl and eval.jsonl of a folder that import_data() wrote, in place; dropped
// rows join its dropped.jsonl. To be done after the import, which compares bare questions.
Result<GroundTrainingSummary> ground_data(const Index& index, const fs::path& folder,
                                          const GroundTrainingOptions& options = {});

// The answerable rows as known questions of an index; the evidence is the quote, else the answer.
std::vector<KnownQuestion> known_questions(const std::vector<Example>& rows);

}  // namespace sllm
