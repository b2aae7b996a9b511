// Opens and closes a region compiled for one instruction set. Variants are chosen by which .inl a
// region includes, never by #if: GCC before 14 does not define __AVX512F__ and its like in a
// region.
#pragma once

#define SLLM_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define SLLM_TARGET_BEGIN(isa) \
  SLLM_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define SLLM_TARGET_END _Pragma("clang attribute pop")
#else
#define SLLM_TARGET_BEGIN(isa) _Pragma("GCC push_options") SLLM_PRAGMA(GCC target(isa))
#define SLLM_TARGET_END _Pragma("GCC pop_options")
#endif

// Small helpers of a region: always part of the loop that calls them.
#define SLLM_INLINE [[gnu::always_inline]] inline
