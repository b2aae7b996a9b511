// Data files one example after the other, for what need not hold them all.
#pragma once

#include <functional>
#include <vector>

#include "data/dataset.h"

namespace sllm {

// read_examples(), one example after the other, and as JSON Lines from files larger than memory.
// Errors also: what `take` returns.
Status each_example(const fs::path& path, const ReadOptions& options,
                    std::vector<DroppedRow>* dropped, const std::function<Status(Example)>& take);
// Files as given and, below folders, every data file; sorted, each once. Errors: kBadInput when
// there is none.
Result<std::vector<fs::path>> data_files(const std::vector<fs::path>& inputs);

}  // namespace sllm
