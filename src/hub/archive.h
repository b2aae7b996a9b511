// One member out of a zip archive (a Python wheel is one), read as data.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace sllm {

// Hands the member's bytes to `write`, in pieces. Nothing is written by name, so that no path in
// the archive matters. Errors: kBadInput when the archive is damaged, encrypted or has no such
// member, or the member is longer than `limit`; those of `write`.
Status read_zip_member(const fs::path& archive, const std::string& member, uint64_t limit,
                       const std::function<Status(std::span<const std::byte>)>& write);

}  // namespace sllm
