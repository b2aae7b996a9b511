// Metadata values of a GGUF file, converted to what the caller expects and nothing else.
#include <cmath>

#include "io/byte_reader.h"
#include "io/gguf.h"

namespace sllm {
namespace {

template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

std::optional<int64_t> as_integer(GgufType type, const std::byte* p) {
  switch (type) {
    case GgufType::kU8:
      return load<uint8_t>(p);
    case GgufType::kI8:
      return load<int8_t>(p);
    case GgufType::kU16:
      return load<uint16_t>(p);
    case GgufType::kI16:
      return load<int16_t>(p);
    case GgufType::kU32:
      return load<uint32_t>(p);
    case GgufType::kI32:
      return load<int32_t>(p);
    case GgufType::kI64:
      return load<int64_t>(p);
    case GgufType::kU64:
      if (load<uint64_t>(p) <= INT64_MAX) return static_cast<int64_t>(load<uint64_t>(p));
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace

Error GgufFile::wrong_type(std::string_view key, const GgufValue& value,
                           std::string_view wanted) const {
  const std::string found = value.type == GgufType::kArray
                                ? fmt::format("array of {}", name_of(value.element))
                                : std::string(name_of(value.type));
  return bad_input("{}: the metadata key \"{}\" holds {}, expected {}", name_, key, found, wanted);
}

Result<std::optional<std::string>> GgufFile::string(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<std::string>();
  const GgufValue& value = found->second;
  if (value.type != GgufType::kString) return wrong_type(key, value, "string");
  return std::optional(
      std::string(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()));
}

Result<std::optional<int64_t>> GgufFile::integer(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<int64_t>();
  const auto value = as_integer(found->second.type, found->second.bytes.data());
  if (!value) return wrong_type(key, found->second, "an integer");
  return value;
}

Result<std::optional<double>> GgufFile::number(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<double>();
  const GgufValue& value = found->second;
  if (value.type == GgufType::kF32) return std::optional<double>(load<float>(value.bytes.data()));
  if (value.type == GgufType::kF64) return std::optional(load<double>(value.bytes.data()));
  const auto whole = as_integer(value.type, value.bytes.data());
  if (!whole) return wrong_type(key, value, "a number");
  return std::optional(static_cast<double>(*whole));
}

Result<std::optional<bool>> GgufFile::boolean(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<bool>();
  if (found->second.type != GgufType::kBool) return wrong_type(key, found->second, "bool");
  return std::optional(found->second.bytes[0] != std::byte{0});
}

Result<std::optional<std::vector<bool>>> GgufFile::booleans(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<std::vector<bool>>();
  const GgufValue& value = found->second;
  if (value.type != GgufType::kArray || value.element != GgufType::kBool)
    return wrong_type(key, value, "an array of bool");
  std::vector<bool> out;
  for (const std::byte b : value.bytes) out.push_back(b != std::byte{0});
  return std::optional(std::move(out));
}

Result<std::optional<std::vector<std::string>>> GgufFile::strings(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<std::vector<std::string>>();
  const GgufValue& value = found->second;
  if (value.type != GgufType::kArray || value.element != GgufType::kString)
    return wrong_type(key, value, "an array of strings");
  ByteReader in(value.bytes, name_);
  std::vector<std::string> out;
  out.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    SLLM_TRY(const std::string_view text, in.string(in.remaining(), "a string"));
    out.emplace_back(text);
  }
  return std::optional(std::move(out));
}

Result<std::optional<std::vector<float>>> GgufFile::floats(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<std::vector<float>>();
  const GgufValue& value = found->second;
  if (value.type != GgufType::kArray || value.element != GgufType::kF32)
    return wrong_type(key, value, "an array of f32");
  std::vector<float> out(value.count);
  if (!out.empty()) std::memcpy(out.data(), value.bytes.data(), value.bytes.size());
  return std::optional(std::move(out));
}

Result<std::optional<std::vector<int32_t>>> GgufFile::integers(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<std::vector<int32_t>>();
  const GgufValue& value = found->second;
  if (value.type != GgufType::kArray ||
      (value.element != GgufType::kI32 && value.element != GgufType::kU32))
    return wrong_type(key, value, "an array of i32");
  std::vector<int32_t> out(value.count);
  if (!out.empty()) std::memcpy(out.data(), value.bytes.data(), value.bytes.size());
  return std::optional(std::move(out));
}

Result<std::optional<std::string>> GgufFile::bytes(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::optional<std::string>();
  const GgufValue& value = found->second;
  if (value.type != GgufType::kArray ||
      (value.element != GgufType::kU8 && value.element != GgufType::kI8))
    return wrong_type(key, value, "an array of u8");
  return std::optional(
      std::string(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()));
}

}  // namespace sllm
