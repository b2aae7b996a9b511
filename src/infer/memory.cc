// Memory limits as Linux tells them (proc(5), cgroup v2 and v1).
#include "infer/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace sllm {
namespace {

// A number of bytes in a file of one number; -1 when there is none ("max" included).
int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t n = -1;
  return file >> n ? n : -1;
}

// The number behind a key ("MemAvailable:   123 kB"), in units; -1 when there is no such line.
int64_t field(const char* path, const std::string& key, int64_t unit) {
  std::ifstream file(path);
  for (std::string word; file >> word;)
    if (int64_t n; word == key && file >> n) return n * unit;
  return -1;
}

}  // namespace

int64_t available_memory() {
  int64_t available = field("/proc/meminfo", "MemAvailable:", 1024);
  if (available < 0) available = int64_t{4} << 30;
  struct Group {
    const char *limit, *usage, *stat;
  };
  for (const Group& g : {Group{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                               "/sys/fs/cgroup/memory.stat"},
                         Group{"/sys/fs/cgroup/memory/memory.limit_in_bytes",
                               "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                               "/sys/fs/cgroup/memory/memory.stat"}}) {
    const int64_t most = number_in(g.limit), used = number_in(g.usage);
    if (most < 0 || used < 0) continue;
    // The page cache counts as used but is given back when asked for.
    const int64_t cache = std::max<int64_t>(field(g.stat, "inactive_file", 1), 0);
    available = std::min(available, std::max<int64_t>(most - used + cache, 0));
  }
  return available;
}

int64_t peak_resident_memory() {
  return std::max<int64_t>(field("/proc/self/status", "VmHWM:", 1024), 0);
}

}  // namespace sllm
