// The loops, written once against the names of simd*.inl. Included inside a target region and an
// anonymous namespace: no std::, no lambdas, no exceptions, no threads.
// clang-format off
#include "kernels/generic/decode.inl"
#include "kernels/generic/gemm.inl"
#include "kernels/generic/elementwise.inl"
#include "kernels/generic/activation.inl"
#include "kernels/generic/rows.inl"
#include "kernels/generic/attention.inl"
#include "kernels/generic/recurrence.inl"
// clang-format on
