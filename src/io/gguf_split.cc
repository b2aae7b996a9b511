#include "io/gguf_split.h"

#include <algorithm>
#include <unordered_map>

#include "io/gguf.h"

namespace sllm {
namespace {

// "00012" -> 12; nullopt for anything but five digits.
std::optional<int64_t> five_digits(std::string_view text) {
  int64_t n = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + (c - '0');
  }
  return text.size() == 5 ? std::optional(n) : std::nullopt;
}

// split.no, split.count and split.tensors.count of one part.
struct SplitKeys {
  int64_t no, count, tensors;
};
Result<SplitKeys> split_keys(const GgufFile& file, const fs::path& path) {
  SplitKeys keys{};
  for (const auto& [key, value] :
       {std::pair("split.no", &keys.no), std::pair("split.count", &keys.count),
        std::pair("split.tensors.count", &keys.tensors)}) {
    SLLM_TRY(const auto number, file.integer(key));
    if (!number) return bad_input("{}: the key \"{}\" is missing", path.string(), key);
    *value = *number;
  }
  return keys;
}

Result<GgufPart> named_part(const fs::path& path, const SplitKeys& keys) {
  const auto part = gguf_part(path);
  if (part && part->count == keys.count && part->number == keys.no + 1) return *part;
  return with_hint(
      bad_input("{}: is part {} of {}, but its name does not end in -{:05}-of-{:05}.gguf",
                path.string(), keys.no + 1, keys.count, keys.no + 1, keys.count),
      "Give the parts the names they were published with");
}

}  // namespace

std::optional<GgufPart> gguf_part(const fs::path& path) {
  constexpr std::string_view kShape = "-00001-of-00003.gguf";
  const std::string name = path.string();
  if (name.size() <= kShape.size()) return std::nullopt;
  const std::string_view end = std::string_view(name).substr(name.size() - kShape.size());
  const auto number = five_digits(end.substr(1, 5)), count = five_digits(end.substr(10, 5));
  if (end[0] != '-' || end.substr(6, 4) != "-of-" || !end.ends_with(".gguf") || !number || !count ||
      *number < 1 || *number > *count)
    return std::nullopt;
  return GgufPart{name.substr(0, name.size() - kShape.size()), *number, *count};
}

fs::path gguf_part_path(const std::string& prefix, int64_t number, int64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
}

Result<GgufFile> GgufFile::open_parts(GgufFile opened, const fs::path& path) {
  SLLM_TRY(const SplitKeys keys, split_keys(opened, path));
  SLLM_TRY(const GgufPart named, named_part(path, keys));
  std::error_code ignored;
  for (int64_t i = 1; i <= named.count; ++i)
    if (const fs::path part = gguf_part_path(named.prefix, i, named.count);
        !fs::exists(part, ignored))
      return with_hint(
          bad_input("{}: the part \"{}\" is missing", path.string(), part.filename().string()),
          fmt::format("Put all {} parts into one folder", named.count));
  GgufFile whole;
  std::unordered_map<std::string, int64_t> part_of;
  for (int64_t i = 1; i <= named.count; ++i) {
    const fs::path part_path = gguf_part_path(named.prefix, i, named.count);
    GgufFile part;
    if (i == named.number)
      part = std::move(opened);
    else {
      SLLM_TRY(part, open_one(part_path));
    }
    SLLM_TRY(const SplitKeys own, split_keys(part, part_path));
    SLLM_OK(named_part(part_path, own));
    if (own.tensors != keys.tensors)
      return bad_input("{}: split.tensors.count is {}, but {} in \"{}\"", part_path.string(),
                       own.tensors, keys.tensors, path.filename().string());
    for (const GgufTensor& t : part.tensors_)
      if (const auto [at, fresh] = part_of.emplace(t.name, i); !fresh)
        return bad_input("{}: the tensor \"{}\" is in part {} too", part_path.string(), t.name,
                         at->second);
    if (i == 1) {
      whole = std::move(part);
      continue;
    }
    std::ranges::move(part.tensors_, std::back_inserter(whole.tensors_));
    std::ranges::move(part.files_, std::back_inserter(whole.files_));
  }
  const auto held = static_cast<int64_t>(whole.tensors_.size());
  if (held != keys.tensors)
    return with_hint(bad_input("{}: the {} parts hold {} tensors, but split.tensors.count is {}",
                               path.string(), named.count, held, keys.tensors),
                     "The parts are not of one model: download them again");
  return whole;
}

}  // namespace sllm
