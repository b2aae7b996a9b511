// What answers of a grammar need of the engine: the tokens as grammars see them, made once and
// beside the answers that are being written, and what is known of the grammars asked for last.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "grammar/grammar_matcher.h"

namespace sllm {

class Constraints {
 public:
  // Begins to make the vocabulary on a thread of its own, the first time; from any thread.
  void begin(std::shared_ptr<const Tokenizer> tokenizer, std::vector<TokenId> end_ids,
             bool special_is_text);
  // The rest is the engine's thread's, after begin().
  bool ready() const;
  void wait() const { vocabulary_.wait(); }
  // Waits. Throws std::bad_alloc.
  GrammarMatcher matcher(const std::shared_ptr<const Grammar>& grammar);

 private:
  std::once_flag begun_;
  std::shared_future<std::shared_ptr<const ConstraintVocabulary>> vocabulary_;
  std::optional<GrammarCache> cache_;
};

}  // namespace sllm
