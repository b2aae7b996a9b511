// The names by which models are called, taken apart and checked: nothing in them can leave the
// cache folder or become an option of another program.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sllm {

// hf:org/repo[:file or quant][@revision], or hf:org/repo[@revision][/file]
struct HfName {
  std::string repo;  // "org/repo"
  std::string revision = "main";
  std::string file;             // "" = the whole model, or what `quant` picks
  std::string quant;            // "Q4_K_M": picks the GGUF file of this type
  bool names_revision = false;  // "main" was written, not meant by default
  bool is_pinned() const;       // the revision is a commit's hash
  std::string to_string() const;
};
// pypi:package==version#path/inside/the/wheel
struct PypiName {
  std::string package, version, member;
  std::string to_string() const;
};

// nullopt when the prefix is another one. Errors: kUsage with the expected form.
Result<std::optional<HfName>> parse_hf_name(std::string_view name);
Result<std::optional<PypiName>> parse_pypi_name(std::string_view name);
bool is_url(std::string_view name);

// So many hexadecimal digits: a commit or git blob has 40, a SHA-256 64.
bool is_hex(std::string_view text, size_t digits);

// True for a relative path of plain components: no "..", no "." and no empty one, no backslash, no
// control characters.
bool is_safe_relative_path(std::string_view path);

}  // namespace sllm
