// Changes text before it is cut, as tokenizer.json's normalizer says.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "text/piece.h"
#include "text/tokenizer_spec.h"

namespace sllm {

class Normalizer {
 public:
  // Errors: kBadInput for a pattern that does not compile, a broken charsmap, or what no real file
  // has (text_budget.h).
  static Result<Normalizer> build(const std::vector<NormalizerStep>& steps);

  using Buffers = std::array<PieceBuffer, 2>;
  // The changed piece, which lies in one of the buffers or is `piece` itself. Throws ResultError
  // when the piece's budget is spent.
  Piece apply(Piece piece, bool trace, Buffers& buffers) const;
  size_t step_count() const { return steps_.size(); }

  // Returns `piece` or what it has written into `buffer`.
  using Step = std::function<Piece(const Piece& piece, bool trace, PieceBuffer& buffer)>;

 private:
  struct NamedStep {
    std::string name;
    Step run;
  };
  std::vector<NamedStep> steps_;
};

}  // namespace sllm
