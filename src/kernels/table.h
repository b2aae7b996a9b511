// KernelTable: the hot loops as raw-pointer functions, one table per instruction set. A table is
// chosen once per process by CPUID, or forced with SLLM_ISA=scalar|avx2|avx512|...
// Everything here runs on the calling thread, is noexcept and allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/float16.h"
#include "base/result.h"
#include "quant/format.h"

namespace sllm::kernels {

// The scalars of one AdamW step; see ops/adamw.cc.
struct AdamWFactors {
  float grad_scale, decay, gain1, beta2, gain2, step_size, root2, eps;
};

// Columns [begin, begin + size) of K = total.
struct KBlock {
  int64_t begin, size, total;
};

constexpr int kActivations = 7;

// T tokens of one head of the gated delta rule: rows of q and k are ldk apart, of v (and the
// output) ldv, of g and beta ldg; rows of the state lds.
struct DeltaRows {
  const float *q, *k, *v, *g, *beta;
  int64_t ldk, ldv, ldg, lds, Dk, T;
  float scale;
};

struct KernelTable {
  const char* name;

  // y[M,N] (+)= x[M,K] w[N,K]ᵀ. Each output is summed in one order, whatever M and N are.
  void (*gemm_nt)(float* y, int64_t ldy, const float* x, int64_t ldx, const float* w, int64_t ldw,
                  int64_t M, int64_t N, int64_t K, bool accumulate) noexcept;
  // c[M,N] (+)= a b, a[m][k] at a[m*a_row + k*a_k], b[K,N]. Additions along K are one chain, which
  // a later call with accumulate continues.
  void (*gemm_nn)(float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k, const float* b,
                  int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate) noexcept;

  // n weights of each type as f32 (the reference codec's bits) and as bf16 (those, rounded). n: a
  // multiple of the block. Null for integers.
  void (*decode[kDTypeCount])(const void* src, float* dst, int64_t n) noexcept;
  void (*decode_to_bf16[kDTypeCount])(const void* src, uint16_t* dst, int64_t n) noexcept;

  // bf16 products with f32 accumulation. Activations are packed once per product into a layout of
  // the level's own, 16 rows a call; they are rounded there.
  int64_t (*bf16_x_bytes)(int64_t M, int64_t K) noexcept;
  void (*bf16_pack_x)(void* dst, const float* x, int64_t m, int64_t M, int64_t K) noexcept;
  // y[M,N] (+)= x wᵀ over the whole of K, or, above 16 rows and when bf16_k_block is not 0, over
  // blocks of it in order: w then holds columns of the block, sums (M and N rounded up to 32)
  // carries what was summed so far, and y is written with the last block. Rows of w are readable
  // and finite up to a multiple of 32; N rounded up to 16 rows are readable. Each output is summed
  // in one order, whatever M, N and the blocks are.
  int64_t bf16_k_block;
  void (*bf16_gemm_nt)(float* y, int64_t ldy, const void* x, const uint16_t* w, int64_t ldw,
                       int64_t M, int64_t N, KBlock block, bool accumulate, float* sums) noexcept;
  // c[M,N] (+)= a b. Rows of a are zero from K to K rounded up to 32; M rounded up to 16 rows are
  // readable. A chain along K may be continued with accumulate after a multiple of 32.
  int64_t (*bf16_b_bytes)(int64_t K, int64_t N) noexcept;  // of scratch
  void (*bf16_gemm_nn)(float* c, int64_t ldc, const uint16_t* a, int64_t lda, const uint16_t* b,
                       int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate,
                       void* scratch) noexcept;

  // Block formats times int8 activations (Numerics::kFast); null where the level has none, and bf16
  // products do instead. Activations are rounded a row at a time, with one scale for each `block`
  // of the format. y[M,N] (+)= x wᵀ, rows of w one behind the other. Sums within a block are whole
  // numbers and blocks are added in order, whatever M and N are.
  int64_t (*int8_x_bytes)(int64_t K, int64_t block) noexcept;  // of a row
  void (*int8_pack_x)(void* dst, const float* x, int64_t K, int64_t block) noexcept;
  int64_t int8_scratch;  // bytes, aligned to 64
  void (*int8_gemm[kDTypeCount])(float* y, int64_t ldy, const void* x, const void* w, int64_t M,
                                 int64_t N, int64_t K, bool accumulate, void* scratch) noexcept;

  // One row from the K rows x[j], oldest first; w [K, C], b may be null.
  void (*short_conv)(float* y, const float* const* x, const float* w, const float* b, int64_t K,
                     int64_t C) noexcept;
  // `width` columns of the state and of the output (null: not wanted), whose v are in.v.
  void (*delta_rule)(float* state, float* out, const DeltaRows& in, int64_t width) noexcept;
  // One token: the state before it [Dk, Dv]; G, the gradient of the state, goes from after it to
  // before it; dq, dk += ..., dv, dg, dbeta = .... scratch: 3 Dv.
  void (*delta_rule_gradient)(float* G, float* dq, float* dk, float* dv, float* dg, float* dbeta,
                              const float* dout, const float* state, const DeltaRows& in,
                              int64_t Dv, float* scratch) noexcept;

  // Element by element; outputs may alias inputs. Formulas: src/ops.
  void (*add)(float* y, const float* a, const float* b, int64_t n) noexcept;
  void (*add_product)(float* y, const float* a, const float* b, int64_t n) noexcept;  // y += a b
  void (*axpy)(float* y, float a, const float* x, int64_t n) noexcept;
  void (*scale)(float* x, float a, int64_t n) noexcept;
  // f(gate) up, in the order of Activation (ops/backend.h). up (and with it dup) may be null: ones.
  void (*glu[kActivations])(float* y, const float* gate, const float* up, int64_t n) noexcept;
  void (*glu_backward[kActivations])(float* dgate, float* dup, const float* dy, const float* gate,
                                     const float* up, int64_t n) noexcept;
  void (*adamw)(float* p, const float* g, float* m, float* v, int64_t n,
                const AdamWFactors& factors) noexcept;

  // Rows.
  double (*sum_squares)(const float* x, int64_t n) noexcept;
  void (*rms_norm)(float* y, float* r, const float* x, const float* w, int64_t N, int64_t D,
                   float eps) noexcept;
  void (*rms_norm_dx)(float* dx, const float* dy, const float* x, const float* w, const float* r,
                      int64_t N, int64_t D) noexcept;
  // dw[0..width) of rows D apart.
  void (*rms_norm_dw)(float* dw, const float* dy, const float* x, const float* r, int64_t N,
                      int64_t D, int64_t width) noexcept;
  // stats [N, 2]: mean, 1/deviation (may be null); b, dw, db may be null.
  void (*layer_norm)(float* y, float* stats, const float* x, const float* w, const float* b,
                     int64_t N, int64_t D, float eps) noexcept;
  void (*layer_norm_dx)(float* dx, const float* dy, const float* x, const float* w,
                        const float* stats, int64_t N, int64_t D) noexcept;
  void (*layer_norm_dw)(float* dw, float* db, const float* dy, const float* x, const float* stats,
                        int64_t N, int64_t D, int64_t width) noexcept;
  // The first 2 half of Dh columns; sign -1 turns back.
  void (*rope)(float* x, const float* cos, const float* sin, int64_t N, int64_t heads, int64_t Dh,
               int64_t half, float sign) noexcept;
  void (*log_sum_exp_parts)(const float* x, int64_t n, float* largest, double* sum) noexcept;
  // y = exp(x - shift) * factor
  void (*exp_scaled)(float* y, const float* x, float shift, float factor, int64_t n) noexcept;

  // Queries q [rows, Dh] of one head over at most 64 keys, rows ldkv apart. Row r sees the keys
  // [first[r], last[r]). out [rows, Dh], largest and sum carry the online softmax from chunk to
  // chunk (0, -inf, 0 at first). scratch: 64 floats a row.
  void (*attend_chunk)(float* out, float* largest, float* sum, const float* q, int64_t rows,
                       const float* k, const float* v, int64_t ldkv, int64_t keys,
                       const int32_t* first, const int32_t* last, int64_t Dh, float factor,
                       float softcap, float* scratch) noexcept;
  // s [rows, 64] q·k becomes p = exp(factor s - lse); dp [rows, 64] becomes factor p (dp - D). With
  // a softcap (not 0) factor s is capped, and dp's factor is too.
  void (*attention_gradient)(float* s, float* dp, int64_t rows, const int32_t* first,
                             const int32_t* last, const float* lse, const float* D, float factor,
                             float softcap) noexcept;
};

// The levels this processor runs, plainest first.
std::vector<const KernelTable*> supported_levels();
// The named level; "" means the best this machine supports. kUsage when unknown or unsupported.
Result<const KernelTable*> choose(std::string_view name);
// The level of this process: choose($SLLM_ISA), once. An unusable SLLM_ISA is an error.
const Result<const KernelTable*>& active();

}  // namespace sllm::kernels
