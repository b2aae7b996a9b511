// Matrix products in f32: weights of any type are decoded a tile at a time into the thread's cache.
#include <algorithm>

#include "base/checked.h"
#include "cpu/cpu_backend_impl.h"
#include "cpu/scratch.h"

namespace sllm {
namespace {

constexpr int64_t kTileFloats = 64 * 1024;  // 256 KiB of decoded weights: a part of L2

// Rows [row, row+n) and columns [column, column+width) of w as f32; `ld` receives their distance.
const float* tile_f32(const kernels::KernelTable& table, const Tensor& w, int64_t row, int64_t n,
                      int64_t column, int64_t width, int64_t& ld) {
  if (w.dtype() == DType::kF32) {
    ld = w.cols();
    return w.data<float>() + row * ld + column;
  }
  ld = width;
  float* tile = thread_scratch<float>(n * width);
  for (int64_t r = 0; r < n; ++r)
    table.decode[static_cast<int>(w.dtype())](
        static_cast<const char*>(w.row(row + r)) + bytes_of(w.dtype(), column), tile + r * width,
        width);
  return tile;
}

}  // namespace

void CpuBackend::linear_f32(float* y, const Tensor& x, const Tensor& w, bool accumulate) {
  const int64_t M = x.rows(), K = x.cols(), N = w.rows();
  const int64_t rows = std::max<int64_t>(4, kTileFloats / K / 4 * 4);
  pool_.parallel_for(N, 4, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n += rows) {
      const int64_t size = std::min(rows, end - n);
      int64_t ld;
      const float* tile = tile_f32(kernels_, w, n, size, 0, K, ld);
      kernels_.gemm_nt(y + n, N, x.data<float>(), K, tile, ld, M, size, K, accumulate);
    }
  });
}

void CpuBackend::linear_dx_f32(float* dx, const Tensor& dy, const Tensor& w, bool accumulate) {
  const int64_t M = dy.rows(), N = w.rows(), K = w.cols();
  // Cuts of N at multiples of the kernel's folds, whatever a thread's share of the columns is.
  constexpr int64_t kRows = 256, kColumns = kTileFloats / kRows;
  const int64_t grain = std::max<int64_t>(64, info(w.dtype()).block_elements);
  pool_.parallel_for(K, grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; k += kColumns)
      for (int64_t n = 0; n < N; n += kRows) {
        const int64_t width = std::min(kColumns, end - k), size = std::min(kRows, N - n);
        int64_t ld;
        const float* tile = tile_f32(kernels_, w, n, size, k, width, ld);
        kernels_.gemm_nn(dx + k, K, dy.data<float>() + n, N, 1, tile, ld, M, width, size,
                         accumulate || n > 0);
      }
  });
}

void CpuBackend::linear_dw_f32(float* dw, const Tensor& dy, const Tensor& x) {
  const int64_t M = x.rows(), N = dy.cols(), K = x.cols();
  constexpr int64_t kRows = 256;  // rows of x that stay in L2 while all of N passes
  pool_.parallel_for(N, 4, [&](int64_t begin, int64_t end) {
    for (int64_t m = 0; m < M; m += kRows)
      kernels_.gemm_nn(dw + begin * K, K, dy.data<float>() + m * N + begin, 1, N,
                       x.data<float>() + m * K, K, end - begin, K, std::min(kRows, M - m), true);
  });
}

}  // namespace sllm
