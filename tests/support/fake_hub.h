// A hub of ours on the loopback that speaks the Hugging Face protocol as the real one does: model
// info with blobs, HEAD and GET of /resolve with the linked headers, redirects of large files to a
// storage on another port, ranges. Every answer can be made wrong.
#pragma once

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <set>

#include "base/sha256.h"
#include "support/loopback_server.h"

namespace sllm {

// Small files go to git, weights to large-file storage (LFS).
inline bool is_large_file(const std::string& name) {
  return name.ends_with(".safetensors") || name.ends_with(".gguf");
}

class FakeHub {
 public:
  using Files = std::map<std::string, std::string>;
  std::string repo = "org/repo";
  std::map<std::string, Files> commits;         // by commit
  std::map<std::string, std::string> branches;  // name -> commit
  bool lists_blobs = true;                      // false: a mirror that lists names alone
  std::string token;                            // "": open to everybody
  std::string gate;                             // X-Error-Code of a refusal
  // Looked at before anything else; a status of 0 goes on.
  LoopbackServer::Handler fault = [](const LoopbackRequest&) { return LoopbackResponse{0}; };
  LoopbackServer::Handler storage_fault = fault;
  // Changes what the storage sends.
  std::function<void(LoopbackResponse&)> spoil = [](LoopbackResponse&) {};

  explicit FakeHub(Files files = {}, const std::string& commit = std::string(40, 'c'))
      : storage_([this](const LoopbackRequest& r) { return send(r); }),
        hub_([this](const LoopbackRequest& r) { return answer(r); }) {
    commits[commit] = std::move(files);
    branches["main"] = commit;
  }
  std::string url() const { return hub_.url(); }
  Files& files() { return commits[branches["main"]]; }
  // What the storage was asked for, and what the hub was.
  std::vector<LoopbackRequest> downloads() { return storage_.requests(); }
  std::vector<LoopbackRequest> requests() { return hub_.requests(); }

 private:
  static LoopbackResponse error(int status, const std::string& code) {
    return {status, {{"X-Error-Code", code}, {"X-Error-Message", code}}, ""};
  }

  LoopbackResponse answer(const LoopbackRequest& r) {
    if (LoopbackResponse wrong = fault(r); wrong.status) return wrong;
    const std::string path = r.path.substr(0, r.path.find('?'));
    const std::string api = "/api/models/" + repo + "/revision/";
    const std::string resolve = "/" + repo + "/resolve/";
    const bool is_api = path.starts_with(api);
    if (!is_api && !path.starts_with(resolve)) return error(401, "RepoNotFound");
    if (!token.empty()) {
      const auto given = r.headers.find("authorization");
      if (given == r.headers.end() || given->second != "Bearer " + token)
        return error(401, gate.empty() ? "RepoNotFound" : gate);
    }
    const std::string rest = path.substr(is_api ? api.size() : resolve.size());
    std::string revision = rest.substr(0, rest.find('/'));
    for (size_t at; (at = revision.find("%2F")) != std::string::npos;)
      revision[at] = '/', revision.erase(at + 1, 2);
    const auto branch = branches.find(revision);
    const std::string commit = branch == branches.end() ? revision : branch->second;
    const auto files = commits.find(commit);
    if (files == commits.end()) return error(404, "RevisionNotFound");
    if (is_api) return list(commit, files->second);
    return resolve_file(r, commit, files->second, rest.substr(rest.find('/') + 1));
  }

  LoopbackResponse list(const std::string& commit, const Files& files) {
    nlohmann::json siblings = nlohmann::json::array();
    for (const auto& [name, content] : files) {
      nlohmann::json one = {{"rfilename", name}};
      if (lists_blobs) {
        one["size"] = content.size();
        one["blobId"] = git_sha1(content);
        if (is_large_file(name))
          one["lfs"] = {{"sha256", sha256_hex(content)}, {"size", content.size()}};
      }
      siblings.push_back(one);
    }
    siblings.push_back({{"rfilename", "../../evil"}});
    return {200, {}, nlohmann::json{{"sha", commit}, {"siblings", siblings}}.dump()};
  }

  LoopbackResponse resolve_file(const LoopbackRequest& r, const std::string& commit,
                                const Files& files, const std::string& name) {
    const auto file = files.find(name);
    if (file == files.end()) return error(404, "EntryNotFound");
    if (!is_large_file(name)) {
      LoopbackResponse out = range(r, file->second);
      out.headers.emplace_back("ETag", "\"" + git_sha1(file->second) + "\"");
      out.headers.emplace_back("X-Repo-Commit", commit);
      return out;
    }
    return {302,
            {{"X-Linked-Etag", "\"" + sha256_hex(file->second) + "\""},
             {"X-Linked-Size", std::to_string(file->second.size())},
             {"X-Repo-Commit", commit},
             {"Location", storage_.url("/" + sha256_hex(file->second))}},
            ""};
  }

  LoopbackResponse send(const LoopbackRequest& r) {
    if (LoopbackResponse wrong = storage_fault(r); wrong.status) return wrong;
    for (const auto& [commit, files] : commits)
      for (const auto& [name, content] : files)
        if (r.path.substr(1) == sha256_hex(content)) {
          LoopbackResponse out = range(r, content);
          out.headers.emplace_back("ETag", "\"of-the-storage\"");
          spoil(out);
          return out;
        }
    return {404, {}, "no such object"};
  }

  static LoopbackResponse range(const LoopbackRequest& r, const std::string& content) {
    const size_t start = r.range_start();
    if (start == 0) return {200, {}, content};
    if (start >= content.size())
      return {416, {{"Content-Range", fmt::format("bytes */{}", content.size())}}, ""};
    return {206,
            {{"Content-Range",
              fmt::format("bytes {}-{}/{}", start, content.size() - 1, content.size())}},
            content.substr(start)};
  }

  // git hash-object of the contents that the tests use; made with git, so that ours is checked.
  static std::string git_sha1(const std::string& content) {
    static const std::map<std::string, std::string> kKnown = {
        {"{}", "9e26dfeeb6e641a33dae4961196235bdb965b21b"},
        {"# x", "121039ccc8a2c80ccd7eca85cca6c7647294f92c"},
        {"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
        {"---\nlicense: mit\n---\n", "32897cd3e640101ba184f8c4ccd896981de3804a"},
        {"pickle", "35ea4eb49608a037057500e73cc5a378aaab16ae"},
    };
    const auto it = kKnown.find(content);
    // Of a large file the blob is a pointer, whose hash nobody uses.
    return it == kKnown.end() ? std::string(40, 'b') : it->second;
  }

  LoopbackServer storage_, hub_;
};

}  // namespace sllm
