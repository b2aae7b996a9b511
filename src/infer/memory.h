// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace sllm {

// Bytes: the system's MemAvailable, or what is left of the cgroup's limit when that is less.
int64_t available_memory();
// VmHWM: the most this process has had resident, mapped files included.
int64_t peak_resident_memory();

}  // namespace sllm
