#include "io/gguf_lora.h"

#include <algorithm>
#include <cmath>

#include "io/architecture.h"
#include "io/gguf_writer.h"
#include "io/peft_parse.h"

namespace sllm {
namespace {

constexpr int64_t kMaxRank = 65536;
constexpr std::string_view kHalves[] = {".lora_a", ".lora_b"};

std::string gguf_architecture(const ModelConfig& config) {
  return std::string(config.architecture->gguf);
}

const TensorSpec* find(const std::vector<TensorSpec>& specs, std::string TensorSpec::*field,
                       std::string_view name) {
  const auto found = std::ranges::find(specs, name, field);
  return found == specs.end() ? nullptr : &*found;
}

Status check_kind(const GgufFile& file, const ModelConfig& base) {
  SLLM_TRY(const auto type, file.string("adapter.type"));
  if (type.value_or("") != "lora")
    return bad_input("adapter.type is \"{}\", expected \"lora\"", type.value_or(""));
  SLLM_TRY(const auto architecture, file.string("general.architecture"));
  if (!architecture) return bad_input("the key \"general.architecture\" is missing");
  if (*architecture != gguf_architecture(base))
    return with_hint(bad_input("the adapter is for a {} model, but the base is a {} model",
                               *architecture, gguf_architecture(base)),
                     "Use the base model that the adapter was trained on");
  if (file.has("adapter.alora.invocation_tokens"))
    return with_hint(bad_input("it has adapter.alora.invocation_tokens, which is not supported"),
                     "An activated LoRA is on for a part of the text only");
  return ok();
}

// Which matrix "blk.0.ffn_up.weight.lora_a" is for, and whether it is its A.
Result<std::pair<const TensorSpec*, bool>> matrix_of(const std::string& tensor,
                                                     const std::vector<TensorSpec>& specs) {
  for (const std::string_view half : kHalves) {
    if (!tensor.ends_with(half)) continue;
    const auto name = std::string_view(tensor).substr(0, tensor.size() - half.size());
    const TensorSpec* spec = find(specs, &TensorSpec::gguf, name);
    if (!spec || !spec->hf.ends_with(".weight") || spec->shape.size() != 2)
      return bad_input("tensor \"{}\" is not for a matrix of this architecture", tensor);
    if (spec->gguf == "token_embd.weight")
      return bad_input("tensor \"{}\": adapters of the embedding are not supported", tensor);
    return std::pair(spec, half == kHalves[0]);
  }
  return bad_input("tensor \"{}\" does not end in .lora_a or .lora_b", tensor);
}

Status read_numbers(const GgufFile& file, LoraAdapter& adapter) {
  SLLM_TRY(const auto rank, file.integer("sllm.lora.rank"));
  adapter.rank = rank.value_or(adapter.modules.begin()->second.rank());
  if (adapter.rank < 1 || adapter.rank > kMaxRank)
    return bad_input("sllm.lora.rank is {}, expected 1 to {}", adapter.rank, kMaxRank);
  SLLM_TRY(const auto alpha, file.number("adapter.lora.alpha"));
  adapter.alpha = static_cast<float>(alpha.value_or(0));
  if (adapter.alpha == 0) {  // no scaling: each module's alpha is its rank
    adapter.alpha = static_cast<float>(adapter.rank);
    for (auto& [module, pair] : adapter.modules)
      if (pair.rank() != adapter.rank) pair.alpha = static_cast<float>(pair.rank());
  }
  SLLM_TRY(const auto rslora, file.boolean("sllm.lora.use_rslora"));
  SLLM_TRY(const auto own, file.number("sllm.lora.alpha"));
  if (rslora.value_or(false)) {
    adapter.rslora = true;
    adapter.alpha = static_cast<float>(own.value_or(adapter.alpha));
  }
  if (!std::isfinite(adapter.alpha)) return bad_input("adapter.lora.alpha is not a finite number");
  SLLM_TRY(adapter.base_model, gguf_lora_base(file));
  return ok();
}

Result<LoraAdapter> read_tensors(const GgufFile& file, const ModelConfig& base) {
  SLLM_OK(check_kind(file, base));
  const std::vector<TensorSpec> specs = expected_tensors(base);
  LoraAdapter adapter;
  for (const GgufTensor& t : file.tensors()) {
    if (t.name.ends_with("_norm.weight"))
      return with_hint(
          bad_input("tensor \"{}\" replaces a norm of the base, which is not supported", t.name),
          "Merge the adapter where it was made");
    SLLM_TRY(const auto found, matrix_of(t.name, specs));
    const auto& [spec, is_a] = found;
    const std::string module = spec->hf.substr(0, spec->hf.size() - 7);
    if (t.shape.size() != 2 || !info(t.dtype).decode)
      return bad_input("tensor \"{}\" has {} dimensions, expected a matrix of floats", t.name,
                       t.shape.size());
    Tensor stored = Tensor::borrow(t.dtype, t.shape, t.data.data(), nullptr).clone();
    if (is_block_format(t.dtype)) stored = stored.to_f32();
    if (!is_a && stored.rows() != spec->shape[0])
      return with_hint(bad_input("tensor \"{}\" has {} rows, the base's matrix {}", t.name,
                                 stored.rows(), spec->shape[0]),
                       "Use the base model that the adapter was trained on");
    if (!is_a && spec->form.from_gguf) stored = spec->form.from_gguf(stored, spec->form.n);
    LoraAdapter::Pair& pair = adapter.modules[module];
    (is_a ? pair.A : pair.B) = std::move(stored);
  }
  return adapter;
}

// What llama.cpp divides by the rank. With rslora its alpha / R must come to alpha / sqrt(R).
float written_alpha(const LoraAdapter& adapter) {
  const auto rank = static_cast<float>(adapter.rank);
  return adapter.rslora ? adapter.alpha * std::sqrt(rank) : adapter.alpha;
}

// B as written: rows in GGUF's order, and scaled where alpha / R is not the module's scale.
Tensor written_b(const LoraAdapter& adapter, const LoraAdapter::Pair& pair, const GgufForm& form) {
  const bool same = pair.alpha.value_or(adapter.alpha) == adapter.alpha &&
                    (!adapter.rslora || pair.rank() == adapter.rank);
  Tensor b = pair.B;
  if (!same) {
    b = b.to_f32().clone();
    const float theirs = written_alpha(adapter) / static_cast<float>(pair.rank());
    for (int64_t i = 0; i < b.size(); ++i) b.data<float>()[i] *= adapter.scale(pair) / theirs;
  }
  return form.to_gguf ? form.to_gguf(b, form.n) : b;
}

void add_metadata(GgufWriter& out, const LoraAdapter& adapter, const ModelConfig& base) {
  out.add("general.architecture", gguf_architecture(base));
  out.add("general.type", "adapter");
  out.add("adapter.type", "lora");
  if (!adapter.base_model.empty()) {
    out.add("general.base_model.count", uint32_t{1});
    out.add("general.base_model.0.name", adapter.base_model);
  }
  out.add("adapter.lora.alpha", written_alpha(adapter));
  out.add("sllm.lora.rank", static_cast<uint32_t>(adapter.rank));
  if (!adapter.rslora) return;
  out.add("sllm.lora.use_rslora", true);
  out.add("sllm.lora.alpha", adapter.alpha);
}

}  // namespace

bool is_gguf_adapter(const GgufFile& file) {
  const auto type = file.string("general.type");
  return type.ok() && *type == "adapter";
}

Result<std::string> gguf_lora_base(const GgufFile& file) {
  SLLM_TRY(const auto base, file.string("general.base_model.0.name"));
  return base.value_or("");
}

Result<LoraAdapter> read_gguf_lora(const GgufFile& file, const ModelConfig& base,
                                   const std::string& name) {
  if (!is_gguf_adapter(file))
    return with_hint(bad_input("{}: is not a LoRA adapter (general.type is not \"adapter\")", name),
                     "Give a PEFT folder, an mlx-lm folder or a GGUF LoRA");
  SLLM_TRY(LoraAdapter adapter, read_tensors(file, base).context(name));
  SLLM_OK(check_adapter(adapter, name));
  SLLM_OK(read_numbers(file, adapter).context(name));
  return adapter;
}

Status write_gguf_lora(const fs::path& path, const LoraAdapter& adapter, const ModelConfig& base) {
  if (adapter.alpha == 0)
    return bad_input("{}: alpha is 0, which llama.cpp takes for no scaling at all", path.string());
  GgufWriter out;
  add_metadata(out, adapter, base);
  const std::vector<TensorSpec> specs = expected_tensors(base);
  std::vector<Tensor> tensors;
  for (const auto& [module, pair] : adapter.modules) {
    if (pair.magnitude.defined())
      return with_hint(bad_input("{}: a GGUF LoRA cannot hold DoRA's magnitudes", path.string()),
                       "Merge the adapter into its base: sllm merge");
    const TensorSpec* spec = find(specs, &TensorSpec::hf, module + ".weight");
    if (!spec || spec->shape.size() != 2 || pair.B.rows() != spec->shape[0])
      return with_hint(
          bad_input("{}: the base, a {} model, cannot have {} with {} rows", path.string(),
                    base.architecture->model_type, module, pair.B.rows()),
          "Use the base model that the adapter was trained on");
    tensors.push_back(pair.A);
    tensors.push_back(written_b(adapter, pair, spec->form));
    for (size_t half = 0; half < 2; ++half) {
      const Tensor& t = tensors[tensors.size() - 2 + half];
      out.add_tensor(spec->gguf + std::string(kHalves[half]), t.dtype(), t.shape());
    }
  }
  SLLM_OK(out.write(path, [&](size_t i) -> Result<Tensor> { return tensors[i]; }));
  return ok();
}

}  // namespace sllm
