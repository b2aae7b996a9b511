// The tiny models of every architecture (tests/golden/make_architecture_goldens.py).
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"

namespace sllm::testing {

// SLLM_ARCHITECTURE_GOLDENS names fresh ones instead of those in the repository.
inline fs::path golden_folder() {
  const char* other = std::getenv("SLLM_ARCHITECTURE_GOLDENS");
  return other ? other : fs::path(SLLM_SOURCE_DIR) / "tests/golden/architectures";
}

inline std::vector<std::string> golden_names() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(golden_folder()))
    if (entry.is_directory()) found.push_back(entry.path().filename().string());
  std::ranges::sort(found);
  return found;
}

}  // namespace sllm::testing
