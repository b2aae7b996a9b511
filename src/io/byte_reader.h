// The one reader of binary files: little-endian, every access checked against what is left. All
// parsers in this folder use it, so that there is one place where a length can be trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sllm {

// True for well-formed UTF-8 without overlong forms or surrogates.
bool is_utf8(std::string_view text);

class ByteReader {
 public:
  // `file` is for messages only.
  ByteReader(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  // "file: offset N: message"
  template <class... Args>
  Error error(fmt::format_string<Args...> format, Args&&... args) const {
    return bad_input("{}: offset {}: {}", file_, position_,
                     fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  Result<T> read(std::string_view what) {
    SLLM_TRY(const auto bytes, take(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (count > remaining())
      return error("{} needs {} bytes, but the file ends after {}", what, count, remaining());
    const auto part = bytes_.subspan(position_, count);
    position_ += count;
    return part;
  }

  // A count of things that take at least `element_bytes` each: refused before anything is reserved.
  Result<uint64_t> checked_count(uint64_t count, uint64_t element_bytes, uint64_t limit,
                                 std::string_view what) const {
    if (count > limit) return error("{} {}, at most {} are allowed", count, what, limit);
    if (count > remaining() / element_bytes)
      return error("{} {} cannot fit in the {} bytes that follow", count, what, remaining());
    return count;
  }

  // A string with a 64-bit length before it.
  Result<std::string_view> string(uint64_t limit, std::string_view what) {
    SLLM_TRY(const uint64_t length, read<uint64_t>(what));
    if (length > limit)
      return error("{} has a length of {} bytes, at most {} are allowed", what, length, limit);
    SLLM_TRY(const auto bytes, take(length, what));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  uint64_t position_ = 0;
};

}  // namespace sllm
