// How GGUF keeps the gated delta rule's tensors (llama.cpp's conversion/qwen.py). Hugging Face has
// the value heads grouped by the key head that they share; ggml repeats key heads in turn and wants
// them tiled: with r value heads for each of Hk key heads, head (k, i) stands at i Hk + k. Nothing
// moves when r is 1.
#pragma once

#include "io/architecture.h"

namespace sllm {

// Rows behind the first `fixed` move, `width` of them together. Whole rows, so block formats are
// fine. Also of vectors.
GgufForm tiled_rows(const DeltaWidths& d, int64_t fixed, int64_t width);
// Columns move, Dv together. A block format whose blocks are longer than a head is decoded when it
// is read, and encoded afresh when it is written.
GgufForm tiled_columns(const DeltaWidths& d);
// The convolution's channels move like rows, and [C, 1, K] becomes [C, K].
GgufForm tiled_convolution(const DeltaWidths& d);
// A_log [H], which GGUF holds as -exp(A_log). There and back is not bit-identical: exp and log are
// rounded to float32, which moves A_log by up to about 1e-7.
GgufForm tiled_decay(const DeltaWidths& d);

}  // namespace sllm
