// Memory of one thread that lives across calls: decoded weight tiles and the like.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace sllm {

// At least n elements of T, 64-byte aligned, uninitialised, valid until the same thread asks the
// same slot again. Slots keep nested users apart.
template <class T, int kSlot = 0>
T* thread_scratch(int64_t n) {
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  thread_local std::unique_ptr<void, Free> memory;
  thread_local size_t size = 0;
  const size_t bytes = (static_cast<size_t>(n) * sizeof(T) + 63) / 64 * 64;
  if (bytes > size) {
    memory.reset(std::aligned_alloc(64, bytes));
    if (!memory) throw std::bad_alloc();
    size = bytes;
  }
  return static_cast<T*>(memory.get());
}

}  // namespace sllm
