// The standard Hugging Face cache: models--ORG--REPO/{blobs,snapshots/REVISION,refs}. Files that
// come from elsewhere lie in it too, under the organisations "pypi" and "url".
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace sllm {

// HF_HUB_CACHE | HF_HOME/hub | XDG_CACHE_HOME/huggingface/hub | ~/.cache/huggingface/hub
fs::path hub_cache_dir();
// HF_TOKEN | HUGGING_FACE_HUB_TOKEN | the file HF_TOKEN_PATH | HF_HOME/token; "" when there is
// none, or HF_HUB_DISABLE_IMPLICIT_TOKEN is set.
std::string hub_token();
// HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is 1, ON, YES or TRUE.
bool hub_offline();

// One repository's folder in the cache.
class RepoCache {
 public:
  explicit RepoCache(std::string_view repo);  // "org/name"
  const fs::path& root() const { return root_; }
  fs::path blob(std::string_view hash) const { return root_ / "blobs" / hash; }
  fs::path snapshot(std::string_view revision) const { return root_ / "snapshots" / revision; }
  // The revision that a branch or tag pointed to when it was pulled; the name itself otherwise.
  std::string revision_of(std::string_view name) const;

  Status prepare() const;  // makes the folders
  // Held while a blob is written, as huggingface_hub does. Waits, with a word to the log, while
  // somebody else holds it; `wait` false: kLocked. 130/143 when stopped.
  Result<FileLock> lock(std::string_view hash, bool wait = true) const;
  fs::path locks() const;
  // snapshots/REVISION/FILE -> ../../blobs/HASH, atomically.
  Status link(std::string_view revision, std::string_view file, std::string_view hash) const;
  Status set_ref(std::string_view name, std::string_view revision) const;

 private:
  std::string folder_;
  fs::path root_;
};

// True when `folder` holds config.json, a tokenizer and all of its weights.
bool is_complete_model_folder(const fs::path& folder);

}  // namespace sllm
