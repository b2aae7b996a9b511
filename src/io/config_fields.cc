#include "io/config_fields.h"

#include <algorithm>

namespace sllm {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Decimal as short as float32 allows: 1e-5, not 9.999999747378752e-06.
// The shortest decimal that is the same float, with a point where it is whole: readers of
// config.json that check types take 4 for an integer.
ordered_json shortest(float x) {
  std::string text = fmt::format("{}", x);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return ordered_json::parse(text);
}

struct ActivationName {
  const char* name;
  Activation activation;
};
// The first of each is the one that is written.
constexpr ActivationName kActivations[] = {
    {"silu", Activation::kSilu},         {"swish", Activation::kSilu},
    {"gelu", Activation::kGelu},         {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"gelu_new", Activation::kGeluTanh}, {"gelu_fast", Activation::kGeluTanh},
};

}  // namespace

ConfigFields ConfigFields::read_hf(const JsonFields& json) {
  ConfigFields f;
  f.json_in_ = &json;
  return f;
}
ConfigFields ConfigFields::write_hf(ordered_json& json) {
  ConfigFields f;
  f.json_out_ = &json;
  return f;
}
ConfigFields ConfigFields::read_gguf(const GgufFile& file, std::string architecture) {
  ConfigFields f;
  f.gguf_in_ = &file, f.architecture_ = std::move(architecture);
  return f;
}
ConfigFields ConfigFields::write_gguf(GgufWriter& file, std::string architecture) {
  ConfigFields f;
  f.gguf_out_ = &file, f.architecture_ = std::move(architecture);
  return f;
}

std::string ConfigFields::name_of(FieldKey key) const {
  return hf() ? key.hf : key.gguf ? full(key.gguf) : "";
}

void ConfigFields::fail(Error error) {
  if (!status_.ok()) return;
  if (json_in_) error = std::move(error).context(json_in_->file());
  status_ = std::move(error);
}

bool ConfigFields::has(FieldKey key) const {
  if (json_in_) return key.hf && json_in_->has(key.hf);
  return gguf_in_ && key.gguf && gguf_in_->has(full(key.gguf));
}

bool ConfigFields::has_tensor(const char* name) const {
  return gguf_in_ && std::ranges::find(gguf_in_->tensors(), name, &GgufTensor::name) !=
                         gguf_in_->tensors().end();
}

template <class T>
void ConfigFields::take(Result<std::optional<T>> found, FieldKey key, auto& value, bool needed) {
  if (!found.ok()) {
    if (status_.ok()) status_ = std::move(found).error();
  } else if (*found) {
    value = static_cast<std::decay_t<decltype(value)>>(**found);
  } else if (needed && hf()) {
    fail(bad_input("\"{}\" is missing", key.hf));
  } else if (needed) {
    fail(bad_input("the metadata key \"{}\" is missing", full(key.gguf)));
  }
}

void ConfigFields::integer(FieldKey key, int64_t& value) {
  if (skips(key)) return;
  if (json_in_) take(json_in_->integer(key.hf), key, value, true);
  if (gguf_in_) take(gguf_in_->integer(full(key.gguf)), key, value, true);
  if (json_out_) (*json_out_)[key.hf] = value;
  if (gguf_out_) gguf_out_->add(full(key.gguf), static_cast<uint32_t>(value));
}

void ConfigFields::number(FieldKey key, float& value) {
  if (skips(key)) return;
  if (json_in_) take(json_in_->number(key.hf), key, value, true);
  if (gguf_in_) take(gguf_in_->number(full(key.gguf)), key, value, true);
  if (json_out_) (*json_out_)[key.hf] = shortest(value);
  if (gguf_out_) gguf_out_->add(full(key.gguf), value);
}

void ConfigFields::integer(FieldKey key, int64_t& value, int64_t otherwise) {
  if (skips(key)) return;
  if (reading()) value = otherwise;
  if (json_in_) take(json_in_->integer(key.hf), key, value, false);
  if (gguf_in_) take(gguf_in_->integer(full(key.gguf)), key, value, false);
  if (json_out_ || (gguf_out_ && value != otherwise)) integer(key, value);
}

void ConfigFields::number(FieldKey key, float& value, double otherwise) {
  if (skips(key)) return;
  if (reading()) value = static_cast<float>(otherwise);
  if (json_in_) take(json_in_->number(key.hf), key, value, false);
  if (gguf_in_) take(gguf_in_->number(full(key.gguf)), key, value, false);
  if (json_out_ || (gguf_out_ && value != static_cast<float>(otherwise))) number(key, value);
}

void ConfigFields::flag(FieldKey key, bool& value, bool otherwise) {
  if (skips(key)) return;
  if (reading()) value = otherwise;
  if (json_in_) take(json_in_->boolean(key.hf), key, value, false);
  if (gguf_in_) take(gguf_in_->boolean(full(key.gguf)), key, value, false);
  if (json_out_) (*json_out_)[key.hf] = value;
  if (gguf_out_ && value != otherwise) gguf_out_->add(full(key.gguf), value);
}

void ConfigFields::text(FieldKey key, std::string& value, const char* otherwise) {
  if (skips(key)) return;
  if (reading()) value = otherwise;
  if (json_in_) take(json_in_->string(key.hf), key, value, false);
  if (gguf_in_) take(gguf_in_->string(full(key.gguf)), key, value, false);
  if (json_out_) (*json_out_)[key.hf] = value;
  if (gguf_out_ && value != otherwise) gguf_out_->add(full(key.gguf), value);
}

void ConfigFields::activation(const char* hf_key, Activation& value, Activation implied) {
  if (!status_.ok()) return;
  if (reading()) value = implied;
  if (json_out_)
    (*json_out_)[hf_key] =
        std::ranges::find(kActivations, value, &ActivationName::activation)->name;
  if (!json_in_) return;
  std::string name;
  take(json_in_->string(hf_key), {hf_key, nullptr}, name, false);
  if (!status_.ok() || name.empty()) return;
  for (const ActivationName& known : kActivations)
    if (name == known.name) {
      value = known.activation;
      return;
    }
  fail(
      bad_input("{} \"{}\" is not supported (silu, gelu and gelu_pytorch_tanh are)", hf_key, name));
}

void ConfigFields::integers(FieldKey key, std::vector<int64_t>& values) {
  if (skips(key)) return;
  if (reading()) values.clear();
  if (json_in_) {
    const json* list = json_in_->find(key.hf);
    if (!list) return;
    const auto whole = [](const json& x) { return x.is_number_integer(); };
    if (!list->is_array() || !std::ranges::all_of(*list, whole)) {
      status_ = json_in_->wrong_type(key.hf, "an array of whole numbers");
      return;
    }
    for (const json& x : *list) values.push_back(x.get<int64_t>());
  }
  if (gguf_in_) {
    auto found = gguf_in_->integers(full(key.gguf));
    if (!found.ok())
      status_ = std::move(found).error();
    else if (*found)
      values.assign((*found)->begin(), (*found)->end());
  }
  if (json_out_) (*json_out_)[key.hf] = values;
  if (gguf_out_ && !values.empty()) {
    const std::vector<int32_t> narrow(values.begin(), values.end());
    gguf_out_->add(full(key.gguf), std::span<const int32_t>(narrow));
  }
}

void ConfigFields::numbers(FieldKey key, std::vector<float>& values) {
  if (skips(key)) return;
  if (reading()) values.clear();
  if (json_in_) {
    const json* list = json_in_->find(key.hf);
    if (!list) return;
    const auto number = [](const json& x) { return x.is_number(); };
    if (!list->is_array() || !std::ranges::all_of(*list, number)) {
      status_ = json_in_->wrong_type(key.hf, "an array of numbers");
      return;
    }
    for (const json& x : *list) values.push_back(x.get<float>());
  }
  if (gguf_in_) {
    auto found = gguf_in_->floats(full(key.gguf));
    if (!found.ok())
      status_ = std::move(found).error();
    else if (*found)
      values = std::move(**found);
  }
  if (json_out_) {
    ordered_json list = ordered_json::array();
    for (const float x : values) list.push_back(shortest(x));
    (*json_out_)[key.hf] = std::move(list);
  }
  if (gguf_out_ && !values.empty()) gguf_out_->add(full(key.gguf), std::span<const float>(values));
}

void ConfigFields::flags(const char* key, std::vector<bool>& values) {
  if (!status_.ok() || hf()) return;
  if (gguf_out_) return values.empty() ? void() : gguf_out_->add(full(key), values);
  auto found = gguf_in_->booleans(full(key));
  if (!found.ok())
    status_ = std::move(found).error();
  else
    values = std::move(*found).value_or(std::vector<bool>());
}

void ConfigFields::by_layer(const char* key, std::vector<int64_t>& values, int64_t layers) {
  if (!status_.ok() || hf()) return;
  const FieldKey field{nullptr, key};
  if (gguf_out_) {
    const bool same = std::ranges::all_of(values, [&](int64_t x) { return x == values[0]; });
    return same ? integer(field, values[0]) : integers(field, values);
  }
  const auto found = gguf_in_->metadata().find(full(key));
  if (found != gguf_in_->metadata().end() && found->second.type == GgufType::kArray) {
    integers(field, values);
    if (status_.ok() && std::ssize(values) != layers)
      fail(bad_input("{} lists {} layers of {}", full(key), values.size(), layers));
    return;
  }
  int64_t all = 0;
  integer(field, all);
  if (status_.ok()) values.assign(static_cast<size_t>(std::clamp<int64_t>(layers, 0, 512)), all);
}

void ConfigFields::gguf_numbers(const char* name, std::vector<float>& values) {
  if (!status_.ok() || hf()) return;
  if (gguf_out_) {
    if (!values.empty()) tensors_.emplace_back(name, values);
    return;
  }
  values.clear();
  const auto tensor = std::ranges::find(gguf_in_->tensors(), name, &GgufTensor::name);
  if (tensor == gguf_in_->tensors().end()) return;
  if (tensor->dtype != DType::kF32 || tensor->shape.size() != 1) {
    fail(bad_input("the tensor \"{}\" is not a list of F32", name));
    return;
  }
  values.resize(tensor->data.size() / sizeof(float));
  std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
}

void decoder_fields(ConfigFields& f, ModelConfig& c, const DecoderDefaults& defaults) {
  f.integer({"hidden_size", "embedding_length"}, c.D);
  f.integer({defaults.layers_key, "block_count"}, c.L);
  f.integer({"num_attention_heads", "attention.head_count"}, c.H);
  f.integer(defaults.kv_heads, c.Hk, f.reading() ? c.H : -1);
  f.integer(defaults.mlp, c.F);
  f.integer({"max_position_embeddings", "context_length"}, c.max_context);
  f.integer({"vocab_size", f.reading() ? nullptr : "vocab_size"}, c.V);  // GGUF: the embedding's
  f.number({defaults.epsilon.hf, nullptr}, c.norm_eps, defaults.norm_eps);
  f.number({nullptr, defaults.epsilon.gguf}, c.norm_eps);
  f.activation(defaults.activation_key, c.activation, defaults.activation);
  f.flag({"tie_word_embeddings", nullptr}, c.tied_embeddings, defaults.tied);
  head_width_fields(f, c, defaults.head_width);
}

void head_width_fields(ConfigFields& f, ModelConfig& c, int64_t otherwise) {
  if (f.reading()) {
    const FieldKey width{"head_dim", "attention.key_length"};
    if (otherwise == 0 || f.gguf()) otherwise = c.H > 0 ? c.D / c.H : 0;
    if (f.hf() && !f.has(width) && c.H > 0 && otherwise * c.H != c.D && c.D % c.H != 0)
      f.fail(bad_input("hidden_size {} is not a multiple of num_attention_heads {}", c.D, c.H));
    f.integer(width, c.Dh, otherwise);
    int64_t value_width = c.Dh;
    const FieldKey value{nullptr, "attention.value_length"};
    f.integer(value, value_width, c.Dh);
    if (value_width != c.Dh)
      f.fail(
          bad_input("{} is {}, expected the key length {}", f.name_of(value), value_width, c.Dh));
    return;
  }
  f.integer({"head_dim", nullptr}, c.Dh);
  if (c.Dh * c.H == c.D) return;
  f.integer({nullptr, "attention.key_length"}, c.Dh);
  f.integer({nullptr, "attention.value_length"}, c.Dh);
}

}  // namespace sllm
