// The one list of a run's settings, and what is derived from it.
#include "train/options.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <toml++/toml.h>

namespace sllm {
namespace {

enum class Use { kLearning, kLife };  // does the field decide what is learned?

// f(name, field, use) for every field that a run's config.toml holds.
template <class Options, class F>
void for_each_field(Options& o, F f) {
  f("model", o.model, Use::kLife);  // checked by contents, not by path
  f("data", o.data, Use::kLife);
  f("eval", o.eval, Use::kLife);
  f("run", o.run, Use::kLife);
  f("init_adapter", o.init_adapter, Use::kLearning);
  f("eval_fraction", o.eval_fraction, Use::kLearning);
  f("objective", o.objective, Use::kLearning);
  f("beta", o.beta, Use::kLearning);
  f("gamma", o.gamma, Use::kLearning);
  f("label_smoothing", o.label_smoothing, Use::kLearning);
  f("desirable_weight", o.desirable_weight, Use::kLearning);
  f("undesirable_weight", o.undesirable_weight, Use::kLearning);
  f("teacher", o.teacher, Use::kLife);
  f("divergence", o.divergence, Use::kLearning);
  f("top_k", o.top_k, Use::kLearning);
  f("temperature", o.temperature, Use::kLearning);
  f("mixture", o.mixture, Use::kLearning);
  f("teacher_share", o.teacher_share, Use::kLearning);
  f("on_policy", o.on_policy, Use::kLearning);
  f("answer_tokens", o.answer_tokens, Use::kLearning);
  f("align_tokens", o.align_tokens, Use::kLearning);
  f("method", o.method, Use::kLearning);
  f("optimizer", o.optimizer, Use::kLearning);
  f("targets", o.targets, Use::kLearning);
  f("rank", o.rank, Use::kLearning);
  f("alpha", o.alpha, Use::kLearning);
  f("rslora", o.rslora, Use::kLearning);
  f("dora", o.dora, Use::kLearning);
  f("lora_plus", o.lora_plus, Use::kLearning);
  f("lr", o.lr, Use::kLearning);
  f("beta1", o.beta1, Use::kLearning);
  f("beta2", o.beta2, Use::kLearning);
  f("eps", o.eps, Use::kLearning);
  f("weight_decay", o.weight_decay, Use::kLearning);
  f("clip", o.clip, Use::kLearning);
  f("schedule", o.schedule, Use::kLearning);
  f("warmup", o.warmup, Use::kLearning);
  f("batch", o.batch, Use::kLearning);
  f("accumulate", o.accumulate, Use::kLearning);
  f("batch_tokens", o.batch_tokens, Use::kLearning);
  f("shards", o.shards, Use::kLearning);  // changes rounding, so bits
  f("max_length", o.max_length, Use::kLearning);
  f("micro_tokens", o.micro_tokens, Use::kLearning);  // changes rounding, so bits
  f("epochs", o.epochs, Use::kLearning);
  f("steps", o.steps, Use::kLearning);
  f("shuffle", o.shuffle, Use::kLearning);
  f("seed", o.seed, Use::kLearning);
  f("mode", o.mode, Use::kLearning);
  f("eval_every", o.eval_every, Use::kLearning);  // decides with `patience` when it stops
  f("patience", o.patience, Use::kLearning);
  f("answers", o.answers, Use::kLife);
  f("save_every", o.save_every, Use::kLife);
  f("save_minutes", o.save_minutes, Use::kLife);
  f("keep", o.keep, Use::kLife);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      out += c;
  }
  return out + "\"";
}

std::string toml_value(const fs::path& v) { return quoted(v.string()); }
std::string toml_value(const std::string& v) { return quoted(v); }
std::string toml_value(Numerics v) { return quoted(std::string(name(v))); }
std::string toml_value(bool v) { return v ? "true" : "false"; }
std::string toml_value(int64_t v) { return fmt::format("{}", v); }
std::string toml_value(uint64_t v) { return fmt::format("{}", v); }
std::string toml_value(double v) {
  std::string s = fmt::format("{}", v);  // shortest text that reads back as the same number
  return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;
}

// Reads `node` into `field`; false when its type does not fit.
template <class T>
bool assign(T& field, const toml::node& node) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!node.is_boolean()) return false;
    field = **node.as_boolean();
  } else if constexpr (std::is_integral_v<T>) {
    if (!node.is_integer() || (std::is_unsigned_v<T> && **node.as_integer() < 0)) return false;
    field = static_cast<T>(**node.as_integer());
  } else if constexpr (std::is_floating_point_v<T>) {
    const auto value = node.value<double>();
    if (!value) return false;
    field = *value;
  } else {
    const auto value = node.value<std::string>();
    if (!value) return false;
    if constexpr (std::is_same_v<T, Numerics>) {
      const auto mode = numerics_from_name(*value);
      if (!mode.ok()) return false;
      field = *mode;
    } else {
      field = T(*value);
    }
  }
  return true;
}

}  // namespace

Result<Numerics> numerics_from_name(std::string_view text) {
  for (const Numerics n : {Numerics::kExact, Numerics::kBf16, Numerics::kFast})
    if (name(n) == text) return n;
  return usage_error("mode '{}' is none of exact, bf16, fast", text);
}

namespace {

Status require(bool holds, const char* field, const char* expected) {
  if (holds) return ok();
  return usage_error("{} must be {}", field, expected);
}

// A setting that the objective does not read is a misunderstanding.
Status validate_objective(const TuneOptions& o) {
  const TuneOptions defaults;
  const auto one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), o.objective) != names.end();
  };
  const auto read_by = [&](const char* field, double value, double otherwise,
                           std::initializer_list<std::string_view> names) -> Status {
    if (value == otherwise || one_of(names)) return ok();
    return usage_error("{} is a setting of the objective {}, not of {}", field,
                       fmt::join(names, ", "), o.objective);
  };
  SLLM_OK(require(one_of({"sft", "dpo", "ipo", "simpo", "orpo", "kto"}), "objective",
                  "sft, dpo, ipo, simpo, orpo or kto"));
  SLLM_OK(read_by("beta", o.beta, defaults.beta, {"dpo", "ipo", "simpo", "orpo", "kto"}));
  SLLM_OK(read_by("gamma", o.gamma, defaults.gamma, {"simpo"}));
  SLLM_OK(read_by("label_smoothing", o.label_smoothing, 0, {"dpo", "simpo"}));
  SLLM_OK(read_by("desirable_weight", o.desirable_weight, 1, {"kto"}));
  SLLM_OK(read_by("undesirable_weight", o.undesirable_weight, 1, {"kto"}));
  SLLM_OK(require(std::isfinite(o.beta) && o.beta > 0, "beta", "above 0"));
  SLLM_OK(require(std::isfinite(o.gamma) && o.gamma >= 0, "gamma", "0 or above"));
  SLLM_OK(
      require(o.label_smoothing >= 0 && o.label_smoothing < 0.5, "label_smoothing", "in [0, 0.5)"));
  SLLM_OK(require(std::isfinite(o.desirable_weight) && o.desirable_weight >= 0, "desirable_weight",
                  "0 or above"));
  SLLM_OK(require(std::isfinite(o.undesirable_weight) && o.undesirable_weight >= 0,
                  "undesirable_weight", "0 or above"));
  // Its divergence is measured with other prompts' answers.
  return require(o.objective != "kto" || o.batch * o.accumulate > 1, "batch", "at least 2 for kto");
}

Status validate_teacher(const TuneOptions& o) {
  const TuneOptions defaults;
  for (const auto& [field, differs] :
       {std::pair("divergence", o.divergence != defaults.divergence),
        std::pair("top_k", o.top_k != defaults.top_k),
        std::pair("temperature", o.temperature != defaults.temperature),
        std::pair("mixture", o.mixture != defaults.mixture),
        std::pair("teacher_share", o.teacher_share != defaults.teacher_share),
        std::pair("on_policy", o.on_policy != defaults.on_policy),
        std::pair("align_tokens", o.align_tokens)})
    if (differs && o.teacher.empty())
      return with_hint(
          usage_error("{} is a setting of learning from a teacher, and none is named", field),
          "Name one with --teacher");
  if (o.teacher.empty()) return ok();
  if (o.teacher == kRowsTeacher) {
    SLLM_OK(require(!o.align_tokens, "align_tokens",
                    "left out where the rows say what the teacher said"));
    SLLM_OK(require(o.top_k > 0, "top_k", "above 0 where the rows say what the teacher said"));
    SLLM_OK(
        require(o.temperature == 1, "temperature", "1 where the rows say what the teacher said"));
    SLLM_OK(require(o.on_policy == 0, "on_policy", "0 where the rows say what the teacher said"));
  }
  SLLM_OK(require(o.objective == "sft", "objective", "sft with a teacher"));
  SLLM_OK(require(o.divergence == "forward" || o.divergence == "reverse" || o.divergence == "jsd",
                  "divergence", "forward, reverse or jsd"));
  if (o.divergence != "jsd" && o.mixture != defaults.mixture)
    return usage_error("mixture is a setting of the divergence jsd, not of {}", o.divergence);
  SLLM_OK(require(o.top_k >= 0, "top_k", "0 (all tokens) or above"));
  SLLM_OK(require(o.temperature > 0 && o.temperature <= 100, "temperature", "in (0, 100]"));
  SLLM_OK(require(o.mixture > 0 && o.mixture < 1, "mixture", "in (0, 1)"));
  SLLM_OK(require(o.on_policy >= 0 && o.on_policy <= 1, "on_policy", "in [0, 1]"));
  SLLM_OK(require(o.answer_tokens >= 1, "answer_tokens", "at least 1"));
  return require(o.teacher_share > 0 && o.teacher_share <= 1, "teacher_share", "in (0, 1]");
}

}  // namespace

Status validate(const TuneOptions& o) {
  SLLM_OK(require(!o.model.empty(), "model", "a GGUF file or a Hugging Face folder"));
  SLLM_OK(require(!o.data.empty(), "data", "a file with training rows"));
  SLLM_OK(require(!o.run.empty(), "run", "a folder"));
  SLLM_OK(require(o.method == "lora" || o.method == "full", "method", "lora or full"));
  SLLM_OK(require(o.optimizer == "adamw" || o.optimizer == "adamw8bit", "optimizer",
                  "adamw or adamw8bit"));
  if (o.method == "full") {
    SLLM_OK(require(o.mode != Numerics::kFast, "mode",
                    "exact or bf16 where the method is full: fast is for weights that stay as "
                    "they are in the file"));
    for (const auto& [set, field] :
         {std::pair(!o.init_adapter.empty(), "init_adapter"), std::pair(o.dora, "dora"),
          std::pair(o.lora_plus != 1, "lora_plus"), std::pair(o.targets != "all", "targets"),
          std::pair(o.rslora, "rslora")})
      SLLM_OK(require(!set, field, "left out where the method is full, which trains no adapter"));
  }
  SLLM_OK(require(o.rank >= 1 && o.rank <= 4096, "rank", "from 1 to 4096"));
  SLLM_OK(require(std::isfinite(o.alpha) && o.alpha > 0, "alpha", "above 0"));
  SLLM_OK(require(o.lora_plus > 0 && o.lora_plus <= 1e4, "lora_plus", "above 0, at most 10000"));
  SLLM_OK(require(std::isfinite(o.lr) && o.lr > 0 && o.lr < 10, "lr", "above 0 and below 10"));
  SLLM_OK(require(o.beta1 >= 0 && o.beta1 < 1, "beta1", "in [0, 1)"));
  SLLM_OK(require(o.beta2 >= 0 && o.beta2 < 1, "beta2", "in [0, 1)"));
  SLLM_OK(require(o.eps > 0, "eps", "above 0"));
  SLLM_OK(require(o.weight_decay >= 0 && o.weight_decay < 100, "weight_decay", "in [0, 100)"));
  SLLM_OK(require(o.clip >= 0, "clip", "0 (off) or above"));
  SLLM_OK(require(o.schedule == "cosine" || o.schedule == "linear" || o.schedule == "constant",
                  "schedule", "cosine, linear or constant"));
  SLLM_OK(require(o.warmup >= 0, "warmup", "0 or above"));
  SLLM_OK(require(o.eval_fraction >= 0 && o.eval_fraction < 1, "eval_fraction", "in [0, 1)"));
  SLLM_OK(require(o.batch >= 1, "batch", "at least 1"));
  SLLM_OK(require(o.accumulate >= 1, "accumulate", "at least 1"));
  SLLM_OK(require(o.batch_tokens >= 0, "batch_tokens", "0 (off) or above"));
  SLLM_OK(require(o.shards >= 0, "shards", "0 (one a rank) or above"));
  if (o.batch_tokens == 0)
    SLLM_OK(require(o.shards <= o.batch * o.accumulate, "shards",
                    "at most the samples of a step, batch times accumulate"));
  // What an own answer weighs depends on the length of all the others.
  SLLM_OK(require(o.shards <= 1 || o.on_policy == 0, "shards", "1 with on_policy"));
  SLLM_OK(require(o.max_length >= 2 && o.max_length <= 1 << 24, "max_length", "at least 2"));
  SLLM_OK(require(o.micro_tokens >= 1 && o.micro_tokens <= 1 << 24, "micro_tokens", "at least 1"));
  SLLM_OK(require(o.epochs >= 1, "epochs", "at least 1"));
  SLLM_OK(require(o.steps >= 0, "steps", "0 (as the epochs say) or above"));
  SLLM_OK(require(o.eval_every >= 0, "eval_every", "0 (every epoch) or above"));
  SLLM_OK(require(o.patience >= 0, "patience", "0 (off) or above"));
  SLLM_OK(require(o.answers >= 0 && o.answers <= 64, "answers", "from 0 (off) to 64"));
  SLLM_OK(require(o.save_every >= 1, "save_every", "at least 1"));
  SLLM_OK(require(o.save_minutes > 0, "save_minutes", "above 0"));
  SLLM_OK(validate_objective(o));
  SLLM_OK(validate_teacher(o));
  return require(o.keep >= 2, "keep", "at least 2");
}

std::string to_toml(const TuneOptions& options) {
  std::string text = "# Settings of this tuning run, defaults included.\n";
  for_each_field(options, [&](const char* name, const auto& field, Use) {
    text += fmt::format("{} = {}\n", name, toml_value(field));
  });
  return text;
}

Result<TuneOptions> tune_options_from_toml(std::string_view text, const std::string& file) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& e) {
    return usage_error("{}:{}: {}", file, e.source().begin.line, e.description());
  }
  TuneOptions options;
  Status status = ok();
  for (const auto& pair : table) {
    const toml::key& key = pair.first;
    const toml::node& node = pair.second;
    bool known = false;
    for_each_field(options, [&](const char* name, auto& field, Use) {
      if (key.str() != name) return;
      known = true;
      if (!assign(field, node) && status.ok())
        status = usage_error("{}:{}: {} has the wrong type", file, node.source().begin.line, name);
    });
    if (!known && status.ok())
      status = usage_error("{}:{}: unknown key '{}'", file, node.source().begin.line, key.str());
  }
  if (!status.ok()) return status.error();
  if (options.method == "full" && !table.contains("lr")) options.lr = kFullLr;
  return options;
}

std::string learning_fields(const TuneOptions& options) {
  std::string text;
  for_each_field(options, [&](const char* name, const auto& field, Use use) {
    if (use == Use::kLearning) text += fmt::format("{} = {}\n", name, toml_value(field));
  });
  return text;
}

std::vector<std::string> differing_fields(const TuneOptions& a, const TuneOptions& b) {
  std::vector<std::string> values, differing;
  for_each_field(a,
                 [&](const char*, const auto& field, Use) { values.push_back(toml_value(field)); });
  size_t i = 0;
  for_each_field(b, [&](const char* name, const auto& field, Use use) {
    if (toml_value(field) != values[i++] && use == Use::kLearning) differing.push_back(name);
  });
  // Its file may lie elsewhere now; whether there is one decides what is learned.
  if (a.teacher.empty() != b.teacher.empty()) differing.push_back("teacher");
  return differing;
}

}  // namespace sllm
