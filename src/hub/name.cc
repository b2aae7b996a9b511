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

std::string HfName::to_string() const {
  return fmt::format("hf:{}{}{}{}{}", repo, revision == "main" ? "" : "@",
                     revision == "main" ? "" : revision, file.empty() ? "" : "/", file);
}
std::string PypiName::to_string() const {
  return fmt::format("pypi:{}=={}#{}", package, version, member);
}

Result<std::optional<HfName>> parse_hf_name(std::string_view name) {
  if (!name.starts_with("hf:")) return std::optional<HfName>();
  const std::string_view whole = name;
  name.remove_prefix(3);
  const auto wrong = [&] {
    return usage_error("{}: expected hf:ORGANISATION/REPOSITORY[@REVISION][/FILE]", whole);
  };
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return wrong();
  const size_t end = std::min(name.find_first_of("/@", slash + 1), name.size());
  HfName out;
  out.repo = name.substr(0, end);
  std::string_view rest = name.substr(end);
  if (rest.starts_with('@')) {
    const size_t revision_end = std::min(rest.find('/'), rest.size());
    out.revision = rest.substr(1, revision_end - 1);
    rest = rest.substr(revision_end);
  }
  if (rest.starts_with('/')) {
    out.file = rest.substr(1);
    if (!is_safe_relative_path(out.file)) return wrong();
  }
  const std::string_view organisation = name.substr(0, slash);
  const std::string_view repository = std::string_view(out.repo).substr(slash + 1);
  if (!is_word(organisation, "._-") || !is_word(repository, "._-") ||
      !is_word(out.revision, "._-") || out.repo.find("..") != std::string::npos)
    return wrong();
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
