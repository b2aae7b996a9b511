// Bytes of unknown charset to UTF-8: BOM, UTF-8, CP949 (which contains EUC-KR), else ICU's
// detector.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace sllm {

struct DecodedText {
  std::string text;     // valid UTF-8, newlines "\n", no BOM
  std::string charset;  // "UTF-8", "CP949", "UTF-16LE", ...
};

// Errors: kBadInput "line N: ..." for bytes that fit no charset, and for binary data (NUL bytes).
Result<DecodedText> decode_text(std::string_view bytes);
// Reads and decodes a regular file of at most `limit` bytes.
Result<DecodedText> read_text(const fs::path& path, uint64_t limit = uint64_t{4} << 30);

}  // namespace sllm
