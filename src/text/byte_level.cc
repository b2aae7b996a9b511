// The two directions of GPT-2's byte alphabet.
#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"

namespace sllm {
namespace {

struct Alphabet {
  std::array<char32_t, 256> code_of_byte{};
  std::array<int, 0x144> byte_of_code{};
  Alphabet() {
    byte_of_code.fill(-1);
    char32_t next = 0x100;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool printable =
          (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
      code_of_byte[b] = printable ? b : next++;
      byte_of_code[code_of_byte[b]] = static_cast<int>(b);
    }
  }
};
const Alphabet kAlphabet;

}  // namespace

std::optional<std::string> bytes_of_token_text(std::string_view token_text) {
  std::string bytes;
  for (size_t i = 0; i < token_text.size();) {
    const unicode::Char c = unicode::decode(token_text.data() + i);
    if (c.code >= kAlphabet.byte_of_code.size() || kAlphabet.byte_of_code[c.code] < 0)
      return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte_of_code[c.code]);
    i += c.length;
  }
  return bytes;
}

std::string token_text_of_bytes(std::string_view bytes) {
  std::string text;
  for (const char b : bytes)
    unicode::append_utf8(text, kAlphabet.code_of_byte[static_cast<uint8_t>(b)]);
  return text;
}

std::optional<uint8_t> byte_of_fallback_token(std::string_view t) {
  if (t.size() != 6 || !t.starts_with("<0x") || t[5] != '>') return std::nullopt;
  uint32_t byte = 0;
  for (const char digit : t.substr(3, 2)) {
    if (!(digit >= '0' && digit <= '9') && !(digit >= 'A' && digit <= 'F')) return std::nullopt;
    byte = byte * 16 + static_cast<uint32_t>(digit <= '9' ? digit - '0' : digit - 'A' + 10);
  }
  return static_cast<uint8_t>(byte);
}

}  // namespace sllm
