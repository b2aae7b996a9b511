// Parts of a message that count as the template's own words: where a template leaves out what its
// model must read, such as calls of functions, what is put in its place may hold special tokens.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "text/message.h"

namespace sllm {

using ByteSpans = std::vector<std::pair<size_t, size_t>>;  // [begin, end), in order

// Of the message's content. They are kept in its extra fields, under a name that no template is
// given.
void set_own_words(Message& message, const ByteSpans& ranges);
ByteSpans own_words(const Message& message);
inline constexpr const char* kOwnWordsField = "sllm.own_words";

}  // namespace sllm
