// What a teacher says of a text, in a student's tokens, where the two have other tokens. Both read
// the same answer. Where a token of each begins at the same byte, the teacher's next token, spelled
// in the student's tokens, begins with what the student is to say next:
//   P(u) = sum of P_teacher(v) over v whose spelling begins with u.
// A student's token that is several of the teacher's has the product of their probabilities, which
// the first of them gives away. Inside of a teacher's token, behind the first tokens of its
// spelling, P(u) is what is left of those whose spelling begins so. Of other places nothing is
// said.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "text/tokenizer.h"
#include "train/samples.h"
#include "train/teacher.h"

namespace sllm {

class TokenBridge {
 public:
  // Spellings have ids below `vocabulary`, the rows of the student's embedding.
  TokenBridge(std::shared_ptr<const Tokenizer> student, std::shared_ptr<const Tokenizer> teacher,
              int64_t vocabulary);

  // The student's tokens of what a teacher's adds to a text. Empty: it has no text, and is none of
  // the student's special tokens.
  std::span<const TokenId> spelling(TokenId teacher) const;

  // For each learned row of `student`: at most k tokens, the rest of `ids` -1, from the rows that
  // the teacher said of the same answer in its own tokens (`said`, said_k kept of each; -1: none).
  // log_rest of a row of which it says nothing is NaN.
  TeacherRows translate(const Sample& student, const Sample& teacher, const TeacherRows& said,
                        int64_t said_k, int64_t k) const;

  // One row of which nothing is said.
  static void append_unknown(TeacherRows& rows, int64_t k);
  // The text that the teacher reads where the student has answered otherwise (`own`) than in the
  // sample that the teacher reads as `theirs`.
  Sample reworded(const Sample& theirs, const Sample& own) const;

 private:
  std::vector<TokenId> spell(TokenId teacher) const;
  std::shared_ptr<const Tokenizer> student_, teacher_;
  std::vector<size_t> begins_;  // of each teacher's token in spellings_; then the end
  std::vector<TokenId> spellings_;
};

}  // namespace sllm
