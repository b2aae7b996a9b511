// Bytes of unknown charset to UTF-8: BOM, UTF-8, CP949 (which contains EUC-KR), else ICU's
// detector.
#pragma once

#include <optional>
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

// A text file that may be larger than memory: where its bytes are UTF-8 they are used as they lie
// in the file, so that newlines may be "\r\n"; anything else is decoded as read_text() does.
class TextFile {
 public:
  // Errors: as read_text(); `limit` is that of what has to be decoded.
  static Result<TextFile> open(const fs::path& path, uint64_t limit = uint64_t{4} << 30);
  std::string_view text() const;  // valid UTF-8, no BOM
  std::string_view charset() const { return decoded_ ? decoded_->charset : "UTF-8"; }

 private:
  explicit TextFile(MappedFile file) : file_(std::move(file)) {}
  MappedFile file_;
  std::optional<DecodedText> decoded_;
};

}  // namespace sllm
