#include "infer/constraints.h"

#include <chrono>

namespace sllm {

void Constraints::begin(std::shared_ptr<const Tokenizer> tokenizer, std::vector<TokenId> end_ids,
                        bool special_is_text) {
  std::call_once(begun_, [&] {
    vocabulary_ =
        std::async(std::launch::async, [tokenizer = std::move(tokenizer),
                                        end_ids = std::move(end_ids), special_is_text] {
          return std::make_shared<const ConstraintVocabulary>(*tokenizer, end_ids, special_is_text);
        }).share();
  });
}

bool Constraints::ready() const {
  return vocabulary_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

GrammarMatcher Constraints::matcher(const std::shared_ptr<const Grammar>& grammar) {
  if (!cache_) cache_.emplace(vocabulary_.get());
  return GrammarMatcher(cache_->states(grammar));
}

}  // namespace sllm
