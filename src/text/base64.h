// Base64 (RFC 4648), as tokenizer files hold bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sllm {

// nullopt: a character or length that base64 does not have. Padding may be left out.
std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);  // with padding

}  // namespace sllm
