// Matrix products in bf16 with f32 sums. bf16 weights are read where they lie; others are decoded a
// tile at a time into the thread's cache.
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "cpu/cpu_backend_impl.h"
#include "cpu/scratch.h"

namespace sllm {
namespace {

// Rows [row, row+n) and columns [column, column+width) of w as bf16 in the form that bf16_gemm_nt
// wants: rows zero up to a multiple of 32, up to 16 rows readable. `ld` receives their distance.
const uint16_t* tile_bf16(const kernels::KernelTable& table, const Tensor& w, int64_t row,
                          int64_t n, int64_t column, int64_t width, int64_t& ld) {
  if (w.dtype() == DType::kBF16 && width % 32 == 0 && n % 16 == 0) {
    ld = w.cols();
    return reinterpret_cast<const uint16_t*>(w.data<bf16>()) + row * ld + column;
  }
  // 32 more than needed: distances of a multiple of 4 KiB would fall into one set of L1.
  ld = round_up(width, 32) + 32;
  auto* tile = thread_scratch<uint16_t>(round_up(n, 16) * ld);
  for (int64_t r = 0; r < n; ++r) {
    uint16_t* to = tile + r * ld;
    table.decode_to_bf16[static_cast<int>(w.dtype())](
        static_cast<const char*>(w.row(row + r)) + bytes_of(w.dtype(), column), to, width);
    std::fill(to + width, to + round_up(width, 32), uint16_t{0});
  }
  return tile;
}

struct Packed {
  Tensor memory;
  void* data() { return memory.raw(); }
};
Packed bytes(int64_t n) { return {Tensor::empty(DType::kI8, {n})}; }

}  // namespace

// Whether the threads share out the other side of a product: LoRA's matrices have as few rows or
// columns as their rank, which would leave all but one without work.
bool CpuBackend::few(int64_t n, int64_t other) const { return n < 32 * pool_.size() && other > n; }

// The rows of an operand as f32, also when only its bf16 form is left.
Tensor CpuBackend::rows_f32(Operand& x) {
  if (x.has_f32()) return x.f32();
  Tensor rows = Tensor::empty(DType::kF32, {x.M(), x.K()});
  from_bf16(rows.data<float>(), x.bf16_form.data<bf16>(), rows.size());
  return rows;
}

void CpuBackend::linear_bf16(float* y, Operand& x, const Tensor& w, bool accumulate) {
  const int64_t M = x.M(), K = x.K(), N = w.rows();
  Packed packed = bytes(kernels_.bf16_x_bytes(M, K));
  const Tensor rows = rows_f32(x);
  pool_.parallel_for(M, 16, [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; m += 16)
      kernels_.bf16_pack_x(packed.data(), rows.data<float>(), m, M, K);
  });
  const bool blocks = M > 16 && kernels_.bf16_k_block > 0;
  const int64_t depth = blocks ? kernels_.bf16_k_block : K;
  const int64_t chunk = M > 16 ? 256 : 64;  // rows of w decoded at a time
  const auto product = [&](int64_t m, int64_t some, int64_t begin, int64_t end) {
    const char* x16 = static_cast<const char*>(packed.data()) + kernels_.bf16_x_bytes(m, K);
    float* sums = blocks ? thread_scratch<float, 1>(round_up(some, 32) * chunk) : nullptr;
    for (int64_t n = begin; n < end; n += chunk) {
      const int64_t size = std::min(chunk, end - n);
      for (int64_t k = 0; k < K; k += depth) {
        const kernels::KBlock block{k, std::min(depth, K - k), K};
        int64_t ld;
        const uint16_t* tile = tile_bf16(kernels_, w, n, size, k, block.size, ld);
        kernels_.bf16_gemm_nt(y + m * N + n, N, x16, tile, ld, some, size, block, accumulate, sums);
      }
    }
  };
  if (few(N, M))
    pool_.parallel_for(M, 32,
                       [&](int64_t begin, int64_t end) { product(begin, end - begin, 0, N); });
  else
    pool_.parallel_for(N, 32, [&](int64_t begin, int64_t end) { product(0, M, begin, end); });
}

void CpuBackend::linear_dx_bf16(float* dx, Operand& dy, const Tensor& w, bool accumulate) {
  const int64_t M = dy.M(), N = w.rows(), K = w.cols(), lda = round_up(N, 32) + 32;
  Tensor a = Tensor::empty(DType::kBF16, {round_up(M, 16), lda});
  auto* rows = reinterpret_cast<uint16_t*>(a.data<bf16>());
  const Tensor from = rows_f32(dy);
  pool_.parallel_for(M, 16, [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; ++m) {
      kernels_.decode_to_bf16[0](from.data<float>() + m * N, rows + m * lda, N);
      std::fill(rows + m * lda + N, rows + (m + 1) * lda, uint16_t{0});
    }
  });
  // Blocks of 256 columns and 512 rows of w: decoded and packed they fill a quarter of L2.
  constexpr int64_t kColumns = 256, kDepth = 512;
  const int64_t grain = std::max<int64_t>(32, info(w.dtype()).block_elements);
  const auto product = [&](int64_t m, int64_t some, int64_t begin, int64_t end) {
    void* packed = thread_scratch<char, 1>(kernels_.bf16_b_bytes(kDepth, kColumns));
    for (int64_t k = begin; k < end; k += kColumns)
      for (int64_t n = 0; n < N; n += kDepth) {
        const int64_t width = std::min(kColumns, end - k), size = std::min(kDepth, N - n);
        int64_t ld;
        const uint16_t* tile = tile_bf16(kernels_, w, n, size, k, width, ld);
        kernels_.bf16_gemm_nn(dx + m * K + k, K, rows + m * lda + n, lda, tile, ld, some, width,
                              size, accumulate || n > 0, packed);
      }
  };
  if (few(K, M))
    pool_.parallel_for(M, 32,
                       [&](int64_t begin, int64_t end) { product(begin, end - begin, 0, K); });
  else
    pool_.parallel_for(K, grain, [&](int64_t begin, int64_t end) { product(0, M, begin, end); });
}

namespace {

// Columns [begin, end) of x [M, N] as the rows of a bf16 matrix whose rows are zero from M to ld.
void transpose_bf16(uint16_t* rows, int64_t ld, const float* x, int64_t M, int64_t N, int64_t begin,
                    int64_t end) {
  constexpr int64_t kColumns = 16;  // a cache line of x
  for (int64_t n = begin; n < end; n += kColumns) {
    const int64_t columns = std::min(kColumns, end - n);
    for (int64_t m = 0; m < M; ++m)
      for (int64_t i = 0; i < columns; ++i)
        rows[(n + i) * ld + m] = sllm::to_bf16(x[m * N + n + i]).bits;
    for (int64_t i = 0; i < columns; ++i)
      std::fill(rows + (n + i) * ld + M, rows + (n + i + 1) * ld, uint16_t{0});
  }
}

}  // namespace

// dw += dyᵀ x. Where x has few columns, dwᵀ = xᵀ dy: transposing dy would take longer than the
// product.
void CpuBackend::linear_dw_bf16(float* dw, Operand& dy, Operand& x) {
  const int64_t M = x.M(), N = dy.K(), K = x.K(), lda = round_up(M, 32) + 32;
  const bool turned = 4 * K <= N;
  Operand &left = turned ? x : dy, &right = turned ? dy : x;
  const int64_t rows = left.K(), columns = right.K();
  const Tensor from = rows_f32(left);
  const Tensor& b = bf16_form(right);
  Tensor transposed = Tensor::empty(DType::kBF16, {round_up(rows, 16), lda});
  auto* a = reinterpret_cast<uint16_t*>(transposed.data<bf16>());
  Tensor sums = turned ? Tensor::zeros(DType::kF32, {rows, columns}) : Tensor();
  float* c = turned ? sums.data<float>() : dw;
  const auto transpose = [&](int64_t begin, int64_t end) {
    transpose_bf16(a, lda, from.data<float>(), M, rows, begin, end);
  };
  const auto product = [&](int64_t begin, int64_t end, int64_t k, int64_t width) {
    constexpr int64_t kRows = 512;
    void* scratch = thread_scratch<char, 1>(kernels_.bf16_b_bytes(std::min(M, kRows), width));
    for (int64_t m = 0; m < M; m += kRows)
      kernels_.bf16_gemm_nn(c + begin * columns + k, columns, a + begin * lda + m, lda,
                            reinterpret_cast<const uint16_t*>(b.data<bf16>()) + m * columns + k,
                            columns, end - begin, width, std::min(kRows, M - m), true, scratch);
  };
  if (few(rows, columns)) {
    transpose(0, rows);
    pool_.parallel_for(columns, 32,
                       [&](int64_t begin, int64_t end) { product(0, rows, begin, end - begin); });
  } else {
    pool_.parallel_for(rows, 32, [&](int64_t begin, int64_t end) {
      transpose(begin, end);
      product(begin, end, 0, columns);
    });
  }
  if (!turned) return;
  pool_.parallel_for(N, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t k = 0; k < K; ++k) dw[n * K + k] += c[k * N + n];
  });
}

}  // namespace sllm
