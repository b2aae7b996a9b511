// Downloads from the Hugging Face hub into the cache.
#include <sys/statvfs.h>

#include <algorithm>

#include "hub/cache.h"
#include "hub/gguf_choice.h"
#include "hub/hub_api.h"
#include "hub/origin.h"

namespace sllm {
namespace {

// What is to be there in the end.
struct FetchPlan {
  std::string commit;
  std::vector<HubFile> files;
  std::string model;  // the file that is the model (the first part of it); "": the whole folder
};

// Of a repository in Hugging Face's format: configuration, tokenizer and safetensors at its top.
std::vector<std::string> model_files(const std::vector<std::string>& files) {
  std::vector<std::string> wanted;
  for (const std::string& file : files) {
    if (file.find('/') != std::string::npos) continue;
    const std::string extension = fs::path(file).extension().string();
    const bool text = extension == ".json" || extension == ".jinja" || file == "merges.txt" ||
                      file == "vocab.txt" || file == "tokenizer.model" || file == "README.md" ||
                      file.starts_with("LICENSE");
    // Mistral ships the same weights twice.
    const bool weights = extension == ".safetensors" && !file.starts_with("consolidated");
    if (text || weights) wanted.push_back(file);
  }
  return wanted;
}

bool is_model_folder(const std::vector<std::string>& files) {
  return std::ranges::count(files, "config.json") > 0 &&
         std::ranges::any_of(files,
                             [](const std::string& f) { return f.ends_with(".safetensors"); });
}

// A named file needs one question, and no list of the whole repository.
Result<FetchPlan> plan_named_file(const HfName& name, const FetchOptions& options) {
  FetchPlan plan;
  HfName pinned = name;
  for (const std::string& file : parts_of_split(name.file)) {
    SLLM_TRY(HubListing one, hub_file_info(pinned, file, options));
    pinned.revision = plan.commit = one.commit;  // the parts are of one commit
    plan.files.push_back(std::move(one.files.front()));
  }
  plan.model = plan.files.front().path;
  return plan;
}

Result<FetchPlan> plan_fetch(const HfName& name, const FetchOptions& options) {
  if (!name.file.empty()) return plan_named_file(name, options);
  SLLM_TRY(HubListing listing, list_hub_files(name, options));
  FetchPlan plan;
  plan.commit = listing.commit;
  const std::vector<std::string> all = listing.paths();
  std::vector<std::string> wanted = model_files(all);
  if (!name.quant.empty() || !is_model_folder(wanted)) {
    if (name.quant.empty() && gguf_models(all).empty())
      return with_hint(bad_input("{}: holds neither safetensors nor GGUF files", name.repo),
                       std::ranges::any_of(all,
                                           [](const std::string& f) {
                                             return f.ends_with(".bin") || f.ends_with(".pt") ||
                                                    f.ends_with(".pth");
                                           })
                           ? "Its pickled weights can run code and are refused; look for a "
                             "repository with safetensors"
                           : "");
    SLLM_TRY(wanted, choose_gguf(all, name.repo, name.quant));
    plan.model = wanted.front();
    if (std::ranges::count(all, "README.md")) wanted.push_back("README.md");  // its licence
  }
  HfName pinned = name;
  pinned.revision = plan.commit;
  for (HubFile& file : listing.files) {
    if (std::ranges::find(wanted, file.path) == wanted.end()) continue;
    if (file.hash.empty()) {  // a mirror that lists names alone
      SLLM_TRY(HubListing one, hub_file_info(pinned, file.path, options));
      file = std::move(one.files.front());
    }
    plan.files.push_back(std::move(file));
  }
  return plan;
}

// Before the first byte: everything that is missing must fit.
Status check_space(const RepoCache& cache, const HfName& name, const FetchPlan& plan) {
  std::error_code error;
  uint64_t needed = 0;
  for (const HubFile& file : plan.files) {
    if (fs::exists(cache.blob(file.hash), error)) continue;
    const auto part = fs::file_size(cache.blob(file.hash).string() + ".incomplete", error);
    const uint64_t left = file.bytes - (error ? 0 : std::min<uint64_t>(part, file.bytes));
    needed += std::min(left, UINT64_MAX - needed);
  }
  struct statvfs disk {};
  if (::statvfs(cache.root().c_str(), &disk) != 0) return ok();
  const uint64_t there = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (needed <= there) return ok();
  return with_hint(
      make_error(ErrorCode::kResource, "{}: {} bytes are to be fetched, {} are free in {}",
                 name.to_string(), needed, there, cache.root().string()),
      "Free some space (`sllm list`, `sllm rm`), or let HF_HOME name a larger disk");
}

// Present, and what its name says.
Result<bool> is_intact(const fs::path& blob, const HubFile& file) {
  std::error_code error;
  if (!fs::exists(blob, error)) return false;
  if (!file.bytes || fs::file_size(blob, error) == file.bytes) {
    SLLM_TRY(const std::string hash, hash_like(blob, file.hash));
    if (hash == file.hash) return true;
  }
  log(LogLevel::kWarning, fmt::format("{}: damaged; fetched again", blob.string()));
  return false;
}

Status fetch_file(const HfName& name, const HubFile& file, const std::string& commit,
                  const FetchOptions& fetch, const ProgressSink& progress) {
  if (!fetch.sha256.empty() && file.is_large() && fetch.sha256 != file.hash)
    return bad_input("{}/{}: SHA-256 {}, expected {}", name.repo, file.path, file.hash,
                     fetch.sha256);
  const RepoCache cache(name.repo);
  SLLM_TRY(const FileLock lock, cache.lock(file.hash));
  const fs::path blob = cache.blob(file.hash);
  SLLM_TRY(const bool there, is_intact(blob, file));
  if (!there) {
    DownloadOptions options;
    static_cast<HttpOptions&>(options) = hub_http_options(fetch);
    options.expected_bytes = file.bytes;
    options.immutable = true;
    options.may_be_html = file.path.ends_with(".html");
    options.label = file.path;
    const fs::path part = blob.string() + ".incomplete";
    std::error_code error;
    bool resumed = fs::exists(part, error) && fs::file_size(part, error) > 0;
    for (;; resumed = false) {
      SLLM_OK(download(resolve_url(name.repo, commit, file.path), part, options, progress));
      const Status adopted = adopt_blob(part, blob, file.hash);
      if (adopted.ok()) break;
      // The fault may lie in what an earlier try left.
      if (!resumed || adopted.error().code != ErrorCode::kBadInput)
        return Error(adopted.error()).context(name.repo + "/" + file.path);
    }
  }
  return cache.link(commit, file.path, file.hash);
}

// Relative names of the GGUF files below `folder`.
std::vector<std::string> gguf_files_below(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code none;
    if (it->path().extension() == ".gguf" && it->is_regular_file(none))
      files.push_back(it->path().lexically_relative(folder).generic_string());
  }
  return files;
}

}  // namespace

Result<fs::path> fetch_hf(const HfName& name, const FetchOptions& options,
                          const ProgressSink& progress) {
  const RepoCache cache(name.repo);
  SLLM_TRY(const FetchPlan plan, plan_fetch(name, options));
  SLLM_OK(cache.prepare());
  SLLM_OK(check_space(cache, name, plan));
  for (const HubFile& file : plan.files)
    SLLM_OK(fetch_file(name, file, plan.commit, options, progress));
  // Last, so that a branch never points to a snapshot that is not complete.
  if (name.revision != plan.commit) SLLM_OK(cache.set_ref(name.revision, plan.commit));
  const fs::path snapshot = cache.snapshot(plan.commit);
  return plan.model.empty() ? snapshot : snapshot / plan.model;
}

Result<fs::path> find_hf(const HfName& name) {
  const RepoCache cache(name.repo);
  const fs::path snapshot = cache.snapshot(cache.revision_of(name.revision));
  std::error_code error;
  if (!name.file.empty()) {
    for (const std::string& part : parts_of_split(name.file))
      if (!fs::is_regular_file(snapshot / part, error))
        return bad_input("{}: {}", name.to_string(),
                         part == name.file ? "not on this machine" : part + " is missing");
    return snapshot / name.file;
  }
  if (name.quant.empty() && is_complete_model_folder(snapshot)) return snapshot;
  const std::vector<std::string> files = gguf_files_below(snapshot);
  if (gguf_models(files).empty()) return bad_input("{}: not on this machine", name.to_string());
  auto chosen = choose_gguf(files, name.repo, name.quant);
  // Another type is here: then this one is only not fetched yet.
  if (!chosen.ok() && !name.quant.empty() && chosen.error().code == ErrorCode::kUsage)
    return bad_input("{}: not on this machine", name.to_string());
  if (!chosen.ok()) return std::move(chosen).error();
  return snapshot / chosen->front();
}

}  // namespace sllm
