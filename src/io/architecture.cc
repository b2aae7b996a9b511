#include "io/architecture.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "io/model_source.h"
#include "io/pooling.h"

namespace sllm {

void TensorList::add(std::string hf, std::string gguf, Shape shape, GgufForm form,
                     Shape gguf_shape) {
  specs_.push_back({std::move(hf), std::move(gguf), std::move(shape), form, std::move(gguf_shape)});
}

void TensorList::unread(const std::string& hf, const std::string& gguf) {
  for (const char* part : {".weight", ".bias"}) {
    add(hf + part, gguf + part, {});
    specs_.back().unread = true;
  }
}

void TensorList::linear(const std::string& hf, const std::string& gguf, int64_t out, int64_t in,
                        bool bias, GgufForm form) {
  add(hf + ".weight", gguf + ".weight", {out, in}, form);
  if (bias) add(hf + ".bias", gguf + ".bias", {out}, form);
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> all = config.architecture->tensors(config);
  std::erase_if(all, [](const TensorSpec& t) { return t.unread; });
  std::ranges::move(dense_tensors(config), std::back_inserter(all));
  return all;
}

std::vector<TensorSpec> unread_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> all = config.architecture->tensors(config);
  std::erase_if(all, [](const TensorSpec& t) { return !t.unread; });
  return all;
}

Status check_tensors(const ModelConfig& config, const std::vector<TensorInfo>& tensors) {
  std::map<std::string, Shape> missing;
  for (TensorSpec& spec : expected_tensors(config))
    missing.emplace(std::move(spec.hf), std::move(spec.shape));
  for (const TensorInfo& t : tensors) {
    const auto wanted = missing.find(t.name);
    if (wanted == missing.end())
      return bad_input("tensor \"{}\" is not part of a {} model with {} layers", t.name,
                       config.architecture->model_type, config.L);
    if (t.shape != wanted->second)
      return bad_input("tensor \"{}\" has the shape [{}], expected [{}]", t.name,
                       fmt::join(t.shape, ", "), fmt::join(wanted->second, ", "));
    if (!info(t.dtype).decode)
      return bad_input("tensor \"{}\" holds {}, expected a float or block format", t.name,
                       info(t.dtype).name);
    missing.erase(wanted);
  }
  if (!missing.empty())
    return bad_input("tensor \"{}\" {}is missing", missing.begin()->first,
                     missing.size() > 1 ? fmt::format("(and {} more) ", missing.size() - 1) : "");
  return ok();
}

std::string names_of(Architectures known, std::string_view Architecture::*name) {
  std::vector<std::string_view> names;
  for (const Architecture* a : known)
    if (std::ranges::find(names, a->*name) == names.end()) names.push_back(a->*name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace sllm
