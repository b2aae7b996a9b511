// What tuning made of a base, as one model: a LoRA adapter merged into it (W + scale * B A, with
// DoRA's lengths where it has them, computed in F32), or all its weights replaced.
#pragma once

#include "compress/convert.h"
#include "io/peft.h"

namespace sllm {

// kBadInput naming the first module that `base` lacks or that does not fit.
Status check_fits(const ModelSource& base, const LoraAdapter& adapter);

// `base` with the adapter's modules replaced; tensors are merged one at a time as they are written.
// Other tensors pass through. Merged matrices are announced with their base's float type, block
// formats as BF16. Errors: those of check_fits.
Result<ModelToWrite> merge_adapter(std::shared_ptr<const ModelSource> base, LoraAdapter adapter,
                                   ThreadPool& pool);

// `base` with the weights of `tuned`, which full tuning made of it; everything else stays the
// base's. Announced types as above. kBadInput naming the first tensor that one of them lacks or
// that has another shape.
Result<ModelToWrite> merge_weights(std::shared_ptr<const ModelSource> base,
                                   std::shared_ptr<const ModelSource> tuned);

}  // namespace sllm
