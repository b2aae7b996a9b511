// All texts of some files, one after the other, for what reads each once: counting words, say.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/events.h"
#include "data/read.h"

namespace sllm {

struct CorpusOptions {
  ReadOptions read;
  // A document's lines are texts of their own, each with its newline.
  bool by_line = false;
  size_t part_bytes = size_t{1} << 20;  // of a long document's parts, at least
};

// Calls take(text) for every text: what an example of a JSONL, JSON or CSV file reads (its text, or
// the contents of its messages), and every document (.txt, .md, .html ...). Long documents come in
// parts, cut where no pre-tokenizer's word goes on: in front of a newline behind a letter or a
// digit (or, where none comes for 32 parts' length, at a space). Plain text, Markdown and JSON
// Lines in UTF-8 may be larger than memory. `text` is valid UTF-8, with newlines as "\n", and lives
// as long as the call. Errors: those of read_examples(), what `take` returns, and kInterrupted
// after a stop request.
Status each_text(const std::vector<fs::path>& files, const CorpusOptions& options,
                 const std::function<Status(std::string_view text)>& take,
                 const ProgressSink& progress = {});

}  // namespace sllm
