// Sending a small document to a server and reading its answer.
#pragma once

#include <string>

#include "net/http.h"

namespace sllm {

// POSTs `json`; sent once, for what it does may not be done twice. Waits `options.timeout` for the
// whole answer, however slowly it comes. A status of 4xx or 5xx is not an error here. Errors:
// kNetwork with the host and what failed.
Result<HttpResponse> http_post_json(const std::string& url, const std::string& json,
                                    const HttpOptions& options = {},
                                    size_t max_body = size_t{64} << 20);

}  // namespace sllm
