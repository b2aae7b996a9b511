// Who may talk to the server: API keys, the Host header (against DNS rebinding) and Origin (against
// other sites' pages).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api_error.h"

namespace sllm {

struct AccessRules {
  std::vector<std::string> api_keys;         // none: everyone who reaches the port
  std::vector<std::string> allowed_hosts;    // names beside localhost, this machine's and addresses
  std::vector<std::string> allowed_origins;  // "https://app.example"; others get no CORS header
};

class Access {
 public:
  explicit Access(const AccessRules& rules);

  // Host must be an IP address, localhost, this machine's name or an allowed one: a page that
  // rebinds its own name to 127.0.0.1 cannot have such a Host.
  std::optional<ApiError> check_host(std::string_view host) const;
  // A browser's cross-site request carries an Origin that is neither this host nor an allowed one.
  std::optional<ApiError> check_origin(std::string_view origin, std::string_view host) const;
  bool allows_origin(std::string_view origin) const;
  // Whose request it is: the number of the key in `authorization` (the header's value) from 1 on,
  // or 0 where none is asked for. Keys are kept as SHA-256 and compared in constant time.
  ApiResult<int64_t> caller(std::string_view authorization) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest digest(std::string_view key);
  std::vector<Digest> keys_;
  std::vector<std::string> hosts_, origins_;
};

}  // namespace sllm
