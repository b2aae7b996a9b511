// Charset detection: the strict tests first (BOM, UTF-8, CP949 that is mostly Hangul), statistics
// last, because short Korean texts mislead statistical detectors.
#include "data/charset.h"

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "text/unicode.h"

namespace sllm {
namespace {

using Converter = std::unique_ptr<UConverter, decltype(&ucnv_close)>;

// Converts strictly: nullopt when a byte sequence does not exist in the charset.
std::optional<std::string> convert(std::string_view bytes, const char* charset) {
  UErrorCode error = U_ZERO_ERROR;
  Converter from(ucnv_open(charset, &error), ucnv_close);
  Converter to(ucnv_open("UTF-8", &error), ucnv_close);
  if (U_FAILURE(error)) return std::nullopt;
  ucnv_setToUCallBack(from.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  ucnv_setFromUCallBack(to.get(), UCNV_FROM_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  std::string out;
  char buffer[1 << 14];
  UChar pivot[1 << 12];
  UChar *pivot_source = pivot, *pivot_target = pivot;
  const char *in = bytes.data(), *end = in + bytes.size();
  bool reset = true;
  for (;;) {
    error = U_ZERO_ERROR;
    char* target = buffer;
    ucnv_convertEx(to.get(), from.get(), &target, buffer + sizeof buffer, &in, end, pivot,
                   &pivot_source, &pivot_target, pivot + std::size(pivot), reset, true, &error);
    reset = false;
    out.append(buffer, target);
    if (error == U_BUFFER_OVERFLOW_ERROR) continue;
    if (U_FAILURE(error)) return std::nullopt;
    return out;
  }
}

// Share of Hangul and ASCII letters' neighbours among the characters beyond ASCII.
double hangul_share(std::string_view utf8) {
  size_t hangul = 0, beyond = 0;
  for (int32_t i = 0, n = static_cast<int32_t>(std::min<size_t>(utf8.size(), 1 << 20)); i < n;) {
    UChar32 c;
    U8_NEXT(utf8.data(), i, n, c);
    if (c < 0x80) continue;
    ++beyond;
    hangul += (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x3130 && c <= 0x318F);
  }
  return beyond ? static_cast<double>(hangul) / static_cast<double>(beyond) : 0;
}

std::string detected_charset(std::string_view bytes) {
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)> detector(ucsdet_open(&error),
                                                                      ucsdet_close);
  if (U_FAILURE(error)) return {};
  const auto sample = static_cast<int32_t>(std::min<size_t>(bytes.size(), 1 << 16));
  ucsdet_setText(detector.get(), bytes.data(), sample, &error);
  const UCharsetMatch* match = ucsdet_detect(detector.get(), &error);
  if (U_FAILURE(error) || !match) return {};
  const char* name = ucsdet_getName(match, &error);
  return U_FAILURE(error) || !name ? "" : name;
}

std::string normalise_newlines(std::string text) {
  if (text.find('\r') == std::string::npos) return text;
  size_t out = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      if (i + 1 < text.size() && text[i + 1] == '\n') continue;
      text[out++] = '\n';
    } else {
      text[out++] = text[i];
    }
  }
  text.resize(out);
  return text;
}

// Whether a carriage return stands for a line's end by itself.
bool has_lone_return(std::string_view text) {
  for (size_t at = 0; (at = text.find('\r', at)) != std::string_view::npos; ++at)
    if (at + 1 == text.size() || text[at + 1] != '\n') return true;
  return false;
}

std::string_view characters_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";

size_t first_bad_line(std::string_view bytes) {
  size_t line = 1;
  for (size_t start = 0; start < bytes.size(); ++line) {
    const size_t end = std::min(bytes.find('\n', start), bytes.size());
    if (!unicode::valid_utf8(bytes.substr(start, end - start))) return line;
    start = end + 1;
  }
  return line;
}

}  // namespace

Result<DecodedText> decode_text(std::string_view bytes) {
  const auto unicode = [&](size_t bom, const char* charset) -> Result<DecodedText> {
    auto text = convert(bytes.substr(bom), charset);
    if (!text) return bad_input("the byte-order mark says {}, but the bytes are not", charset);
    return DecodedText{normalise_newlines(std::move(*text)), charset};
  };
  if (bytes.starts_with(kUtf8Mark))
    bytes.remove_prefix(kUtf8Mark.size());
  else if (bytes.starts_with("\xFF\xFE"))
    return unicode(2, "UTF-16LE");
  else if (bytes.starts_with("\xFE\xFF"))
    return unicode(2, "UTF-16BE");
  if (const size_t nul = bytes.find('\0'); nul != std::string_view::npos)
    return bad_input("byte 0 at offset {}: this is not text", nul);
  if (unicode::valid_utf8(bytes))
    return DecodedText{normalise_newlines(std::string(bytes)), "UTF-8"};
  if (auto korean = convert(bytes, "windows-949"); korean && hangul_share(*korean) > 0.5)
    return DecodedText{normalise_newlines(std::move(*korean)), "CP949"};
  const std::string charset = detected_charset(bytes);
  if (!charset.empty() && charset != "UTF-8")
    if (auto text = convert(bytes, charset.c_str()))
      return DecodedText{normalise_newlines(std::move(*text)), charset};
  return with_hint(
      bad_input("line {}: not valid UTF-8 and no other charset fits", first_bad_line(bytes)),
      "Save the file as UTF-8");
}

Result<DecodedText> read_text(const fs::path& path, uint64_t limit) {
  SLLM_TRY(const MappedFile file, MappedFile::open(path));
  if (file.size() > limit)
    return bad_input("{}: {} bytes, more than the limit of {}", path.string(), file.size(), limit);
  return decode_text(characters_of(file)).context(path.string());
}

Result<TextFile> TextFile::open(const fs::path& path, uint64_t limit) {
  SLLM_TRY(MappedFile mapped, MappedFile::open(path));
  TextFile file(std::move(mapped));
  const std::string_view text = file.text();
  if (text.find('\0') == std::string_view::npos && !has_lone_return(text) &&
      unicode::valid_utf8(text))
    return file;
  SLLM_TRY(file.decoded_, read_text(path, limit));
  return file;
}

std::string_view TextFile::text() const {
  if (decoded_) return decoded_->text;
  std::string_view text = characters_of(file_);
  if (text.starts_with(kUtf8Mark)) text.remove_prefix(kUtf8Mark.size());
  return text;
}

}  // namespace sllm
