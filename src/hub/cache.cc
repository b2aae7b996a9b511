// The cache's layout on disk.
#include "hub/cache.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "hub/name.h"

namespace sllm {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path hf_home() {
  if (const std::string home = environment("HF_HOME"); !home.empty()) return home;
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty())
    return fs::path(cache) / "huggingface";
  const std::string home = environment("HOME");
  return fs::path(home.empty() ? "/tmp" : home) / ".cache" / "huggingface";
}

std::string trimmed(std::string text) {
  const char* kSpace = " \t\r\n";
  text.erase(text.find_last_not_of(kSpace) + 1);
  text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

}  // namespace

fs::path hub_cache_dir() {
  if (const std::string dir = environment("HF_HUB_CACHE"); !dir.empty()) return dir;
  if (const std::string dir = environment("HUGGINGFACE_HUB_CACHE"); !dir.empty()) return dir;
  return hf_home() / "hub";
}

std::string hub_token() {
  if (const std::string token = environment("HF_TOKEN"); !token.empty()) return trimmed(token);
  auto text = read_file(hf_home() / "token", 4096);
  return text.ok() ? trimmed(*text) : std::string();
}

bool hub_offline() {
  const std::string value = environment("HF_HUB_OFFLINE");
  return !value.empty() && value != "0" && value != "false" && value != "FALSE";
}

RepoCache::RepoCache(std::string_view repo) : folder_("models--" + std::string(repo)) {
  if (const size_t slash = folder_.find('/'); slash != std::string::npos)
    folder_.replace(slash, 1, "--");
  root_ = hub_cache_dir() / folder_;
}

std::string RepoCache::revision_of(std::string_view name) const {
  auto text = read_file(root_ / "refs" / name, 4096);
  if (!text.ok()) return std::string(name);
  std::string revision = trimmed(std::move(*text));
  return is_safe_relative_path(revision) && revision.find('/') == std::string::npos
             ? revision
             : std::string(name);
}

Status RepoCache::prepare() const {
  std::error_code error;
  for (const char* folder : {"blobs", "snapshots", "refs"}) {
    fs::create_directories(root_ / folder, error);
    if (error)
      return make_error(ErrorCode::kResource, "{}: {}", (root_ / folder).string(), error.message());
  }
  return ok();
}

Result<FileLock> RepoCache::lock(std::string_view hash) const {
  const fs::path folder = hub_cache_dir() / ".locks" / folder_;
  std::error_code error;
  fs::create_directories(folder, error);
  return FileLock::acquire(folder / (std::string(hash) + ".lock"));
}

Status RepoCache::link(std::string_view revision, std::string_view file,
                       std::string_view hash) const {
  const fs::path path = snapshot(revision) / file;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  fs::path target = "../..";
  for (const char c : file)
    if (c == '/') target /= "..";
  target = target / "blobs" / hash;
  const fs::path temporary = path.string() + ".link";
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (!error) fs::rename(temporary, path, error);
  if (error) return make_error(ErrorCode::kResource, "{}: {}", path.string(), error.message());
  return ok();
}

Status RepoCache::set_ref(std::string_view name, std::string_view revision) const {
  return write_file_atomically(root_ / "refs" / name, revision);
}

bool is_complete_model_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder / "config.json", error)) return false;
  if (!fs::exists(folder / "tokenizer.json", error) &&
      !fs::exists(folder / "tokenizer.model", error))
    return false;
  if (fs::exists(folder / "model.safetensors", error)) return true;
  auto index = read_file(folder / "model.safetensors.index.json", 64 << 20);
  if (!index.ok()) return false;
  const auto json = nlohmann::json::parse(*index, nullptr, false);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    return false;
  std::set<std::string> shards;
  for (const auto& shard : json["weight_map"])
    if (shard.is_string()) shards.insert(shard.get<std::string>());
  return !shards.empty() && std::ranges::all_of(shards, [&](const std::string& shard) {
    return is_safe_relative_path(shard) && fs::exists(folder / shard, error);
  });
}

namespace {

uint64_t bytes_below(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->is_regular_file(error)) bytes += it->file_size(error);
  return bytes;
}

// "models--org--repo" -> "hf:org/repo"; files of other origin keep their kind.
std::string repo_name(std::string folder) {
  folder.erase(0, std::string_view("models--").size());
  if (const size_t dashes = folder.find("--"); dashes != std::string::npos)
    folder.replace(dashes, 2, "/");
  return (folder.starts_with("pypi/") || folder.starts_with("url/") ? "" : "hf:") + folder;
}

}  // namespace

std::vector<CachedModel> cached_models() {
  std::vector<CachedModel> models;
  std::error_code error;
  for (fs::directory_iterator repo(hub_cache_dir(), error), end; !error && repo != end;
       repo.increment(error)) {
    const std::string folder = repo->path().filename().string();
    if (!folder.starts_with("models--")) continue;
    std::error_code inner;
    for (const auto& snapshot : fs::directory_iterator(repo->path() / "snapshots", inner)) {
      if (is_complete_model_folder(snapshot.path()))
        models.push_back({repo_name(folder), snapshot.path(), bytes_below(snapshot.path())});
      for (const auto& file : fs::directory_iterator(snapshot.path(), inner)) {
        std::error_code none;
        if (file.path().extension() == ".gguf" && file.is_regular_file(none))
          models.push_back({repo_name(folder) + "/" + file.path().filename().string(), file.path(),
                            fs::file_size(file.path(), none)});
      }
    }
  }
  std::ranges::sort(models, {}, &CachedModel::name);
  return models;
}

}  // namespace sllm
