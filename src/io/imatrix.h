// Importance matrices in llama.cpp's files (its tools/imatrix): for each matrix of a model how
// large the inputs were that it was multiplied by on some text. Two forms, told apart by how they
// start:
//   GGUF    general.type "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size, and
//           for each matrix the F32 tensors NAME.in_sum2 [counts, columns] and NAME.counts [counts,
//           1]
//   legacy  int32 entries; for each int32 length, name, int32 chunks, int32 n, float [n] of chunks
//           times the mean square; then, where there is more, int32 chunks, int32 length, data set
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "io/gguf.h"

namespace sllm {

struct ImportanceEntry {
  std::vector<float> sums;      // of the squared inputs, [counts, columns]
  std::vector<int64_t> counts;  // inputs that were summed; one for each expert of a mixture
  int64_t columns() const { return std::ssize(sums) / std::ssize(counts); }
  // sums / counts; ones where nothing was counted, as in llama.cpp: no column matters more there.
  std::vector<float> mean_squares() const;
};

struct ImportanceMatrix {
  std::map<std::string, ImportanceEntry> entries;  // by GGUF name: "blk.0.attn_q.weight"
  std::vector<std::string> datasets;               // files of text
  int64_t chunks = 0, chunk_size = 0;              // size in tokens; 0: not known (legacy files)
};

// Errors: kBadInput "file: offset N: ...": neither form, numbers that cannot be sums of squares.
Result<ImportanceMatrix> read_imatrix(const fs::path& path);
// `name` is for messages.
Result<ImportanceMatrix> parse_imatrix(std::span<const std::byte> bytes, const std::string& name);
bool is_imatrix(const GgufFile& file);

// Atomically; the legacy form where the name ends in .dat (needs chunk_size), GGUF otherwise.
Status write_imatrix(const fs::path& path, const ImportanceMatrix& matrix);

}  // namespace sllm
