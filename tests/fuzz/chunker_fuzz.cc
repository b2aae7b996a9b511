// Any text as Markdown, HTML and plain text: chunks are slices of the document and valid UTF-8.
#include "ground/chunker.h"
#include "io/byte_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sllm;
  if (size == 0) return 0;
  const auto format = static_cast<DocumentFormat>(data[0] % 3);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (!is_utf8(bytes)) return 0;
  const Document document = parse_document(std::string(bytes), format);
  uint64_t end = 0;
  for (const Chunk& c : chunk_document(document, "d", {60, 90})) {
    if (c.text.empty() || c.begin < end || c.end > document.text.size()) __builtin_trap();
    if (document.text.compare(c.begin, c.end - c.begin, c.text) != 0) __builtin_trap();
    if (!is_utf8(c.text)) __builtin_trap();
    end = c.end;
  }
  return 0;
}
