// GPT-2's printable names for bytes: each of the 256 bytes is written in vocabularies as one
// character, itself when printable Latin-1, else U+0100 onwards in order (openai/gpt-2 encoder.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sllm {

// "Ġthe" -> " the"; nullopt when a character names no byte.
std::optional<std::string> bytes_of_token_text(std::string_view token_text);
// " the" -> "Ġthe".
std::string token_text_of_bytes(std::string_view bytes);

// The byte that a byte fallback token ("<0x0A>") stands for.
std::optional<uint8_t> byte_of_fallback_token(std::string_view token_text);

}  // namespace sllm
