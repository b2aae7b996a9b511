// A LoRA adapter merged into its base: W + scale * B A, computed in F32.
#pragma once

#include "compress/convert.h"
#include "io/peft.h"

namespace sllm {

// `base` with the adapter's modules replaced; tensors are merged one at a time as they are written.
// Other tensors pass through. Merged matrices are announced with their base's float type, block
// formats as BF16. kBadInput naming the first module that the base lacks or that does not fit.
Result<ModelToWrite> merge_adapter(std::shared_ptr<const ModelSource> base, LoraAdapter adapter,
                                   ThreadPool& pool);

}  // namespace sllm
