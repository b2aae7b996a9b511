// Questions whose passage is known, such as a project's own question-answer pairs. A new question
// in other words than the documents' finds a passage by the known questions that it resembles:
// documents are expanded by queries (Nogueira et al. 2019, "Document Expansion by Query
// Prediction"), which here nobody has to predict. Shared by the index's writer and its reader.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "ground/index.h"
#include "ground/sqlite.h"

namespace sllm {

// Puts these in the place of those that the index has. Called within a transaction.
Status write_questions(const Database& db, std::span<const KnownQuestion> questions);

// Finds again which chunks hold each question's evidence; to be done when chunks have changed.
// Called within a transaction.
Status link_questions(const Database& db);

// By chunk: BM25 of `text` against the best of the known questions that it answers. Empty where the
// index knows no questions or none shares a term.
Result<std::map<int64_t, double>> question_scores(const Database& db, std::string_view text);

}  // namespace sllm
