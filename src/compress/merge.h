// A LoRA adapter merged into its base: W + scale * B A, computed in F32.
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

}  // namespace sllm
