// The tables that src/kernels/x86/*.cc define, and how each is filled from a target region.
#pragma once

#include "kernels/table.h"
#include "quant/level_values.h"

#define SLLM_DECODERS                                                                      \
  {                                                                                        \
    decode_f32<float>, decode_f16<float>, decode_bf16<float>, decode_q8_0<float>,          \
        decode_q4_0<float>, decode_q4_1<float>, decode_q5_0<float>, decode_q5_1<float>,    \
        decode_q4_k<float>, decode_q5_k<float>, decode_q6_k<float>, nullptr, nullptr,      \
        decode_iq4_nl<float>, decode_mxfp4<float>, decode_q2_k<float>, decode_q3_k<float>, \
        decode_iq4_xs<float>                                                               \
  }
#define SLLM_BF16_DECODERS                                                                         \
  {                                                                                                \
    decode_f32<uint16_t>, decode_f16<uint16_t>, decode_bf16<uint16_t>, q8_0_to_bf16, q4_0_to_bf16, \
        q4_1_to_bf16, q5_0_to_bf16, q5_1_to_bf16, q4_k_to_bf16, q5_k_to_bf16, q6_k_to_bf16,        \
        nullptr, nullptr, decode_iq4_nl<uint16_t>, decode_mxfp4<uint16_t>, decode_q2_k<uint16_t>,  \
        decode_q3_k<uint16_t>, decode_iq4_xs<uint16_t>                                             \
  }

#define SLLM_INT8_GEMMS                                                                            \
  {                                                                                                \
    nullptr, nullptr, nullptr, int8_gemm<Int8Q8_0>, int8_gemm<Int8Q4_0>, int8_gemm<Int8Q4_1>,      \
        int8_gemm<Int8Q5_0>, int8_gemm<Int8Q5_1>, int8_gemm<Int8K<false>>, int8_gemm<Int8K<true>>, \
        int8_gemm<Int8Q6_K>, nullptr, nullptr, int8_gemm<Int8IQ4_NL>, int8_gemm<Int8MXFP4>,        \
        int8_gemm<Int8Q2_K>, int8_gemm<Int8Q3_K>, int8_gemm<Int8IQ4_XS>                            \
  }
#define SLLM_NO_INT8_GEMMS \
  {}

// In the order of Activation.
#define SLLM_ACTIVATIONS(f) \
  { f<Identity>, f<Silu>, f<Gelu>, f<GeluTanh>, f<Relu>, f<Sigmoid>, f<Tanh> }

// Names resolve to the functions of the surrounding namespace (one per instruction set). Decoders
// stand in the order of DType.
#define SLLM_KERNEL_TABLE(level, int8_gemms)                                                    \
  {                                                                                             \
    .name = level, .gemm_nt = gemm_nt, .gemm_nn = gemm_nn, .decode = SLLM_DECODERS,             \
    .decode_to_bf16 = SLLM_BF16_DECODERS, .bf16_x_bytes = bf16_x_bytes,                         \
    .bf16_pack_x = bf16_pack_x, .bf16_k_block = bf16_k_block, .bf16_gemm_nt = bf16_gemm_nt,     \
    .bf16_b_bytes = bf16_b_bytes, .bf16_gemm_nn = bf16_gemm_nn, .int8_x_bytes = int8_x_bytes,   \
    .int8_pack_x = int8_pack_x, .int8_scratch = int8_scratch, .int8_gemm = int8_gemms,          \
    .short_conv = short_conv, .delta_rule = delta_rule,                                         \
    .delta_rule_gradient = delta_rule_gradient, .add = add_arrays, .add_product = add_product,  \
    .axpy = axpy, .scale = scale, .glu = SLLM_ACTIVATIONS(glu),                                 \
    .glu_backward = SLLM_ACTIVATIONS(glu_backward), .adamw = adamw, .sum_squares = sum_squares, \
    .rms_norm = rms_norm, .rms_norm_dx = rms_norm_dx, .rms_norm_dw = rms_norm_dw,               \
    .layer_norm = layer_norm, .layer_norm_dx = layer_norm_dx, .layer_norm_dw = layer_norm_dw,   \
    .rope = rope, .log_sum_exp_parts = log_sum_exp_parts, .exp_scaled = exp_scaled,             \
    .attend_chunk = attend_chunk, .attention_gradient = attention_gradient                      \
  }

namespace sllm::kernels {
namespace scalar {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx512_vnni {
extern const KernelTable table;
}
namespace avx512_bf16 {
extern const KernelTable table;
}
namespace amx {
extern const KernelTable table;
}
}  // namespace sllm::kernels
