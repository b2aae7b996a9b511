// One number a column: what ops share where a vector [D] stands beside rows [N, D].
#pragma once

#include "ops/backend.h"

namespace sllm::ops {

// y[i, j] = a[i, j] factor[j]; y may be a.
void scale_columns(Backend& backend, float* y, const float* a, const float* factor, int64_t N,
                   int64_t D);
// sums[j] += Σ_i a[i, j] b[i, j], row after row.
void add_column_dots(Backend& backend, float* sums, const float* a, const float* b, int64_t N,
                     int64_t D);

}  // namespace sllm::ops
