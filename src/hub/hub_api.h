// What the Hugging Face hub says about a repository and its files before any of them is sent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/name.h"
#include "hub/origin.h"
#include "net/http.h"

namespace sllm {

struct HubFile {
  std::string path;    // inside the repository, safe
  std::string hash;    // LFS: SHA-256; small files: git's SHA-1 of the blob; "": not said
  uint64_t bytes = 0;  // 0 with an empty hash: not said
  bool is_large() const { return hash.size() == 64; }
};
struct HubListing {
  std::string commit;
  std::vector<HubFile> files;
  std::vector<std::string> paths() const;
};

// HF_ENDPOINT, or the public hub.
std::string hub_endpoint();
// A token goes along, when there is one.
HttpOptions hub_http_options(const FetchOptions& fetch);
std::string resolve_url(const std::string& repo, const std::string& revision,
                        const std::string& file);

// The answer of /api/models/REPO/revision/REVISION?blobs=true; names that could leave the cache are
// left out. Error: kNetwork naming `where`.
Result<HubListing> parse_hub_listing(std::string_view body, const std::string& where);

// Errors: kNetwork with the hub's reason.
Result<HubListing> list_hub_files(const HfName& name, const FetchOptions& fetch);
// One file alone, at name.revision; the commit is set too.
Result<HubListing> hub_file_info(const HfName& name, const std::string& file,
                                 const FetchOptions& fetch);

}  // namespace sllm
