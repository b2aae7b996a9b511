// The hub's HTTP interface (huggingface.co/docs/hub/api and what huggingface_hub asks for).
#include "hub/hub_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "hub/cache.h"

namespace sllm {
namespace {

std::string escaped(std::string_view path, bool keep_slashes) {
  std::string out;
  for (const unsigned char c : path)
    if (std::isalnum(c) || (c == '/' && keep_slashes) || c == '.' || c == '-' || c == '_' ||
        c == '~')
      out += static_cast<char>(c);
    else
      out += fmt::format("%{:02X}", c);
  return out;
}

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}
uint64_t number_of(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

}  // namespace

std::vector<std::string> HubListing::paths() const {
  std::vector<std::string> out;
  for (const HubFile& file : files) out.push_back(file.path);
  return out;
}

std::string hub_endpoint() {
  const char* value = std::getenv("HF_ENDPOINT");
  std::string url = value && *value ? value : "https://huggingface.co";
  while (url.ends_with('/')) url.pop_back();
  return url;
}

HttpOptions hub_http_options(const FetchOptions& fetch) {
  HttpOptions options;
  options.token = hub_token();
  if (fetch.quick) options.connect_attempts = 1, options.attempts = 2;
  options.first_delay = fetch.first_delay;
  return options;
}

std::string resolve_url(const std::string& repo, const std::string& revision,
                        const std::string& file) {
  return fmt::format("{}/{}/resolve/{}/{}", hub_endpoint(), repo, escaped(revision, false),
                     escaped(file, true));
}

Result<HubListing> parse_hub_listing(std::string_view body, const std::string& where) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  HubListing listing;
  if (json.is_object()) listing.commit = text_of(json, "sha");
  if (!is_hex(listing.commit, 40) || !json.contains("siblings") || !json["siblings"].is_array())
    return with_hint(
        make_error(ErrorCode::kNetwork, "{}: the hub's list of files cannot be read", where),
        "Is HF_ENDPOINT a hub, and does nothing stand in between?");
  for (const auto& sibling : json["siblings"]) {
    if (!sibling.is_object()) continue;
    HubFile file{text_of(sibling, "rfilename"), text_of(sibling, "blobId"),
                 number_of(sibling, "size")};
    if (const auto lfs = sibling.find("lfs"); lfs != sibling.end() && lfs->is_object()) {
      file.hash = text_of(*lfs, "sha256");
      file.bytes = number_of(*lfs, "size");
      if (!is_hex(file.hash, 64)) file.hash.clear();
    } else if (!is_hex(file.hash, 40)) {
      file.hash.clear();
    }
    if (is_safe_relative_path(file.path)) listing.files.push_back(std::move(file));
  }
  return listing;
}

Result<HubListing> list_hub_files(const HfName& name, const FetchOptions& fetch) {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", hub_endpoint(),
                                      name.repo, escaped(name.revision, false));
  SLLM_TRY(const HttpResponse r, http_request(HttpMethod::kGet, url, hub_http_options(fetch)));
  if (r.status >= 400) return refusal(name.to_string(), r.status, r.headers);
  return parse_hub_listing(r.body, url);
}

Result<HubListing> hub_file_info(const HfName& name, const std::string& file,
                                 const FetchOptions& fetch) {
  std::string url = resolve_url(name.repo, name.revision, file);
  const std::string what = fmt::format("{}/{}", name.repo, file);
  // The hub's headers stand on its first answer; only moves within the hub are followed.
  for (int hop = 0;; ++hop) {
    SLLM_TRY(HttpResponse r, http_request(HttpMethod::kHead, url, hub_http_options(fetch), false));
    const auto header = [&](const char* key) {
      const auto it = r.headers.find(key);
      return it == r.headers.end() ? std::string() : it->second;
    };
    const std::string location = header("location");
    if (r.status >= 300 && r.status < 400 && location.starts_with('/') &&
        header("x-linked-etag").empty() && hop < 5) {
      url = hub_endpoint() + location;
      continue;
    }
    if (r.status >= 400) return refusal(what, r.status, r.headers);
    HubFile info;
    info.path = file;
    std::string etag = header("x-linked-etag");
    if (etag.empty()) etag = header("etag");
    if (etag.starts_with("W/")) etag.erase(0, 2);
    std::erase(etag, '"');
    info.hash = etag;
    const std::string commit = header("x-repo-commit");
    std::string size = header("x-linked-size");
    if (size.empty() && r.status < 300) size = header("content-length");  // else the redirect's own
    info.bytes = std::strtoull(size.c_str(), nullptr, 10);
    if (!is_hex(info.hash, 64) && !is_hex(info.hash, 40))
      return make_error(ErrorCode::kNetwork, "{}: the hub names no hash of the file", what);
    if (!is_hex(commit, 40))
      return make_error(ErrorCode::kNetwork, "{}: the hub names no revision", what);
    return HubListing{commit, {info}};
  }
}

}  // namespace sllm
