// A model written as GGUF: metadata, tokenizer and tensors under ggml's names and row order.
#include "io/gguf_model.h"
#include "io/gguf_writer.h"
#include "io/model_source.h"
#include "io/pooling.h"

namespace sllm {
namespace {

// general.file_type, llama.cpp's enum llama_ftype. A mix is named by its most frequent type; K
// mixes with Q6_K beside it are the "M" ones.
uint32_t file_type_of(const std::vector<TensorInfo>& tensors) {
  std::map<DType, int> count;
  for (const TensorInfo& t : tensors)
    if (t.shape.size() > 1 && t.name.starts_with("model.layers.")) ++count[t.dtype];
  DType most = DType::kF32;
  for (const auto& [type, n] : count)
    if (n > count[most]) most = type;
  const bool has_q6 = count[DType::kQ6_K] > 0;
  switch (most) {
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return count[DType::kQ4_K] > 0 ? 12 : count[DType::kQ5_K] > 0 ? 13 : 11;
    case DType::kIQ4_NL:
      return 25;
    case DType::kIQ4_XS:
      return 30;
    case DType::kMXFP4:
      return 38;
    case DType::kQ4_K:
      return has_q6 ? 15 : 14;
    case DType::kQ5_K:
      return has_q6 ? 17 : 16;
    case DType::kQ6_K:
      return 18;
    case DType::kBF16:
      return 32;
    default:
      return 0;
  }
}

void add_general(GgufWriter& out, const ModelToWrite& model, const std::string& architecture) {
  out.add("general.architecture", architecture);
  out.add("general.type", "model");
  static constexpr std::pair<const char*, const char*> kKeys[] = {
      {"name", "general.name"},
      {"license", "general.license"},
      {"license_link", "general.license.link"},
      {"organization", "general.organization"},
      {"basename", "general.basename"},
      {"size_label", "general.size_label"},
      {"finetune", "general.finetune"},
      {"description", "general.description"},
      {"url", "general.url"},
      {"source_url", "general.source.url"},
  };
  for (const auto& [from, to] : kKeys)
    if (const auto it = model.description.find(from); it != model.description.end())
      out.add(to, it->second);
  if (!model.description.contains("name") && !model.config.name.empty())
    out.add("general.name", model.config.name);
  for (const auto& [key, value] : model.description) {
    if (key.starts_with("sllm.") || key == "quantize.imatrix.file" ||
        key == "quantize.imatrix.dataset")
      out.add(key, value);
    if (key == "quantize.imatrix.entries_count" || key == "quantize.imatrix.chunks_count")
      out.add(key, static_cast<uint32_t>(std::stoul(value)));
  }
  out.add("general.file_type",
          model.gguf_file_type ? *model.gguf_file_type : file_type_of(model.tensors));
  out.add("general.quantization_version", uint32_t{2});
}

void add_tokenizer(GgufWriter& out, const TokenizerSource::Gguf& t, const ModelToWrite& model) {
  out.add("tokenizer.ggml.model", t.model);
  if (!t.pre.empty()) out.add("tokenizer.ggml.pre", t.pre);
  out.add("tokenizer.ggml.tokens", std::span<const std::string>(t.tokens));
  if (!t.scores.empty()) out.add("tokenizer.ggml.scores", std::span<const float>(t.scores));
  if (!t.types.empty()) out.add("tokenizer.ggml.token_type", std::span<const int32_t>(t.types));
  if (!t.merges.empty()) out.add("tokenizer.ggml.merges", std::span<const std::string>(t.merges));
  const std::pair<const char*, int32_t> ids[] = {
      {"tokenizer.ggml.bos_token_id", t.bos_id},
      {"tokenizer.ggml.eos_token_id", t.eos_id},
      {"tokenizer.ggml.eot_token_id", t.eot_id},
      {"tokenizer.ggml.unknown_token_id", t.unknown_id},
      {"tokenizer.ggml.padding_token_id", t.padding_id},
      {"tokenizer.ggml.seperator_token_id", t.separator_id},  // llama.cpp's spelling
      {"tokenizer.ggml.mask_token_id", t.mask_id},
  };
  for (const auto& [key, id] : ids)
    if (id >= 0) out.add(key, static_cast<uint32_t>(id));
  if (t.add_bos) out.add("tokenizer.ggml.add_bos_token", *t.add_bos);
  if (t.add_eos) out.add("tokenizer.ggml.add_eos_token", *t.add_eos);
  if (t.add_space_prefix) out.add("tokenizer.ggml.add_space_prefix", *t.add_space_prefix);
  if (t.remove_extra_spaces)
    out.add("tokenizer.ggml.remove_extra_whitespaces", *t.remove_extra_spaces);
  if (!t.precompiled_charsmap.empty())
    out.add("tokenizer.ggml.precompiled_charsmap",
            std::as_bytes(std::span<const char>(t.precompiled_charsmap)));
  if (!t.steps.empty()) out.add("sllm.tokenizer.steps", t.steps);
  if (!model.chat_template.empty()) out.add("tokenizer.chat_template", model.chat_template);
  // GGUF has room for one end token; ours keeps the others.
  if (model.config.eos_ids.size() > 1)
    out.add("sllm.eos_token_ids", std::span<const int32_t>(model.config.eos_ids));
}

}  // namespace

Result<fs::path> write_gguf(const fs::path& path, const ModelToWrite& model) {
  return write_gguf(path, model, [](const Tensor& tensor, const TensorInfo& info) {
    return Result<Tensor>(tensor.to(info.dtype));
  });
}

Result<fs::path> write_gguf(const fs::path& path, const ModelToWrite& model,
                            const GgufEncode& encode) {
  SLLM_OK(validate(model.config));
  SLLM_OK(check_tensors(model.config, model.tensors));
  ModelConfig config = model.config;  // the description takes what it could also fill
  const std::string architecture(config.architecture->gguf);
  GgufWriter out;
  add_general(out, model, architecture);
  ConfigFields fields = ConfigFields::write_gguf(out, architecture);
  config.architecture->fields(fields, config);
  pooling_fields(fields, config);
  SLLM_OK(fields.status());
  if (config.token_types > 0)
    out.add("tokenizer.ggml.token_type_count", static_cast<uint32_t>(config.token_types));
  out.add(kModelTypeKey, config.architecture->model_type);
  SLLM_CHECK(model.tokenizer.gguf ||
                 (model.tokenizer.tokenizer_json.empty() && model.tokenizer.files.empty()),
             "write_gguf: the tokenizer is not in GGUF's form");
  if (model.tokenizer.gguf) add_tokenizer(out, *model.tokenizer.gguf, model);
  SLLM_OK(add_gguf_extras(out, model.extras));
  std::map<std::string, TensorSpec> specs;
  for (TensorSpec& spec : expected_tensors(config)) specs[spec.hf] = std::move(spec);
  std::vector<TensorInfo> stored = model.tensors;
  for (TensorInfo& t : stored) {
    // llama.cpp wants norms, biases and convolutions in F32.
    if (t.shape.size() != 2) t.dtype = DType::kF32;
    const TensorSpec& spec = specs[t.name];
    out.add_tensor(spec.gguf, t.dtype, spec.gguf_shape.empty() ? t.shape : spec.gguf_shape);
  }
  const auto extra = fields.take_tensors();
  for (const auto& [name, values] : extra) out.add_tensor(name, DType::kF32, {std::ssize(values)});
  return out.write(
      path,
      [&](size_t i) -> Result<Tensor> {
        if (i >= stored.size()) {
          const auto& values = extra[i - stored.size()].second;
          return Tensor::from(values, {std::ssize(values)});
        }
        SLLM_TRY(const Tensor t, model.tensor(model.tensors[i]));
        const GgufForm& form = specs[stored[i].name].form;
        // Columns move before their blocks are made, whole rows when they are small.
        if (form.columns > 0)
          return encode(form.to_gguf(form.splits(t.dtype()) ? t.to_f32() : t, form.n), stored[i]);
        SLLM_TRY(const Tensor encoded, encode(t, stored[i]));
        return form.to_gguf ? form.to_gguf(encoded, form.n) : encoded;
      },
      model.max_file_bytes);
}

}  // namespace sllm
