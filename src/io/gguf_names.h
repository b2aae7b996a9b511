// The one mapping between Hugging Face's weight names and GGUF's, for the llama family (llama,
// mistral, qwen2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sllm {

// "model.layers.0.self_attn.q_proj.weight" <-> "blk.0.attn_q.weight"; nullopt for any other name.
std::optional<std::string> gguf_name_of(std::string_view hf_name);
std::optional<std::string> hf_name_of(std::string_view gguf_name);

}  // namespace sllm
