// Removal from the cache: links first, then the blobs that nothing leads to any more.
#include <algorithm>
#include <set>

#include "hub/cache.h"
#include "hub/cached.h"
#include "hub/cached_repo.h"

namespace sllm {
namespace {

// huggingface_hub may keep one copy of a blob for several repositories under CACHE/blobs/xx/HASH,
// to which their blobs are links. The last link takes the copy with it.
fs::path shared_copy(const fs::path& blob) {
  std::error_code error;
  if (!fs::is_symlink(blob, error)) return {};
  const fs::path link = fs::read_symlink(blob, error);
  const fs::path target =
      (link.is_absolute() ? link : blob.parent_path() / link).lexically_normal();
  const fs::path store = (hub_cache_dir() / "blobs").lexically_normal();
  return target.parent_path().parent_path() == store ? target : fs::path();
}

size_t links_to(const fs::path& copy) {
  size_t links = 0;
  for (const fs::path& folder : entries_of(hub_cache_dir()))
    for (const fs::path& blob : entries_of(folder / "blobs")) links += shared_copy(blob) == copy;
  return links;
}

// Removes a blob; the bytes that the disk has back.
uint64_t free_blob(const fs::path& blob) {
  std::error_code error;
  const fs::path copy = shared_copy(blob);
  const auto size = fs::file_size(copy.empty() ? blob : copy, error);
  const uint64_t bytes = error ? 0 : size;
  if (!fs::remove(blob, error)) return 0;
  if (copy.empty()) return bytes;
  const auto lock = FileLock::acquire(copy.string() + ".lock");
  if (!lock.ok() || links_to(copy) > 0) return 0;
  fs::remove(copy.string() + ".refs", error);
  return fs::remove(copy, error) ? bytes : 0;
}

// Empty folders from `folder` up to, but not including, `top`.
void prune(fs::path folder, const fs::path& top) {
  std::error_code error;
  while (folder != top && folder.string().size() > top.string().size() &&
         fs::is_empty(folder, error) && !error && fs::remove(folder, error))
    folder = folder.parent_path();
}

void remove_refs_without_snapshot(const fs::path& repository) {
  std::error_code error;
  std::vector<fs::path> dead;
  for (fs::recursive_directory_iterator it(repository / "refs", error), end; !error && it != end;
       it.increment(error)) {
    std::error_code none;
    if (it->is_regular_file(none) &&
        !fs::exists(repository / "snapshots" / read_ref(it->path()), none))
      dead.push_back(it->path());
  }
  for (const fs::path& ref : dead) {
    fs::remove(ref, error);
    prune(ref.parent_path(), repository / "refs");
  }
}

// The names of the locks under which a blob, or a part of it, may be written.
std::vector<fs::path> locks_of(const fs::path& blob) {
  const fs::path locks = hub_cache_dir() / ".locks" / blob.parent_path().parent_path().filename();
  const std::string name = blob.filename().string();
  const std::string hash = name.substr(0, name.find('.'));
  std::vector<fs::path> out = {locks / (hash + ".lock")};
  if (const size_t at = name.find(".incomplete"); at != name.npos && at != hash.size())
    out.push_back(locks / (name.substr(0, at) + ".lock"));
  return out;
}

}  // namespace

Removal plan_removal(const std::vector<CachedModel>& models) {
  Removal removal;
  removal.models = models;
  std::set<fs::path> folders;
  for (const CachedModel& model : models) folders.insert(model.folder);
  for (const fs::path& folder : folders) {
    const CachedRepo repository(folder);
    const std::vector<CachedModel> here = repository.models();
    const auto is_chosen = [&](const CachedModel& m) {
      return std::ranges::any_of(models, [&](const CachedModel& c) {
        return c.folder == m.folder && c.revision == m.revision && c.path == m.path;
      });
    };
    const auto models_left = [&](const std::string& revision) {
      return std::ranges::any_of(
          here, [&](const CachedModel& m) { return m.revision == revision && !is_chosen(m); });
    };
    std::set<fs::path> kept, freed;
    bool empty = true;
    for (const auto& [revision, files] : repository.snapshots()) {
      const bool whole = !models_left(revision);  // a card without its model goes too
      empty = empty && whole;
      for (const SnapshotFile& file : files) {
        const bool goes = whole || std::ranges::any_of(here, [&](const CachedModel& m) {
                            return m.revision == revision && is_chosen(m) &&
                                   std::ranges::count(m.files, file.path);
                          });
        (goes ? freed : kept).insert(file.target);
        if (goes) removal.links.push_back(folder / "snapshots" / revision / file.path);
      }
    }
    for (const CachedModel& m : here)
      if (m.format == "leftovers" && (empty || is_chosen(m)))
        for (const std::string& blob : m.files) freed.insert(folder / "blobs" / blob);
    for (const fs::path& blob : freed) {
      if (kept.contains(blob)) continue;
      // A file that lies in the snapshot itself goes with its name; nothing outside is touched.
      const bool is_blob = blob.parent_path() == (folder / "blobs").lexically_normal();
      const bool is_own = blob.string().starts_with((folder / "snapshots/").string());
      if (is_blob) removal.blobs.push_back(blob);
      const fs::path copy = shared_copy(blob);
      std::error_code error;
      const auto size = fs::file_size(blob, error);
      if (!error && (is_own || (is_blob && (copy.empty() || links_to(copy) == 1))))
        removal.bytes += size;
    }
    if (empty) removal.repositories.push_back(folder);
  }
  return removal;
}

Result<uint64_t> remove_cached(const Removal& removal) {
  std::vector<FileLock> locks;
  for (const fs::path& blob : removal.blobs) {
    for (const fs::path& lock : locks_of(blob)) {
      std::error_code error;
      if (!fs::exists(lock, error)) continue;
      auto held = FileLock::acquire(lock);
      if (held.ok())
        locks.push_back(*std::move(held));
      else if (held.error().code == ErrorCode::kLocked)
        return with_hint(
            make_error(ErrorCode::kLocked, "{}: is being fetched",
                       cached_repo_name(blob.parent_path().parent_path().filename().string())),
            "Wait until it is here, or stop that process");
    }
  }
  uint64_t freed = 0;
  std::set<fs::path> repositories;
  // The names first: whatever stops this leaves no name without its content.
  for (const fs::path& link : removal.links) {
    std::error_code error;
    const auto size = fs::is_symlink(link, error) ? 0 : fs::file_size(link, error);
    const bool own = !fs::is_symlink(link, error);
    if (!fs::remove(link, error) && error)
      return make_error(ErrorCode::kResource, "{}: {}", link.string(), error.message());
    if (own) freed += size;
    fs::path snapshots = link.parent_path();
    while (snapshots.filename() != "snapshots" && snapshots.has_relative_path())
      snapshots = snapshots.parent_path();
    prune(link.parent_path(), snapshots);
    repositories.insert(snapshots.parent_path());
  }
  for (const fs::path& blob : removal.blobs) {
    freed += free_blob(blob);
    std::error_code error;
    fs::remove(blob.string() + ".etag", error);
  }
  for (const fs::path& repository : repositories) remove_refs_without_snapshot(repository);
  for (const fs::path& repository : removal.repositories) {
    std::error_code error;
    fs::remove_all(repository, error);
    if (error)
      return make_error(ErrorCode::kResource, "{}: {}", repository.string(), error.message());
    fs::remove_all(hub_cache_dir() / ".locks" / repository.filename(), error);
  }
  return freed;
}

}  // namespace sllm
