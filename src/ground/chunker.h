// Cuts a document into passages: whole paragraphs where they fit, under one heading each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/document.h"
#include "ground/index.h"

namespace sllm {

// Chunks in order; `document` is copied into each. Their texts are slices [begin, end) of
// Document::text. A section without body text gives none.
std::vector<Chunk> chunk_document(const Document& parsed, std::string document,
                                  const ChunkOptions& options = {});

// Byte lengths that cut `text` into sentences (English, Korean, Chinese, Japanese), spaces kept
// with the sentence before them. They sum to text.size().
std::vector<size_t> sentence_lengths(std::string_view text);

}  // namespace sllm
