#include "tensor/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/checked.h"

namespace sllm {
namespace {

// Buffers freed by one layer are what the next layer asks for: keep them instead of returning them
// to the system, which would unmap and fault every page again. What is kept never makes the whole
// larger than an eighth more than the process has already needed at once. Sizes are rounded up to
// eight steps per doubling, so that batches of changing length find each other's buffers.
class BufferCache {
 public:
  std::shared_ptr<void> take(size_t bytes) {
    const size_t wanted = size_class(bytes);
    size_t size = wanted;
    void* p = nullptr;
    {
      std::lock_guard lock(mutex_);
      if (const auto fit = free_.lower_bound(wanted);
          fit != free_.end() && fit->first <= wanted + wanted / 2) {
        size = fit->first, p = fit->second;
        free_.erase(fit);
        kept_ -= size;
      }
      in_use_ += size;
      peak_ = std::max(peak_, in_use_);
    }
    trim();
    if (!p) p = allocate(size);
    return {p, [this, size](void* q) { give(q, size); }};
  }
  // Back to the system with all that is kept; how much was needed at once is counted anew.
  void forget() {
    {
      std::lock_guard lock(mutex_);
      peak_ = in_use_;
    }
    trim(/*all=*/true);
  }

 private:
  static constexpr size_t kKeepAnyway = size_t{64} << 20;
  // From here on whole mappings: malloc would keep them in its heap, where buffers of changing size
  // leave holes that are never returned.
  static constexpr size_t kMapped = size_t{1} << 20;

  static size_t size_class(size_t bytes) {
    const size_t step = std::max<size_t>(64, std::bit_floor(std::max<size_t>(bytes, 1)) / 8);
    return (std::max<size_t>(bytes, 1) + step - 1) / step * step;
  }
  static void* allocate(size_t size) {
    void* p = size >= kMapped ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                              : std::aligned_alloc(64, size);
    if (!p || p == MAP_FAILED) throw std::bad_alloc();
    return p;
  }
  static void release(void* p, size_t size) {
    if (size >= kMapped)
      ::munmap(p, size);
    else
      std::free(p);
  }
  void give(void* p, size_t size) {
    {
      std::lock_guard lock(mutex_);
      free_.emplace(size, p);
      kept_ += size;
      in_use_ -= size;
    }
    trim();
  }
  void trim(bool all = false) {
    std::vector<std::pair<size_t, void*>> surplus;
    {
      std::lock_guard lock(mutex_);
      while (!free_.empty() && (all || in_use_ + kept_ > peak_ + peak_ / 8 + kKeepAnyway)) {
        surplus.push_back(*std::prev(free_.end()));  // the largest: it is the dearest to keep
        kept_ -= surplus.back().first;
        free_.erase(std::prev(free_.end()));
      }
    }
    for (const auto& [size, p] : surplus) release(p, size);
  }
  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  size_t in_use_ = 0, kept_ = 0, peak_ = 0;  // bytes
};

BufferCache& buffers() {
  static auto* cache = new BufferCache;  // outlives every static tensor
  return *cache;
}

uint64_t next_id() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

int64_t product(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) {
    const auto next = checked_mul_i64(n, d);
    SLLM_CHECK(next.has_value(), "tensor: shape is too large or negative");
    n = *next;
  }
  return n;
}

}  // namespace

void release_kept_buffers() { buffers().forget(); }

Tensor Tensor::empty(DType type, Shape shape) {
  Tensor t;
  t.dtype_ = type;
  t.shape_ = std::move(shape);
  const int64_t n = product(t.shape_);
  SLLM_CHECK(n % info(type).block_elements == 0, "tensor: {} elements do not fill blocks of {}", n,
             info(type).name);
  auto buffer = buffers().take(static_cast<size_t>(std::max<int64_t>(bytes_of(type, n), 1)));
  t.data_ = buffer.get();
  t.id_ = next_id();
  t.owner_ = std::move(buffer);
  return t;
}

Tensor Tensor::zeros(DType type, Shape shape) {
  Tensor t = empty(type, std::move(shape));
  std::memset(t.data_, 0, static_cast<size_t>(t.bytes()));
  return t;
}

Tensor Tensor::from(std::span<const float> values, Shape shape) {
  Tensor t = empty(DType::kF32, std::move(shape));
  SLLM_CHECK(t.size() == static_cast<int64_t>(values.size()), "tensor: {} values for {}",
             values.size(), t.to_string());
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}

Tensor Tensor::borrow(DType type, Shape shape, const void* data,
                      std::shared_ptr<const void> owner) {
  Tensor t;
  t.dtype_ = type;
  t.shape_ = std::move(shape);
  t.data_ = const_cast<void*>(data);
  t.id_ = next_id();
  t.owner_ = std::move(owner);
  return t;
}

int64_t Tensor::size() const { return shape_.empty() ? (data_ ? 1 : 0) : product(shape_); }
int64_t Tensor::bytes() const { return bytes_of(dtype_, size()); }
int64_t Tensor::cols() const { return shape_.empty() ? 1 : shape_.back(); }
int64_t Tensor::rows() const { return cols() == 0 ? 0 : size() / cols(); }

const void* Tensor::row(int64_t r) const {
  return static_cast<const char*>(data_) + r * bytes_of(dtype_, cols());
}

Tensor Tensor::reshape(Shape shape) const {
  SLLM_CHECK(product(shape) == size(), "reshape: {} has {} elements", to_string(), size());
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::slice_rows(int64_t begin, int64_t end) const {
  SLLM_CHECK(!shape_.empty() && 0 <= begin && begin <= end && end <= shape_[0],
             "slice_rows: [{}, {}) of {}", begin, end, to_string());
  Tensor t = *this;
  const int64_t stride = shape_[0] == 0 ? 0 : size() / shape_[0];
  t.shape_[0] = end - begin;
  t.id_ = next_id();
  t.data_ = static_cast<char*>(data_) + bytes_of(dtype_, begin * stride);
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(dtype_, shape_);
  std::memcpy(t.data_, data_, static_cast<size_t>(bytes()));
  return t;
}

Tensor Tensor::to_f32() const {
  SLLM_CHECK(info(dtype_).decode != nullptr, "to_f32: {} is not a float type", to_string());
  Tensor t = empty(DType::kF32, shape_);
  info(dtype_).decode(data_, t.data<float>(), size());
  return t;
}

Tensor Tensor::to(DType type) const {
  if (type == dtype_) return *this;
  const Tensor numbers = dtype_ == DType::kF32 ? *this : to_f32();
  if (type == DType::kF32) return numbers;
  SLLM_CHECK(info(type).encode != nullptr && cols() % info(type).block_elements == 0,
             "to: {} cannot become {}", to_string(), info(type).name);
  Tensor t = empty(type, shape_);
  info(type).encode(numbers.data<float>(), t.data_, size());
  return t;
}

std::string Tensor::to_string() const {
  return fmt::format("{}[{}]", info(dtype_).name, fmt::join(shape_, ", "));
}

}  // namespace sllm
