// Tensor: dtype + shape + shared storage, row-major, contiguous, PyTorch's dimension order.
// A cheap handle: copies share storage. Views (reshape, rows) share it too.
// Dimension letters used everywhere: B batch, T new tokens, S cached tokens, N rows (all sequences'
// tokens flattened), D width, H heads, Hk KV heads, Dh head width, F MLP width, V vocabulary,
// L layers, R LoRA rank.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/float16.h"
#include "quant/format.h"

namespace sllm {

using Shape = std::vector<int64_t>;

template <class T>
struct dtype_of;
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct dtype_of<bf16> {
  static constexpr DType value = DType::kBF16;
};
template <>
struct dtype_of<f16> {
  static constexpr DType value = DType::kF16;
};
template <>
struct dtype_of<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct dtype_of<int8_t> {
  static constexpr DType value = DType::kI8;
};

class Tensor {
 public:
  Tensor() = default;
  // Uninitialised memory, 64-byte aligned, recycled through a small per-process cache of buffers.
  static Tensor empty(DType type, Shape shape);
  static Tensor zeros(DType type, Shape shape);
  static Tensor from(std::span<const float> values, Shape shape);
  // Borrows memory kept alive by `owner` (a mapped file, for one).
  static Tensor borrow(DType type, Shape shape, const void* data,
                       std::shared_ptr<const void> owner);

  bool defined() const { return data_ != nullptr || !shape_.empty(); }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const;  // elements
  int64_t bytes() const;
  int64_t rows() const;  // product of all but the last dimension
  int64_t cols() const;  // last dimension
  template <size_t Rank>
  std::array<int64_t, Rank> dims() const {
    SLLM_CHECK(shape_.size() == Rank, "expected rank {}, got {}", Rank, to_string());
    std::array<int64_t, Rank> d;
    for (size_t i = 0; i < Rank; ++i) d[i] = shape_[i];
    return d;
  }
  template <class T>
  T* data() {
    SLLM_CHECK(dtype_of<T>::value == dtype_, "tensor {} read as another type", to_string());
    return static_cast<T*>(raw());
  }
  template <class T>
  const T* data() const {
    return const_cast<Tensor*>(this)->data<T>();
  }
  void* raw() { return data_; }
  const void* raw() const { return data_; }
  const void* row(int64_t r) const;  // start of row r, any dtype

  Tensor reshape(Shape shape) const;
  Tensor slice_rows(int64_t begin, int64_t end) const;  // along dimension 0
  Tensor clone() const;
  Tensor to_f32() const;  // decodes any float or block dtype
  // The same numbers as another float or block dtype, by the reference codecs; itself if it is
  // that.
  Tensor to(DType type) const;
  // Identity of the value: equal for handles and reshapes of one tensor, never used again after it
  // (buffers are recycled, so an address would be). 0: undefined.
  uint64_t id() const { return id_; }
  std::string to_string() const;  // "F32[512, 576]"

 private:
  DType dtype_ = DType::kF32;
  Shape shape_;
  void* data_ = nullptr;
  uint64_t id_ = 0;
  std::shared_ptr<const void> owner_;
};

// Gives the memory of freed tensors back to the system, for a process that goes on to other work.
void release_kept_buffers();

}  // namespace sllm
