// How Gemma 4 is written down in config.json and in GGUF (gemma4_fields.cc), and what its tensors'
// shapes need to know.
#pragma once

#include "io/architecture.h"

namespace sllm {

void gemma4_fields(ConfigFields& fields, ModelConfig& config);

inline int64_t gemma4_layer_vocab(const ModelConfig& c) {
  return c.layer_input_vocab > 0 ? c.layer_input_vocab : c.V;
}
// Whether values are projected for themselves.
inline bool gemma4_has_values(const ModelConfig& c, int64_t layer) {
  return !(c.keys_are_values && c.kind(layer) == LayerKind::kFull);
}

}  // namespace sllm
