// What every tokenizer that loads must survive: encoding a text, and decoding it whole and
// streamed.
#pragma once

#include <memory>
#include <string>

#include "text/tokenizer.h"

inline void round_trip(const std::shared_ptr<const sllm::Tokenizer>& tokenizer,
                       const std::string& text) {
  try {
    const auto ids = tokenizer->encode(text, {.add_special = true});
    sllm::StreamDecoder stream(tokenizer);
    for (const sllm::TokenId id : ids) stream.push(id);
    stream.finish();
    tokenizer->decode(ids);
  } catch (const sllm::ResultError&) {  // the file's own pattern hit the limits
  }
}
