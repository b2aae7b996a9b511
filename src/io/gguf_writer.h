// Writing the GGUF container, version 3: metadata in the order given, then tensors one at a time.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace sllm {

class GgufWriter {
 public:
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
  void add(std::string_view key, uint32_t value);
  void add(std::string_view key, uint16_t value);
  void add(std::string_view key, int32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, bool value);
  void add(std::string_view key, std::span<const std::string> values);
  void add(std::string_view key, std::span<const float> values);
  void add(std::string_view key, std::span<const int32_t> values);
  void add(std::string_view key, const std::vector<bool>& values);
  void add(std::string_view key, std::span<const std::byte> values);  // an array of u8
  // Shape in PyTorch's order.
  void add_tensor(std::string_view name, DType dtype, const Shape& shape);

  // Magic to padding: everything before the tensor data.
  std::string header() const;
  // Writes the file atomically; `tensor(i)` is asked for the i-th tensor, in order. With
  // `max_bytes` of tensor data a file, more of it makes parts beside `path` ("x.gguf" becomes
  // "x-00001-of-00003.gguf", io/gguf_split.h), each tensor whole in one. Returns the path by
  // which to open it: `path`, or the first part's.
  Result<fs::path> write(const fs::path& path, const std::function<Result<Tensor>(size_t)>& tensor,
                         uint64_t max_bytes = 0) const;

 private:
  void begin(std::string_view key, uint32_t type);
  template <class T>
  void put(T value) {
    metadata_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  struct Entry {
    std::string name;
    DType dtype;
    Shape shape;
    uint64_t bytes;
  };
  // The entries of each file: [first, last).
  using Range = std::pair<size_t, size_t>;
  std::vector<Range> parts(uint64_t max_bytes) const;
  std::string header(Range entries) const;

  std::string metadata_;
  uint64_t pairs_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace sllm
