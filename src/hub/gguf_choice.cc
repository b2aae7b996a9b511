// File names of GGUF repositories, as llama.cpp's tools write them.
#include "hub/gguf_choice.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>

namespace sllm {
namespace {

constexpr size_t kMostParts = 999;

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

// "x-00002-of-00003.gguf" -> "x", 2, 3
struct Part {
  std::string stem;
  size_t number = 0, parts = 0;
};
std::optional<Part> as_part(std::string_view file) {
  constexpr std::string_view kForm = "-00001-of-00001.gguf";
  if (file.size() <= kForm.size()) return std::nullopt;
  const std::string_view end = file.substr(file.size() - kForm.size());
  if (end[0] != '-' || end.substr(6, 4) != "-of-" || end.substr(15) != ".gguf") return std::nullopt;
  Part part{std::string(file.substr(0, file.size() - kForm.size()))};
  const auto number = [&](size_t at, size_t& value) {
    const char *first = end.data() + at, *last = first + 5;
    return std::from_chars(first, last, value).ptr == last;
  };
  if (!number(1, part.number) || !number(10, part.parts)) return std::nullopt;
  if (part.number < 1 || part.number > part.parts || part.parts > kMostParts) return std::nullopt;
  return part;
}

bool is_type(std::string_view t) {
  for (const char* whole : {"F16", "F32", "F64", "BF16", "FP16", "FP32"})
    if (t == whole) return true;
  for (const std::string_view prefix : {"IQ", "TQ", "Q", "MXFP", "NVFP"}) {
    if (!t.starts_with(prefix) || t.size() == prefix.size()) continue;
    const std::string_view rest = t.substr(prefix.size());
    return rest.size() < 12 && std::isdigit(static_cast<unsigned char>(rest[0])) &&
           std::ranges::all_of(rest, [](unsigned char c) {
             return std::isdigit(c) || std::isupper(c) || c == '_';
           });
  }
  return false;
}

// The last piece between dots and hyphens, or its end behind an underscore, that is a type.
std::string type_in(std::string_view text) {
  const std::string name = upper(text);
  for (size_t end = name.size(); end > 0;) {
    const size_t before = name.find_last_of(".-", end - 1);
    const size_t start = before == std::string::npos ? 0 : before + 1;
    const std::string_view piece = std::string_view(name).substr(start, end - start);
    for (size_t at = 0; at != piece.npos && at < piece.size();) {
      if (is_type(piece.substr(at))) {
        const bool dynamic = at == 0 && start >= 3 && name.compare(start - 3, 3, "UD-") == 0;
        return (dynamic ? "UD-" : "") + std::string(piece.substr(at));
      }
      at = piece.find('_', at);
      if (at != piece.npos) ++at;
    }
    if (before == std::string::npos) break;
    end = before;
  }
  return "";
}

std::string labels(const std::vector<GgufModel>& models) {
  std::vector<std::string> out;
  for (const GgufModel& m : models) {
    // Two files of one type are told apart by their names.
    const bool twice = std::ranges::count(models, m.label, &GgufModel::label) > 1;
    out.push_back(twice ? m.files.front() : m.label);
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

}  // namespace

std::string quant_label(std::string_view file) {
  std::string_view stem = file;
  std::optional<Part> part = as_part(file);
  if (part)
    stem = part->stem;
  else if (stem.ends_with(".gguf"))
    stem.remove_suffix(5);
  const size_t slash = stem.rfind('/');
  const std::string own = type_in(slash == stem.npos ? stem : stem.substr(slash + 1));
  return own.empty() && slash != stem.npos ? type_in(stem.substr(0, slash)) : own;
}

std::vector<std::string> parts_of_split(const std::string& file) {
  const auto part = as_part(file);
  if (!part) return {file};
  std::vector<std::string> files;
  for (size_t i = 1; i <= part->parts; ++i)
    files.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", part->stem, i, part->parts));
  return files;
}

std::vector<GgufModel> gguf_models(std::vector<std::string> files) {
  std::ranges::sort(files);
  std::vector<GgufModel> models;
  std::map<std::pair<std::string, size_t>, size_t> split;  // stem and parts -> index in models
  for (const std::string& file : files) {
    const std::string name = file.substr(file.rfind('/') + 1);
    if (!file.ends_with(".gguf") || name.find("mmproj") != name.npos ||
        name.find("imatrix") != name.npos)
      continue;
    const auto part = as_part(file);
    if (part) {
      const auto [it, is_new] = split.try_emplace({part->stem, part->parts}, models.size());
      if (!is_new) {
        models[it->second].files.push_back(file);
        continue;
      }
    }
    std::string label = quant_label(file);
    if (label.empty()) label = part ? part->stem : file.substr(0, file.size() - 5);
    models.push_back({std::move(label), {file}, part ? part->parts : 1});
  }
  return models;
}

Result<std::vector<std::string>> choose_gguf(const std::vector<std::string>& files,
                                             const std::string& repo, std::string_view quant) {
  const std::vector<GgufModel> models = gguf_models(files);
  if (models.empty()) return bad_input("{}: holds no GGUF file", repo);
  std::vector<GgufModel> chosen = models;
  if (!quant.empty() || models.size() > 1) {
    const std::string wanted = quant.empty() ? "Q4_K_M" : upper(quant);
    std::erase_if(chosen, [&](const GgufModel& m) { return upper(m.label) != wanted; });
  }
  if (chosen.size() != 1) {
    const std::string how = fmt::format("Name one: hf:{}:{}", repo, models.front().label);
    if (!quant.empty() && chosen.empty())
      return with_hint(usage_error("{}: holds no {}; it has {}", repo, quant, labels(models)), how);
    const std::vector<GgufModel>& choices = chosen.empty() ? models : chosen;
    return with_hint(
        usage_error("{}: {} GGUF models to choose from: {}", repo, choices.size(), labels(choices)),
        chosen.empty() ? how
                       : fmt::format("Name one: hf:{}:{}", repo, choices.front().files.front()));
  }
  const GgufModel& model = chosen.front();
  if (model.files.size() != model.parts)
    return bad_input("{}: {} of the {} parts of {} are there", repo, model.files.size(),
                     model.parts, model.files.front());
  return model.files;
}

}  // namespace sllm
