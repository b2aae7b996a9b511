// The chat page's files, embedded by folder.cmake; none when the program is built without it.
#pragma once

#include <span>
#include <string_view>

namespace sllm {

struct WebAsset {
  std::string_view path;  // "/", "/app.js"
  std::string_view type;
  std::string_view body;
  std::string_view etag;  // quoted, of the content
};
std::span<const WebAsset> web_assets();

}  // namespace sllm
