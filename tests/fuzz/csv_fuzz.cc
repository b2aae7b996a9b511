// Any bytes as CSV; the reader always moves on.
#include "data/charset.h"
#include "data/csv.h"
#include "io/byte_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sllm;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto decoded = decode_text(bytes);
  const std::string text = decoded.ok() ? decoded.value().text : std::string(bytes);
  if (decoded.ok() && !is_utf8(text)) __builtin_trap();
  CsvReader reader(text);
  CsvRow row;
  for (size_t rows = 0;; ++rows) {
    if (rows > size + 1) __builtin_trap();
    const auto more = reader.next(row);
    if (more.ok() && !more.value()) return 0;
  }
}
