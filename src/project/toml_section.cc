// Strict reading of TOML tables.
#include "project/toml_section.h"

#include <algorithm>

namespace sllm::project {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, cost});
    }
  }
  return row.back();
}

std::string_view type_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t distance = std::max<size_t>(3, word.size() / 3 + 1);
  for (const std::string& c : candidates)
    if (word.size() < 80)
      if (const size_t d = edit_distance(word, c); d < distance) distance = d, best = c;
  return best;
}

std::string TomlSection::where(const toml::node& node) const {
  return fmt::format("{}:{}", file_, node.source().begin.line);
}

Error TomlSection::wrong(const std::string& key, const toml::node& node,
                         std::string_view expected) const {
  return usage_error("{}: [{}] {}: expected {}, found {}", where(node), name_, key, expected,
                     type_of(node));
}

const toml::node* TomlSection::find(const std::string& key) {
  known_.push_back(key);
  return table_ ? table_->get(key) : nullptr;
}

Status TomlSection::read(const std::string& key, std::string& out) {
  const toml::node* node = find(key);
  if (!node) return ok();
  const auto value = node->value_exact<std::string>();
  if (!value) return wrong(key, *node, "text");
  out = *value;
  return ok();
}

Status TomlSection::read(const std::string& key, std::vector<std::string>& out) {
  const toml::node* node = find(key);
  if (!node) return ok();
  if (const auto value = node->value_exact<std::string>()) {
    out = {*value};
    return ok();
  }
  const toml::array* list = node->as_array();
  if (!list) return wrong(key, *node, "a list of texts");
  out.clear();
  for (const toml::node& item : *list) {
    const auto value = item.value_exact<std::string>();
    if (!value) return wrong(key, item, "texts in the list");
    out.push_back(*value);
  }
  return ok();
}

Status TomlSection::read(const std::string& key, double& out, double low, double high) {
  const toml::node* node = find(key);
  if (!node) return ok();
  const auto value = node->is_number() ? node->value<double>() : std::nullopt;
  if (!value) return wrong(key, *node, "a number");
  if (!(*value >= low && *value <= high))
    return usage_error("{}: [{}] {} is {}; expected {} to {}", where(*node), name_, key, *value,
                       low, high);
  out = *value;
  return ok();
}

Status TomlSection::read(const std::string& key, int64_t& out, int64_t low, int64_t high) {
  const toml::node* node = find(key);
  if (!node) return ok();
  const auto value = node->value_exact<int64_t>();
  if (!value) return wrong(key, *node, "a whole number");
  if (*value < low || *value > high)
    return usage_error("{}: [{}] {} is {}; expected {} to {}", where(*node), name_, key, *value,
                       low, high);
  out = *value;
  return ok();
}

Status TomlSection::read(const std::string& key, bool& out) {
  const toml::node* node = find(key);
  if (!node) return ok();
  const auto value = node->value_exact<bool>();
  if (!value) return wrong(key, *node, "true or false");
  out = *value;
  return ok();
}

Status TomlSection::read_choice(const std::string& key, std::string& out,
                                const std::vector<std::string>& allowed) {
  const std::string before = out;
  SLLM_OK(read(key, out));
  if (out == before || std::ranges::find(allowed, out) != allowed.end()) return ok();
  return usage_error("{}: [{}] {} is \"{}\"; expected one of {}", where(*table_->get(key)), name_,
                     key, out, fmt::join(allowed, ", "));
}

Status TomlSection::require(const std::string& key, bool given) const {
  if (given) return ok();
  return usage_error("{}: [{}] {} is missing", file_, name_, key);
}

Status TomlSection::finish() const {
  if (!table_) return ok();
  for (const auto& [key, node] : *table_) {
    const std::string name(key.str());
    if (std::ranges::find(known_, name) != known_.end()) continue;
    Error error = usage_error("{}: [{}] has no key {}", where(node), name_, name);
    if (const std::string near = nearest(name, known_); !near.empty())
      error.hint = fmt::format("Did you mean {}?", near);
    return error;
  }
  return ok();
}

}  // namespace sllm::project
