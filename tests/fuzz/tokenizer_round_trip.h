// What every tokenizer that loads must survive: encoding a text, decoding it whole and streamed, and
// being written in the other forms, which load again or were refused.
#pragma once

#include <memory>
#include <string>

#include "text/tokenizer.h"
#include "text/tokenizer_convert.h"

inline bool loads_and_encodes(const sllm::TokenizerSource& source, const std::string& text) {
  const auto tokenizer = sllm::Tokenizer::load(source);
  if (!tokenizer.ok()) return false;
  try {
    const auto ids = (*tokenizer)->encode(text, {.add_special = true});
    sllm::StreamDecoder stream(*tokenizer);
    for (const sllm::TokenId id : ids) stream.push(id);
    stream.finish();
    (*tokenizer)->decode(ids);
  } catch (const sllm::ResultError&) {  // the file's own pattern hit the limits
    return false;
  }
  return true;
}

inline void round_trip(const sllm::TokenizerSource& source, const std::string& text) {
  if (!loads_and_encodes(source, text)) return;
  sllm::ModelConfig config;
  config.V = (*sllm::Tokenizer::load(source))->vocab_size() + 3;
  if (config.V > 1 << 16) return;  // a far id makes a large file, which is not what is looked for
  try {
    const auto gguf = sllm::tokenizer_for_gguf(source, config);
    if (gguf.ok()) loads_and_encodes(*gguf, text);
    const auto folder = sllm::tokenizer_for_folder(gguf.ok() ? *gguf : source, "", config);
    if (folder.ok()) loads_and_encodes(*folder, text);
  } catch (const sllm::ResultError&) {
  }
}
