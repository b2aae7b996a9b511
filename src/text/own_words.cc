#include "text/own_words.h"

namespace sllm {

void set_own_words(Message& message, const ByteSpans& ranges) {
  message.extra[kOwnWordsField] = ranges;
}

ByteSpans own_words(const Message& message) {
  if (!message.extra.is_object()) return {};
  const auto found = message.extra.find(kOwnWordsField);
  return found == message.extra.end() ? ByteSpans{} : found->get<ByteSpans>();
}

}  // namespace sllm
