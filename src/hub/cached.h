// What lies in the cache, and its removal.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace sllm {

// A GGUF file (or its parts), a folder that holds a whole Hugging Face model, or what is left of a
// download.
struct CachedModel {
  std::string name;  // as resolve_model takes it; a short name of the catalogue where there is one
  std::string repo;  // "hf:org/repo"
  std::string revision;       // commit or version; "" for leftovers
  std::string format;         // "GGUF", "safetensors", "incomplete", "leftovers"
  std::string type;           // of a GGUF file's weights, by its name: "Q4_K_M"; else ""
  fs::path path;              // the model's file or folder
  uint64_t bytes = 0;         // on disk; what two snapshots share counts in both
  std::time_t last_used = 0;  // the latest reading or writing; a file system may note it only daily
  fs::path folder;            // of the repository in the cache
  std::vector<std::string> files;  // in the snapshot, relative to it
};
// Sorted by name. Never connects.
std::vector<CachedModel> cached_models();

// The models that `name` means: one that cached_models() names so, one that lies at this path or
// is found under this name, or with hf:org/repo all of a repository. Error: kBadInput with the
// nearest name.
Result<std::vector<CachedModel>> cached_models_named(std::string_view name);

// What removing models will free: their files in the snapshots, and the blobs that no other file of
// the cache leads to.
struct Removal {
  std::vector<CachedModel> models;
  std::vector<fs::path> links, blobs;
  std::vector<fs::path> repositories;  // that go as a whole
  uint64_t bytes = 0;
};
Removal plan_removal(const std::vector<CachedModel>& models);
// Returns the bytes freed. Errors: kLocked while one of the blobs is being fetched (then nothing is
// removed); kResource with what the system says.
Result<uint64_t> remove_cached(const Removal& removal);

}  // namespace sllm
