// Ollama's API beside OpenAI's, for programs that speak no other: chat, generate, embed, and what
// lists and describes models. Field names and shapes are those of Ollama's docs/api.md; making,
// copying, pulling and deleting models is not offered over the network.
#pragma once

#include <string_view>

#include "serve/service.h"

namespace sllm {

// Streams JSON lines unless "stream" is false. Thread-safe, for worker threads like Service's own.
ApiResult<Job> ollama_chat(const Service& service, std::string_view body);
ApiResult<Job> ollama_generate(const Service& service, std::string_view body);
// /api/embed takes one text or many; /api/embeddings, the older one, takes a "prompt".
ApiResult<EmbeddingJob> ollama_embed(const Service& service, std::string_view body);
ApiResult<EmbeddingJob> ollama_embeddings(const Service& service, std::string_view body);

Json ollama_tags(const Service& service);
Json ollama_running(const Service& service);
ApiResult<Json> ollama_show(const Service& service, std::string_view body);

}  // namespace sllm
