// How each architecture is written down and loaded; registry.cc has a row for each.
#pragma once

#include <memory>

#include "io/architecture.h"
#include "models/model.h"

namespace sllm {

using LoadModel = Result<std::shared_ptr<Model>>(std::shared_ptr<ModelSource>);

extern const Architecture kBert, kEmbeddingGemma, kExaone, kExaone4, kGemma2, kGemma3, kGemma4,
    kGptNeoX, kGranite, kHyperClovaX, kLfm2, kLlama, kMinistral3, kMistral, kOlmo2, kPhi3, kQwen2,
    kQwen3, kQwen35, kSmolLm3, kXlmRoberta;
LoadModel load_bert, load_exaone, load_exaone4, load_gemma2, load_gemma3, load_gemma4,
    load_gpt_neox, load_granite, load_hyperclovax, load_lfm2, load_llama, load_ministral3,
    load_olmo2, load_phi3, load_qwen2, load_qwen3, load_qwen3_5, load_smollm3;

}  // namespace sllm
