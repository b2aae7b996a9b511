// The Hugging Face hub: its file list, its headers, and downloads into the cache.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/sha256.h"
#include "hub/cache.h"
#include "hub/origin.h"
#include "net/http.h"

namespace sllm {
namespace {

std::string endpoint() {
  const char* value = std::getenv("HF_ENDPOINT");
  std::string url = value && *value ? value : "https://huggingface.co";
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string escaped_path(std::string_view path) {
  std::string out;
  for (const unsigned char c : path)
    if (std::isalnum(c) || c == '/' || c == '.' || c == '-' || c == '_' || c == '~')
      out += static_cast<char>(c);
    else
      out += fmt::format("%{:02X}", c);
  return out;
}

bool is_hex(std::string_view s, size_t size) {
  return s.size() == size &&
         std::ranges::all_of(s, [](unsigned char c) { return std::isxdigit(c); });
}

HttpOptions http_options(const FetchOptions& fetch) {
  HttpOptions options;
  options.token = hub_token();
  if (fetch.quick) options.connect_attempts = 1, options.attempts = 2;
  return options;
}

Error http_error(const std::string& what, long status) {
  Error error = make_error(ErrorCode::kNetwork, "{}: HTTP {}", what, status);
  if (status == 401 || status == 403)
    error.hint = "It needs a permission: set HF_TOKEN, or accept the model's terms on its page";
  if (status == 404) error.hint = "Check the name; a private model needs HF_TOKEN";
  return error;
}

// What the hub says about a file before any of it is sent.
struct FileInfo {
  std::string hash;  // LFS: SHA-256; small files: git's SHA-1
  std::string commit;
  uint64_t bytes = 0;
};

Result<FileInfo> file_info(const HfName& name, const std::string& file, const FetchOptions& fetch) {
  std::string url = fmt::format("{}/{}/resolve/{}/{}", endpoint(), name.repo,
                                escaped_path(name.revision), escaped_path(file));
  const std::string what = fmt::format("{}/{}", name.repo, file);
  // The hub's headers stand on its first answer; only moves within the hub are followed.
  for (int hop = 0;; ++hop) {
    SLLM_TRY(HttpResponse r, http_request(HttpMethod::kHead, url, http_options(fetch), false));
    const auto header = [&](const char* key) {
      const auto it = r.headers.find(key);
      return it == r.headers.end() ? std::string() : it->second;
    };
    const std::string location = header("location");
    if (r.status >= 300 && r.status < 400 && location.starts_with('/') &&
        header("x-linked-etag").empty() && hop < 5) {
      url = endpoint() + location;
      continue;
    }
    if (r.status >= 400) return http_error(what, r.status);
    FileInfo info;
    std::string etag = header("x-linked-etag");
    if (etag.empty()) etag = header("etag");
    if (etag.starts_with("W/")) etag.erase(0, 2);
    std::erase(etag, '"');
    info.hash = etag;
    info.commit = header("x-repo-commit");
    const std::string size =
        header("x-linked-size").empty() ? header("content-length") : header("x-linked-size");
    info.bytes = std::strtoull(size.c_str(), nullptr, 10);
    if (!is_hex(info.hash, 64) && !is_hex(info.hash, 40))
      return make_error(ErrorCode::kNetwork, "{}: the hub names no hash of the file", what);
    if (!is_hex(info.commit, 40))
      return make_error(ErrorCode::kNetwork, "{}: the hub names no revision", what);
    return info;
  }
}

struct Listing {
  std::string commit;
  std::vector<std::string> files;
};

Result<Listing> list_files(const HfName& name, const FetchOptions& fetch) {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}", endpoint(), name.repo,
                                      escaped_path(name.revision));
  SLLM_TRY(const HttpResponse r, http_request(HttpMethod::kGet, url, http_options(fetch)));
  if (r.status >= 400) return http_error(name.repo, r.status);
  const auto json = nlohmann::json::parse(r.body, nullptr, false);
  Listing listing;
  if (json.is_object() && json.contains("sha") && json["sha"].is_string())
    listing.commit = json["sha"];
  if (!is_hex(listing.commit, 40) || !json.contains("siblings") || !json["siblings"].is_array())
    return make_error(ErrorCode::kNetwork, "{}: the hub's list of files cannot be read", url);
  for (const auto& sibling : json["siblings"]) {
    if (!sibling.is_object() || !sibling.contains("rfilename")) continue;
    if (!sibling["rfilename"].is_string()) continue;
    std::string file = sibling["rfilename"];
    if (is_safe_relative_path(file)) listing.files.push_back(std::move(file));
  }
  return listing;
}

// Of a repository in Hugging Face's format: configuration, tokenizer and safetensors at its top.
std::vector<std::string> model_files(const std::vector<std::string>& files) {
  std::vector<std::string> wanted;
  for (const std::string& file : files) {
    if (file.find('/') != std::string::npos) continue;
    const std::string extension = fs::path(file).extension().string();
    const bool text = extension == ".json" || extension == ".jinja" || file == "merges.txt" ||
                      file == "vocab.txt" || file == "tokenizer.model" ||
                      file.starts_with("LICENSE");
    if (text || extension == ".safetensors") wanted.push_back(file);
  }
  return wanted;
}

Status fetch_file(const HfName& name, const std::string& file, const std::string& revision,
                  const FetchOptions& fetch, const ProgressSink& progress) {
  HfName pinned = name;
  pinned.revision = revision;
  SLLM_TRY(const FileInfo info, file_info(pinned, file, fetch));
  const RepoCache cache(name.repo);
  SLLM_OK(cache.prepare());
  SLLM_TRY(const FileLock lock, cache.lock(info.hash));
  const fs::path blob = cache.blob(info.hash);
  std::error_code error;
  const bool large = is_hex(info.hash, 64);
  bool there = fs::exists(blob, error) && (!info.bytes || fs::file_size(blob, error) == info.bytes);
  if (there && large) {
    SLLM_TRY(const std::string hash, sha256_file(blob));
    there = hash == info.hash;
    if (!there) log(LogLevel::kWarning, fmt::format("{}: damaged; fetched again", blob.string()));
  }
  if (!there) {
    DownloadOptions options;
    static_cast<HttpOptions&>(options) = http_options(fetch);
    options.expected_bytes = info.bytes;
    options.immutable = large;
    options.label = file;
    const std::string url =
        fmt::format("{}/{}/resolve/{}/{}", endpoint(), name.repo, revision, escaped_path(file));
    const fs::path part = blob.string() + ".incomplete";
    SLLM_OK(download(url, part, options, progress));
    SLLM_OK(adopt_blob(part, blob, large ? info.hash : ""));
  }
  if (!fetch.sha256.empty() && large && fetch.sha256 != info.hash)
    return bad_input("{}/{}: SHA-256 {}, expected {}", name.repo, file, info.hash, fetch.sha256);
  return cache.link(revision, file, info.hash);
}

}  // namespace

Result<std::string> choose_gguf(const std::vector<std::string>& files, const std::string& repo) {
  std::vector<std::string> gguf, medium;
  for (const std::string& file : files) {
    if (!file.ends_with(".gguf")) continue;
    gguf.push_back(file);
    std::string lower = file;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (lower.find("q4_k_m") != std::string::npos) medium.push_back(file);
  }
  if (gguf.size() == 1) return gguf[0];
  if (medium.size() == 1) return medium[0];
  return with_hint(usage_error("{}: {} GGUF files: {}", repo, gguf.size(), fmt::join(gguf, ", ")),
                   fmt::format("Name one: hf:{}/FILE.gguf", repo));
}

Result<fs::path> fetch_hf(const HfName& name, const FetchOptions& options,
                          const ProgressSink& progress) {
  const RepoCache cache(name.repo);
  std::vector<std::string> files = {name.file};
  std::string commit;
  if (name.file.empty()) {
    SLLM_TRY(Listing listing, list_files(name, options));
    commit = listing.commit;
    files = model_files(listing.files);
    const bool folder = std::ranges::count(files, "config.json") > 0 &&
                        std::ranges::any_of(files, [](const std::string& f) {
                          return f.ends_with(".safetensors");
                        });
    if (!folder) {
      if (std::ranges::none_of(listing.files,
                               [](const std::string& f) { return f.ends_with(".gguf"); }))
        return bad_input("{}: holds neither safetensors nor GGUF files", name.repo);
      SLLM_TRY(const std::string file, choose_gguf(listing.files, name.repo));
      files = {file};
    }
  } else {
    SLLM_TRY(const FileInfo info, file_info(name, name.file, options));
    commit = info.commit;
  }
  for (const std::string& file : files) SLLM_OK(fetch_file(name, file, commit, options, progress));
  // Last, so that a branch never points to a snapshot that is not complete.
  if (name.revision != commit) SLLM_OK(cache.set_ref(name.revision, commit));
  return files.size() == 1 ? cache.snapshot(commit) / files[0] : cache.snapshot(commit);
}

Result<fs::path> find_hf(const HfName& name) {
  const RepoCache cache(name.repo);
  const fs::path snapshot = cache.snapshot(cache.revision_of(name.revision));
  std::error_code error;
  if (!name.file.empty()) {
    if (fs::is_regular_file(snapshot / name.file, error)) return snapshot / name.file;
    return bad_input("{}: not on this machine", name.to_string());
  }
  if (is_complete_model_folder(snapshot)) return snapshot;
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(snapshot, error))
    if (entry.path().extension() == ".gguf") files.push_back(entry.path().filename().string());
  if (files.empty()) return bad_input("{}: not on this machine", name.to_string());
  SLLM_TRY(const std::string file, choose_gguf(files, name.repo));
  return snapshot / file;
}

}  // namespace sllm
