// The GGUF container (ggml's docs/gguf.md), versions 2 and 3, little-endian: metadata, tensor
// directory and aligned tensor data. Parsing checks everything before anything is handed out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace sllm {

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};
std::string_view name_of(GgufType type);

// A metadata value as it lies in the file; converted when asked for.
struct GgufValue {
  GgufType type;
  GgufType element = GgufType::kU8;  // of an array
  uint64_t count = 1;                // elements of an array
  std::span<const std::byte> bytes;  // of the scalar, the string's text, or all elements
};

struct GgufTensor {
  std::string name;  // as in the file
  DType dtype;
  Shape shape;  // PyTorch order: the file's dimensions reversed
  std::span<const std::byte> data;
};

class GgufFile {
 public:
  // Of a model in several files any part opens all (io/gguf_split.h). Errors: kBadInput "file:
  // offset N: ..."; limits are those of gguf.cc.
  static Result<GgufFile> open(const fs::path& path);
  // Borrows `bytes`. `name` is for messages.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, const std::string& name);

  uint32_t version() const { return version_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  bool has(std::string_view key) const { return metadata_.contains(key); }

  // Values by key: nullopt when absent, kBadInput when of another type or out of T's range.
  // integer() takes any integer type; number() any integer or float type.
  Result<std::optional<std::string>> string(std::string_view key) const;
  Result<std::optional<int64_t>> integer(std::string_view key) const;
  Result<std::optional<double>> number(std::string_view key) const;
  Result<std::optional<bool>> boolean(std::string_view key) const;
  Result<std::optional<std::vector<std::string>>> strings(std::string_view key) const;
  Result<std::optional<std::vector<float>>> floats(std::string_view key) const;      // float arrays
  Result<std::optional<std::vector<int32_t>>> integers(std::string_view key) const;  // (u)int32
  Result<std::optional<std::vector<bool>>> booleans(std::string_view key) const;     // bool arrays
  Result<std::optional<std::string>> bytes(std::string_view key) const;  // arrays of (u)int8

 private:
  static Result<GgufFile> open_one(const fs::path& path);
  // All parts of the model of which `opened`, at `path`, is one.
  static Result<GgufFile> open_parts(GgufFile opened, const fs::path& path);
  Error wrong_type(std::string_view key, const GgufValue& value, std::string_view wanted) const;

  std::string name_;
  uint32_t version_ = 0;
  std::vector<MappedFile> files_;  // keep the spans alive when opened by path
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace sllm
