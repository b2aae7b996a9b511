// One repository's folder in the cache, read once: for listing and for removal.
#pragma once

#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "hub/cached.h"

namespace sllm {

struct SnapshotFile {
  std::string path;  // relative to the snapshot
  fs::path target;   // the blob, or the file itself
  uint64_t bytes = 0;
  std::time_t used = 0;
};

class CachedRepo {
 public:
  explicit CachedRepo(const fs::path& folder);  // models--ORG--REPO

  // Files by revision. Links whose blob is gone are there too, with 0 bytes.
  const std::map<std::string, std::vector<SnapshotFile>>& snapshots() const { return files_; }
  std::vector<CachedModel> models() const;

 private:
  std::string at(const std::string& revision) const;
  CachedModel model_of(const std::string& revision) const;
  void add_snapshot(const std::string& revision, const std::vector<SnapshotFile>& files,
                    std::vector<CachedModel>& out) const;
  void add_leftovers(std::vector<CachedModel>& out) const;

  fs::path folder_;
  std::string name_;
  std::map<std::string, std::vector<SnapshotFile>> files_;
};

// "models--org--repo" -> "hf:org/repo"; files of other origin keep their kind.
std::string cached_repo_name(std::string folder);
// What lies directly in a folder, sorted; nothing when it cannot be read.
std::vector<fs::path> entries_of(const fs::path& folder);
// The one line of a file in refs; "" when it cannot be read.
std::string read_ref(const fs::path& path);

}  // namespace sllm
