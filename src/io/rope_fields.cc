// Rotary positions in config.json and in GGUF. transformers 5 keeps all of it in rope_parameters;
// transformers 4 kept theta in rope_theta and the rest in rope_scaling, whose type was called
// "type" before it was "rope_type". We read both and write the older form, which both read. GGUF
// has keys for linear and yarn; Llama 3.1's scaling and longrope's factors are tensors there.
#include <cmath>
#include <utility>

#include "io/config_fields.h"
#include "io/gguf_rope.h"

namespace sllm {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

void read_hf(ConfigFields& f, ModelConfig& c, const RopeDefaults& defaults) {
  Rope& rope = c.rope;
  f.number({defaults.theta_key, nullptr}, rope.theta, rope.theta);
  float partial = defaults.partial;
  f.number({defaults.partial_key, nullptr}, partial, partial);
  int64_t original = 0;  // Phi keeps it beside rope_scaling
  f.integer({"original_max_position_embeddings", nullptr}, original, 0);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* object = f.in()->find(key);
    if (!object) continue;
    if (object->is_object() && object->contains("partial_rotary_factor") &&
        (*object)["partial_rotary_factor"].is_number())
      partial = (*object)["partial_rotary_factor"].get<float>();
    read_rope_object(f, *object, key, rope);
  }
  if (!(partial > 0 && partial <= 1))
    f.fail(bad_input("partial_rotary_factor is {}, expected above 0 and at most 1", partial));
  if (partial < 1) rope.dims = static_cast<int64_t>(static_cast<float>(c.Dh) * partial);
  if (rope.original_context == 0) rope.original_context = original;
  if (rope.type == "llama3" && rope.original_context == 0) rope.original_context = 8192;
  if (rope.type == "yarn" && rope.original_context == 0) rope.original_context = c.max_context;
  // longrope's factor is how far the context was stretched.
  if (rope.type == "longrope" && rope.original_context > 0)
    rope.factor = static_cast<float>(c.max_context) / static_cast<float>(rope.original_context);
}

void write_hf(ConfigFields& f, ModelConfig& c, const RopeDefaults& defaults) {
  Rope& rope = c.rope;
  f.number({defaults.theta_key, nullptr}, rope.theta);
  if (c.rope_dims() < c.Dh || defaults.partial < 1) {
    float partial = static_cast<float>(c.rope_dims()) / static_cast<float>(c.Dh);
    f.number({defaults.partial_key, nullptr}, partial);
  }
  if (rope.type == "none") return;
  ordered_json object = {{"rope_type", rope.type}};
  ConfigFields to = ConfigFields::write_hf(object);
  if (rope.type != "longrope") to.number({"factor", nullptr}, rope.factor);
  if (rope.type == "llama3") {
    to.number({"low_freq_factor", nullptr}, rope.low_freq_factor);
    to.number({"high_freq_factor", nullptr}, rope.high_freq_factor);
  }
  if (rope.type == "yarn") {
    to.number({"beta_fast", nullptr}, rope.beta_fast);
    to.number({"beta_slow", nullptr}, rope.beta_slow);
    if (rope.mscale > 0) to.number({"mscale", nullptr}, rope.mscale);
    if (rope.mscale_all_dim > 0) to.number({"mscale_all_dim", nullptr}, rope.mscale_all_dim);
    if (!rope.truncate) to.flag({"truncate", nullptr}, rope.truncate, true);
  }
  if (rope.type == "longrope") {
    to.numbers({"short_factor", nullptr}, rope.short_factor);
    to.numbers({"long_factor", nullptr}, rope.long_factor);
  }
  if (rope.type != "linear") {
    to.integer({"original_max_position_embeddings", nullptr}, rope.original_context);
  }
  if (rope.attention_factor > 0) to.number({"attention_factor", nullptr}, rope.attention_factor);
  (*f.out())["rope_scaling"] = std::move(object);
}

// What the divisors were made of: our keys, so that a folder comes back as it was. From a file
// without them the numbers are found by fitting.
void llama3_fields(ConfigFields& f, Rope& rope) {
  f.number({nullptr, "rope.llama3.factor"}, rope.factor);
  f.number({nullptr, "rope.llama3.low_freq_factor"}, rope.low_freq_factor);
  f.number({nullptr, "rope.llama3.high_freq_factor"}, rope.high_freq_factor);
  f.integer({nullptr, "rope.llama3.original_context_length"}, rope.original_context);
}

void read_gguf(ConfigFields& f, ModelConfig& c) {
  Rope& rope = c.rope;
  const FieldKey dims{nullptr, "rope.dimension_count"};
  f.integer(dims, rope.dims, c.Dh);
  if (f.status().ok() && c.Dh > 0 && (rope.dims < 1 || rope.dims > c.Dh))
    f.fail(
        bad_input("{} is {}, expected 2 to the head's width {}", f.name_of(dims), rope.dims, c.Dh));
  if (rope.dims == c.Dh) rope.dims = 0;
  f.number({nullptr, "rope.freq_base"}, rope.theta, rope.theta);
  f.text({nullptr, "rope.scaling.type"}, rope.type, "none");
  f.number({nullptr, "rope.scaling.factor"}, rope.factor, 1);
  if (f.has({nullptr, "rope.scale_linear"})) {  // the older spelling
    rope.type = "linear";
    f.number({nullptr, "rope.scale_linear"}, rope.factor, 1);
  }
  f.number({nullptr, "rope.scaling.attn_factor"}, rope.attention_factor, 0);
  f.integer({nullptr, "rope.scaling.original_context_length"}, rope.original_context, 0);
  f.number({nullptr, "rope.scaling.yarn_beta_fast"}, rope.beta_fast, 32);
  f.number({nullptr, "rope.scaling.yarn_beta_slow"}, rope.beta_slow, 1);
  f.number({nullptr, "rope.scaling.yarn_log_multiplier"}, rope.mscale_all_dim, 0);
  // Ours: where there is none, llama.cpp takes 1 beside a multiplier.
  f.number({nullptr, "rope.scaling.yarn_mscale"}, rope.mscale, rope.mscale_all_dim > 0 ? 1 : 0);
  f.gguf_numbers("rope_factors_short.weight", rope.short_factor);
  f.gguf_numbers("rope_factors_long.weight", rope.long_factor);
  if (!rope.short_factor.empty()) {
    rope.type = "longrope";
    if (rope.original_context > 0)
      rope.factor = static_cast<float>(c.max_context) / static_cast<float>(rope.original_context);
    // What the formula gives is not kept, so that config.json comes back as it was.
    const float told = std::exchange(rope.attention_factor, 0.0f), formula = rope.scale_of_angles();
    if (std::abs(told - formula) > 1e-6f * formula) rope.attention_factor = told;
  }
  if (rope.type == "none") {
    const Rope plain{.theta = rope.theta, .dims = rope.dims};
    rope = plain;
  }
  std::vector<float> divisors;
  f.gguf_numbers("rope_freqs.weight", divisors);
  if (!f.status().ok() || divisors.empty()) return;
  if (f.has({nullptr, "rope.llama3.factor"})) {
    rope.type = "llama3";
    return llama3_fields(f, rope);
  }
  const auto scaling = llama3_from_divisors(c, divisors);
  if (!scaling) return f.fail(bad_input("rope_freqs.weight is not a llama3 frequency scaling"));
  rope = *scaling;
}

void write_gguf(ConfigFields& f, ModelConfig& c) {
  Rope& rope = c.rope;
  int64_t dims = c.rope_dims();
  f.integer({nullptr, "rope.dimension_count"}, dims);
  f.number({nullptr, "rope.freq_base"}, rope.theta);
  if (rope.type == "llama3") {
    std::vector<float> divisors = llama3_divisors(c);
    f.gguf_numbers("rope_freqs.weight", divisors);
    return llama3_fields(f, rope);
  }
  f.text({nullptr, "rope.scaling.type"}, rope.type, "none");
  if (rope.type == "linear" || rope.type == "yarn")
    f.number({nullptr, "rope.scaling.factor"}, rope.factor);
  // llama.cpp has longrope's formula in its converter, yarn's in the program.
  float scale = rope.type == "longrope" ? rope.scale_of_angles() : rope.attention_factor;
  f.number({nullptr, "rope.scaling.attn_factor"}, scale, 0);
  f.integer({nullptr, "rope.scaling.original_context_length"}, rope.original_context, 0);
  f.number({nullptr, "rope.scaling.yarn_beta_fast"}, rope.beta_fast, 32);
  f.number({nullptr, "rope.scaling.yarn_beta_slow"}, rope.beta_slow, 1);
  f.number({nullptr, "rope.scaling.yarn_log_multiplier"}, rope.mscale_all_dim, 0);
  f.number({nullptr, "rope.scaling.yarn_mscale"}, rope.mscale, rope.mscale_all_dim > 0 ? 1 : 0);
  f.gguf_numbers("rope_factors_short.weight", rope.short_factor);
  f.gguf_numbers("rope_factors_long.weight", rope.long_factor);
}

}  // namespace

void read_rope_object(ConfigFields& f, const json& object, const std::string& where, Rope& rope) {
  if (!f.status().ok()) return;
  if (!object.is_object()) return f.fail(bad_input("\"{}\" is not an object", where));
  const JsonFields json_fields(object, fmt::format("{}: {}", f.in()->file(), where));
  ConfigFields in = ConfigFields::read_hf(json_fields);
  std::string type;
  in.text({"type", nullptr}, type, "default");
  in.text({"rope_type", nullptr}, type, type.c_str());
  in.number({"rope_theta", nullptr}, rope.theta, rope.theta);
  if (type == "default") {
    if (!in.status().ok()) f.fail(in.status().error());
    return;
  }
  rope.type = type == "su" ? "longrope" : type;  // Phi-3's first spelling
  if (type == "linear" || type == "yarn" || type == "llama3")
    in.number({"factor", nullptr}, rope.factor);
  else
    in.number({"factor", nullptr}, rope.factor, 1);
  in.number({"low_freq_factor", nullptr}, rope.low_freq_factor, 1);
  in.number({"high_freq_factor", nullptr}, rope.high_freq_factor, 4);
  in.integer({"original_max_position_embeddings", nullptr}, rope.original_context, 0);
  in.number({"beta_fast", nullptr}, rope.beta_fast, 32);
  in.number({"beta_slow", nullptr}, rope.beta_slow, 1);
  in.number({"attention_factor", nullptr}, rope.attention_factor, 0);
  in.number({"mscale", nullptr}, rope.mscale, 0);
  in.number({"mscale_all_dim", nullptr}, rope.mscale_all_dim, 0);
  in.flag({"truncate", nullptr}, rope.truncate, true);
  if (type == "proportional") in.number({"partial_rotary_factor", nullptr}, rope.share, 1);
  in.numbers({"short_factor", nullptr}, rope.short_factor);
  in.numbers({"long_factor", nullptr}, rope.long_factor);
  if (!in.status().ok()) f.fail(in.status().error());
}

void rope_fields(ConfigFields& f, ModelConfig& c, const RopeDefaults& defaults) {
  if (!f.status().ok()) return;
  if (f.hf()) return f.reading() ? read_hf(f, c, defaults) : write_hf(f, c, defaults);
  return f.reading() ? read_gguf(f, c) : write_gguf(f, c);
}

}  // namespace sllm
