// What an answer must look like: OpenAI's `response_format`, and `grammar` (GBNF text), which is
// llama.cpp's extension.
#pragma once

#include <memory>

#include "serve/json_reader.h"

namespace sllm {

class Grammar;

// Null: anything. Faults are kept in `fields`, with the schema's own words and place.
std::shared_ptr<const Grammar> read_response_format(Fields& fields);
// Ollama's "format": "json", or a schema.
std::shared_ptr<const Grammar> read_ollama_format(Fields& fields);

}  // namespace sllm
