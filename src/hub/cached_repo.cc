// Reads models--ORG--REPO/{blobs,snapshots,refs} as this program and huggingface_hub write them.
#include "hub/cached_repo.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "hub/cache.h"
#include "hub/gguf_choice.h"

namespace sllm {
namespace {

void measure(SnapshotFile& file) {
  struct stat info {};
  if (::stat(file.target.c_str(), &info) != 0) return;
  file.bytes = static_cast<uint64_t>(info.st_size);
  file.used = std::max(info.st_atime, info.st_mtime);
}

// Links whose blob is gone are listed too, with 0 bytes.
std::vector<SnapshotFile> files_of(const fs::path& snapshot) {
  std::vector<SnapshotFile> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(snapshot, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code none;
    if (it->is_directory(none) && !it->is_symlink(none)) continue;
    SnapshotFile file{it->path().lexically_relative(snapshot).generic_string(), it->path()};
    if (it->is_symlink(none)) {
      const fs::path link = fs::read_symlink(it->path(), none);
      file.target =
          (link.is_absolute() ? link : it->path().parent_path() / link).lexically_normal();
    }
    measure(file);
    files.push_back(std::move(file));
  }
  std::ranges::sort(files, {}, &SnapshotFile::path);
  return files;
}

// Files with the same content are one blob; `counted` has those that were.
void add_file(const SnapshotFile& file, CachedModel& model, std::set<fs::path>& counted) {
  model.files.push_back(file.path);
  if (counted.insert(file.target).second) model.bytes += file.bytes;
  model.last_used = std::max(model.last_used, file.used);
}

}  // namespace

std::string cached_repo_name(std::string folder) {
  folder.erase(0, std::string_view("models--").size());
  if (const size_t dashes = folder.find("--"); dashes != std::string::npos)
    folder.replace(dashes, 2, "/");
  return (folder.starts_with("pypi/") || folder.starts_with("url/") ? "" : "hf:") + folder;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    out.push_back(it->path());
  std::ranges::sort(out);
  return out;
}

std::string read_ref(const fs::path& path) {
  auto text = read_file(path, 4096);
  if (!text.ok()) return "";
  while (!text->empty() && std::isspace(static_cast<unsigned char>(text->back()))) text->pop_back();
  return *text;
}

CachedRepo::CachedRepo(const fs::path& folder)
    : folder_(folder), name_(cached_repo_name(folder.filename().string())) {
  for (const fs::path& snapshot : entries_of(folder / "snapshots"))
    files_[snapshot.filename().string()] = files_of(snapshot);
}

std::vector<CachedModel> CachedRepo::models() const {
  std::vector<CachedModel> out;
  for (const auto& [revision, files] : files_) add_snapshot(revision, files, out);
  add_leftovers(out);
  return out;
}

// "@main" stands for nothing; a branch is nicer to read than its commit.
std::string CachedRepo::at(const std::string& revision) const {
  std::string best = "@" + revision;
  std::error_code error;
  const fs::path refs = folder_ / "refs";
  for (fs::recursive_directory_iterator it(refs, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code none;
    if (!it->is_regular_file(none) || read_ref(it->path()) != revision) continue;
    const std::string ref = it->path().lexically_relative(refs).generic_string();
    if (ref == "main") return "";
    best = "@" + ref;
  }
  return revision == "main" ? "" : best;
}

CachedModel CachedRepo::model_of(const std::string& revision) const {
  CachedModel model;
  model.repo = name_;
  model.revision = revision;
  model.folder = folder_;
  return model;
}

void CachedRepo::add_snapshot(const std::string& revision, const std::vector<SnapshotFile>& files,
                              std::vector<CachedModel>& out) const {
  const fs::path snapshot = folder_ / "snapshots" / revision;
  const std::string where = at(revision);
  std::set<std::string> taken;
  std::vector<std::string> names;
  for (const SnapshotFile& file : files) names.push_back(file.path);
  for (const GgufModel& gguf : gguf_models(names)) {
    CachedModel model = model_of(revision);
    model.name = fmt::format("{}{}/{}", name_, where, gguf.files.front());
    model.format = gguf.files.size() == gguf.parts ? "GGUF" : "incomplete";
    model.type = quant_label(gguf.files.front());
    model.path = snapshot / gguf.files.front();
    std::set<fs::path> counted;
    for (const SnapshotFile& file : files)
      if (std::ranges::count(gguf.files, file.path)) add_file(file, model, counted);
    taken.insert(gguf.files.begin(), gguf.files.end());
    out.push_back(std::move(model));
  }
  CachedModel rest = model_of(revision);
  rest.name = name_ + where;
  rest.format = is_complete_model_folder(snapshot) ? "safetensors" : "incomplete";
  rest.path = snapshot;
  std::set<fs::path> counted;
  for (const SnapshotFile& file : files)
    if (!taken.contains(file.path)) add_file(file, rest, counted);
  // A card beside a GGUF file is no model.
  if (rest.format == "safetensors" || taken.empty()) out.push_back(std::move(rest));
}

// Parts of downloads, and blobs that no snapshot leads to.
void CachedRepo::add_leftovers(std::vector<CachedModel>& out) const {
  std::set<fs::path> used, counted;
  for (const auto& [revision, files] : files_)
    for (const SnapshotFile& file : files) used.insert(file.target.filename());
  CachedModel model = model_of("");
  model.name = name_;
  model.format = "leftovers";
  model.path = folder_ / "blobs";
  for (const fs::path& blob : entries_of(folder_ / "blobs")) {
    if (used.contains(blob.filename())) continue;
    SnapshotFile file{blob.filename().string(), blob};
    measure(file);
    add_file(file, model, counted);
  }
  if (!model.files.empty()) out.push_back(std::move(model));
}

}  // namespace sllm
