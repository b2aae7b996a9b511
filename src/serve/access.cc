// Key, Host and Origin checks.
#include "serve/access.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>

namespace sllm {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// "[::1]:8080" -> "::1", "name:80" -> "name".
std::string without_port(std::string_view host) {
  if (host.starts_with('[')) return lower(host.substr(1, host.find(']') - 1));
  return lower(host.substr(0, host.find(':')));
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

Access::Access(const AccessRules& rules) : origins_(rules.allowed_origins) {
  for (const std::string& key : rules.api_keys) keys_.push_back(digest(key));
  hosts_ = {"localhost"};
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) == 0) hosts_.push_back(lower(name));
  for (const std::string& host : rules.allowed_hosts) hosts_.push_back(lower(host));
}

std::optional<ApiError> Access::check_host(std::string_view header) const {
  const std::string host = without_port(header);
  if (is_address(host) || std::ranges::find(hosts_, host) != hosts_.end()) return std::nullopt;
  return ApiError{.status = 403,
                  .message =
                      "the Host header names no host of this server; "
                      "start it with --allow-host NAME to be reached by that name",
                  .code = "host_not_allowed"};
}

bool Access::allows_origin(std::string_view origin) const {
  return std::ranges::find(origins_, origin) != origins_.end();
}

std::optional<ApiError> Access::check_origin(std::string_view origin, std::string_view host) const {
  if (origin.empty() || allows_origin(origin)) return std::nullopt;
  const size_t scheme = origin.find("://");
  if (scheme != std::string_view::npos && lower(origin.substr(scheme + 3)) == lower(host))
    return std::nullopt;
  return ApiError{.status = 403,
                  .message =
                      "pages of other sites may not call this server; "
                      "start it with --allow-origin to let one",
                  .code = "origin_not_allowed"};
}

Access::Digest Access::digest(std::string_view key) {
  Digest out{};
  EVP_Digest(key.data(), key.size(), out.data(), nullptr, EVP_sha256(), nullptr);
  return out;
}

ApiResult<int64_t> Access::caller(std::string_view authorization) const {
  if (keys_.empty()) return 0;
  constexpr std::string_view kScheme = "bearer ";
  int64_t match = 0;
  if (lower(authorization.substr(0, kScheme.size())) == kScheme) {
    const Digest given = digest(authorization.substr(kScheme.size()));
    for (size_t i = 0; i < keys_.size(); ++i) {  // all, so that the time does not tell which
      const bool equal = CRYPTO_memcmp(given.data(), keys_[i].data(), given.size()) == 0;
      match = std::max(match, equal * static_cast<int64_t>(i + 1));
    }
  }
  if (match > 0) return match;
  return ApiError{.status = 401,
                  .message = authorization.empty()
                                 ? "an API key is needed: send \"Authorization: Bearer KEY\""
                                 : "the API key is not valid",
                  .code = "invalid_api_key"};
}

}  // namespace sllm
