// A configuration's fields under the names of two formats. An architecture describes its
// configuration once, field by field; the same description reads and writes config.json and GGUF
// metadata. The first error is kept and everything after it is skipped, so that descriptions stay
// plain.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/json.h"
#include "io/model_config.h"

namespace sllm {

// Where a field stands: config.json's key, and GGUF's without the architecture before it
// ("block_count" for "llama.block_count"). nullptr: not in that format, and left alone there.
struct FieldKey {
  const char* hf;
  const char* gguf;
};

class ConfigFields {
 public:
  static ConfigFields read_hf(const JsonFields& json);
  static ConfigFields write_hf(nlohmann::ordered_json& json);
  static ConfigFields read_gguf(const GgufFile& file, std::string architecture);
  static ConfigFields write_gguf(GgufWriter& file, std::string architecture);

  bool reading() const { return json_in_ || gguf_in_; }
  bool hf() const { return json_in_ || json_out_; }
  bool gguf() const { return !hf(); }

  // Must be there.
  void integer(FieldKey key, int64_t& value);
  void number(FieldKey key, float& value);
  // `otherwise` when absent; GGUF leaves it out when it is `otherwise`.
  void integer(FieldKey key, int64_t& value, int64_t otherwise);
  void number(FieldKey key, float& value, double otherwise);
  void flag(FieldKey key, bool& value, bool otherwise);
  void text(FieldKey key, std::string& value, const char* otherwise);
  // Hugging Face's name of the activation; GGUF has none, there the architecture implies `implied`.
  void activation(const char* hf_key, Activation& value, Activation implied);
  // Lists. config.json: numbers; GGUF: an i32 or f32 array. Empty when absent.
  void integers(FieldKey key, std::vector<int64_t>& values);
  void numbers(FieldKey key, std::vector<float>& values);
  // GGUF alone: a list of bool.
  void flags(const char* gguf_key, std::vector<bool>& values);
  // GGUF alone: a whole number of every layer; in the file one for all where they are the same.
  void by_layer(const char* gguf_key, std::vector<int64_t>& values, int64_t layers);
  // A tensor of GGUF that belongs to the configuration (rope_freqs.weight).
  void gguf_numbers(const char* tensor, std::vector<float>& values);

  // For what needs more than one field; null when this is another use.
  const JsonFields* in() const { return json_in_; }
  nlohmann::ordered_json* out() { return json_out_; }
  bool has(FieldKey key) const;
  bool has_tensor(const char* gguf_name) const;  // false unless reading GGUF

  std::string name_of(FieldKey key) const;  // as messages call it
  void fail(Error error);                   // while reading config.json, with its name before it
  const Status& status() const { return status_; }
  // What gguf_numbers() was given while writing: the extra tensors.
  std::vector<std::pair<std::string, std::vector<float>>> take_tensors() {
    return std::move(tensors_);
  }

 private:
  ConfigFields() = default;
  std::string full(const char* key) const { return architecture_ + "." + key; }
  bool skips(FieldKey key) const { return !status_.ok() || !(hf() ? key.hf : key.gguf); }
  template <class T>
  void take(Result<std::optional<T>> found, FieldKey key, auto& value, bool needed);

  const JsonFields* json_in_ = nullptr;
  nlohmann::ordered_json* json_out_ = nullptr;
  const GgufFile* gguf_in_ = nullptr;
  GgufWriter* gguf_out_ = nullptr;
  std::string architecture_;
  std::vector<std::pair<std::string, std::vector<float>>> tensors_;
  Status status_ = ok();
};

// The fields of nearly every decoder: widths, layers, heads, vocabulary, context, norm epsilon.
struct DecoderDefaults {
  double norm_eps = 1e-6;
  bool tied = false;       // tie_word_embeddings when config.json does not say
  int64_t head_width = 0;  // likewise head_dim; 0: D / H
  Activation activation = Activation::kSilu;
  const char* activation_key = "hidden_act";
  const char* layers_key = "num_hidden_layers";
  FieldKey mlp{"intermediate_size", "feed_forward_length"};
  FieldKey kv_heads{"num_key_value_heads", "attention.head_count_kv"};
  FieldKey epsilon{"rms_norm_eps", "attention.layer_norm_rms_epsilon"};
};
void decoder_fields(ConfigFields& fields, ModelConfig& config,
                    const DecoderDefaults& defaults = {});
// head_dim, of which GGUF keeps both key and value length; D / H when absent.
void head_width_fields(ConfigFields& fields, ModelConfig& config, int64_t otherwise = 0);
// Rotary positions: theta, the rotated share of a head, scaling (io/rope_fields.cc). After
// decoder_fields.
struct RopeDefaults {
  const char* theta_key = "rope_theta";
  const char* partial_key = "partial_rotary_factor";
  float partial = 1;  // rotated share of a head when config.json does not say
};
void rope_fields(ConfigFields& fields, ModelConfig& config, const RopeDefaults& defaults = {});
// One object of config.json's rope_parameters or rope_scaling.
void read_rope_object(ConfigFields& fields, const nlohmann::json& object, const std::string& where,
                      Rope& rope);
// sliding_window; 0 and null: none.
void window_field(ConfigFields& fields, ModelConfig& config);
// Qwen: the layers from max_window_layers on slide, when use_sliding_window says so.
void upper_window_fields(ConfigFields& fields, ModelConfig& config);
// All layers slide but every `period`-th (config.json may say otherwise, in layer_types or under
// pattern_key).
void alternating_layer_fields(ConfigFields& fields, ModelConfig& config, const char* pattern_key,
                              int64_t period);
// config.json's layer_types of "full_attention" and one other kind; `kinds` stays as it is when
// layer_types is absent.
void hybrid_layer_fields(ConfigFields& fields, ModelConfig& config, LayerKind other);
// attention_bias: on q, k, v and o.
void attention_bias_fields(ConfigFields& fields, ModelConfig& config);

}  // namespace sllm
