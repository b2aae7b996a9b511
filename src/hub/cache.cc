// The cache's layout on disk.
#include "hub/cache.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <set>
#include <thread>

#include "base/events.h"
#include "hub/name.h"

namespace sllm {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// "~/x" is what a shell writes that did not expand it.
fs::path expanded(const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  return environment("HOME") + path.substr(1);
}

fs::path hf_home() {
  if (const std::string home = environment("HF_HOME"); !home.empty()) return expanded(home);
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty())
    return expanded(cache) / "huggingface";
  const std::string home = environment("HOME");
  return fs::path(home.empty() ? "/tmp" : home) / ".cache" / "huggingface";
}

bool is_true(const char* name) {
  std::string value = environment(name);
  for (char& c : value) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string trimmed(std::string text) {
  const char* kSpace = " \t\r\n";
  text.erase(text.find_last_not_of(kSpace) + 1);
  text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

}  // namespace

fs::path hub_cache_dir() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const std::string dir = environment(name); !dir.empty()) return expanded(dir);
  return hf_home() / "hub";
}

std::string hub_token() {
  if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  std::string token;
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (token.empty()) token = environment(name);
  if (token.empty()) {
    const std::string file = environment("HF_TOKEN_PATH");
    auto text = read_file(file.empty() ? hf_home() / "token" : expanded(file), 4096);
    if (text.ok()) token = std::move(*text);
  }
  // A line break inside would end the header.
  std::erase_if(token, [](char c) { return c == '\r' || c == '\n'; });
  return trimmed(std::move(token));
}

bool hub_offline() { return is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"); }

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

fs::path RepoCache::locks() const { return hub_cache_dir() / ".locks" / folder_; }

Result<FileLock> RepoCache::lock(std::string_view hash, bool wait) const {
  std::error_code error;
  fs::create_directories(locks(), error);
  const fs::path path = locks() / (std::string(hash) + ".lock");
  for (bool told = false;;) {
    auto lock = FileLock::acquire(path);
    if (lock.ok() || !wait || lock.error().code != ErrorCode::kLocked) return lock;
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "{}: stopped while waiting",
                        path.string());
    if (!told)
      log(LogLevel::kInfo, fmt::format("{}: another process is fetching it; waiting", folder_));
    told = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
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
  std::error_code error;  // "refs/pr/4" lies in folders
  fs::create_directories((root_ / "refs" / name).parent_path(), error);
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

}  // namespace sllm
