// Words of GGUF's tokenizers that reader and writer share.
#pragma once

#include <cstdint>
#include <string_view>

namespace sllm {

// tokenizer.ggml.token_type (ggml/docs/gguf.md)
enum GgufTokenType : int32_t {
  kUndefined = 0,  // llama.cpp writes it where no other fits; text becomes such tokens
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// U+2581, which sentencepiece writes for a space.
inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";

}  // namespace sllm
