// sllm show: what a model file or an adapter is, and what it needs here.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <set>

#include "base/sha256.h"
#include "cli/commands.h"
#include "cli/model_summary.h"
#include "hub/resolve.h"
#include "infer/memory.h"
#include "io/peft.h"
#include "models/registry.h"
#include "models/state.h"
#include "project/evaluate.h"
#include "text/template_family.h"
#include "text/tokenizer.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string model;
  bool check = false;
  bool chat_template = false;
};

void line(const char* label, const std::string& text) {
  std::cout << fmt::format("{:<14}{}\n", label, text);
}

std::string text_or(const Json& value, const char* otherwise) {
  return value.is_string() ? value.get<std::string>() : otherwise;
}

// The tokenizer's own tables, read without building it: the kind that the file names.
Json tokenizer_json(const TokenizerSource& t) {
  if (t.gguf)
    return {{"kind", "GGUF"},
            {"model", t.gguf->model},
            {"pre", t.gguf->pre},
            {"tokens", t.gguf->tokens.size()}};
  Json out = {{"kind", t.files.empty() ? "tokenizer.json" : t.files.begin()->first}};
  const auto json = nlohmann::json::parse(t.tokenizer_json, nullptr, false);
  const auto model = json.is_object() ? json.find("model") : json.end();
  if (!json.is_object() || model == json.end() || !model->is_object()) return out;
  if (const auto type = model->find("type"); type != model->end() && type->is_string())
    out["model"] = type->get<std::string>();
  if (const auto vocab = model->find("vocab"); vocab != model->end()) out["tokens"] = vocab->size();
  return out;
}

Json token_json(const Tokenizer* tokenizer, int32_t id) {
  return {{"id", id}, {"text", tokenizer ? Json(tokenizer->token_text(id)) : Json()}};
}

Json template_json(const ModelSource& source, const Tokenizer* tokenizer) {
  const std::string& text = source.chat_template();
  if (text.empty()) return nullptr;
  const ModelConfig& c = source.config();
  const auto name_of = [&](int32_t id) {
    return tokenizer && id >= 0 ? std::string(tokenizer->token_text(id)) : std::string();
  };
  const TemplateIdentity identity =
      identify_template(text, name_of(c.bos_id), name_of(c.eos_ids.empty() ? -1 : c.eos_ids[0]));
  const auto maybe = [](const std::string& s) { return s.empty() ? Json() : Json(s); };
  return {{"sha256", sha256_hex(text)},
          {"family", maybe(identity.family)},
          {"known_as", maybe(identity.known_as)},
          {"known_of_family", maybe(identity.others)},
          {"difference", maybe(identity.difference)}};
}

// Weights and the state of one sequence in F16, as a server keeps it, at a few lengths.
Json memory_json(const ModelConfig& c, int64_t weights) {
  const int64_t per_token = StatePool::bytes_per_token(c, DType::kF16),
                per_sequence = StatePool::bytes_per_sequence(c), available = available_memory();
  Json at = Json::array();
  std::vector<int64_t> lengths = {2048, 8192, 32768, c.max_context};
  std::erase_if(lengths, [&](int64_t n) { return n > c.max_context; });
  std::ranges::sort(lengths);
  lengths.erase(std::ranges::unique(lengths).begin(), lengths.end());
  for (const int64_t n : lengths) {
    const int64_t bytes = weights + per_sequence + per_token * n;
    at.push_back({{"context", n}, {"bytes", bytes}, {"fits", bytes <= available}});
  }
  return {{"weights_bytes", weights},
          {"state_bytes_per_token", per_token},
          {"at_full_context_bytes", weights + per_sequence + per_token * c.max_context},
          {"available_bytes", available},
          {"at", at}};
}

Json describe(const ModelSource& source) {
  const ModelConfig& c = source.config();
  int64_t parameters = 0;
  for (const TensorInfo& t : source.tensors()) {
    int64_t n = 1;
    for (int64_t d : t.shape) n *= d;
    parameters += n;
  }
  const WrittenModel types = count_types(source.tensors());
  const auto description = source.description();
  const auto said = [&](const char* key) {
    const auto it = description.find(key);
    return it == description.end() ? Json() : Json(it->second);
  };
  // A file may hold no tokenizer, or one that is not read here; all the rest can still be said.
  const auto loaded = Tokenizer::load(source.tokenizer());
  const Tokenizer* tokenizer = loaded.ok() ? loaded.value().get() : nullptr;
  Json types_out = types_json(types);
  for (auto& [type, entry] : types_out.items())
    entry["share"] = static_cast<double>(entry["bytes"].get<int64_t>()) /
                     static_cast<double>(std::max<int64_t>(1, types.bytes));
  // What an engine ends an answer at.
  std::set<int32_t> end_ids(c.eos_ids.begin(), c.eos_ids.end());
  if (tokenizer) end_ids.insert(tokenizer->eos_ids().begin(), tokenizer->eos_ids().end());
  Json ends = Json::array();
  for (const int32_t id : end_ids) ends.push_back(token_json(tokenizer, id));
  const Json chat_template = template_json(source, tokenizer);
  return {{"path", source.path().string()},
          {"format", source.format()},
          {"name", c.name},
          {"architecture", c.architecture->model_type},
          {"parameters", parameters},
          {"bytes", types.bytes},
          {"types", types_out},
          {"layers", c.L},
          {"width", c.D},
          {"heads", c.H},
          {"kv_heads", c.Hk},
          {"head_width", c.Dh},
          {"mlp_width", c.F},
          {"vocabulary", c.V},
          {"context", c.max_context},
          {"sliding_window", c.sliding_window},
          {"tied_embeddings", c.tied_embeddings},
          {"rope", {{"theta", c.rope.theta}, {"scaling", c.rope.type}, {"factor", c.rope.factor}}},
          {"bos_id", c.bos_id},
          {"eos_ids", c.eos_ids},
          {"ends", ends},
          {"tokenizer", tokenizer_json(source.tokenizer())},
          {"tokenizer_problem", loaded.ok() ? Json() : Json(loaded.error().message)},
          {"template_sha256", chat_template.is_null() ? Json() : chat_template["sha256"]},
          {"template", chat_template},
          {"license", said("license")},
          {"lineage", said("sllm.lineage")},
          {"base", said("sllm.base")},
          {"memory", memory_json(c, types.bytes)},
          {"description", description}};
}

std::string template_text(const Json& t) {
  if (t.is_null()) return "none: messages are only joined";
  const std::string hash = "sha256 " + t["sha256"].get<std::string>().substr(0, 16);
  if (t["family"].is_null()) return "of no format that is known here, " + hash;
  std::string text = t["family"].get<std::string>();
  text += t["known_as"].is_string() ? ", that of " + t["known_as"].get<std::string>()
                                    : ", differs from those of its family that are known here (" +
                                          text_or(t["known_of_family"], "none") + ")";
  text += ", " + hash;
  if (t["difference"].is_string())
    text += fmt::format("\n{:<14}{}", "", t["difference"].get<std::string>());
  return text;
}

std::string ends_text(const Json& ends) {
  std::string text;
  for (const Json& end : ends)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", end["id"].get<int32_t>(),
                        text_or(end["text"], "?"));
  return text.empty() ? "none: answers end at the token limit" : text;
}

std::string memory_text(const Json& memory) {
  std::string text;
  for (const Json& at : memory["at"])
    text += fmt::format("{}{} at {} tokens of context{}", text.empty() ? "" : ", ",
                        megabytes(at["bytes"].get<int64_t>()), at["context"].get<int64_t>(),
                        at["fits"].get<bool>() ? "" : " (does not fit)");
  return text + "; " + megabytes(memory["available_bytes"].get<int64_t>()) + " available here";
}

void print_text(const ModelSource& source, const Json& d) {
  const ModelConfig& c = source.config();
  line("Name", c.name);
  line("Format", source.format());
  line("Architecture", fmt::format("{}, {} layers, width {}, {} heads ({} for keys), MLP {}",
                                   c.architecture->model_type, c.L, c.D, c.H, c.Hk, c.F));
  line("Parameters", fmt::format("{:.1f} million{}", d["parameters"].get<double>() / 1e6,
                                 c.tied_embeddings ? ", head tied to the embedding" : ""));
  const char* label = "Stored as";
  for (const auto& [type, entry] : d["types"].items()) {
    line(label,
         fmt::format("{:<5} {:>4} tensors {:>10} {:>5.1f} %", type, entry["tensors"].get<int>(),
                     megabytes(entry["bytes"].get<int64_t>()), 100 * entry["share"].get<double>()));
    label = "";
  }
  const Json& tokenizer = d["tokenizer"];
  line("Vocabulary", fmt::format("{} tokens", c.V));
  line("Tokenizer",
       text_or(tokenizer.value("model", Json()), "?") +
           (tokenizer.contains("pre") ? " (" + tokenizer["pre"].get<std::string>() + ")" : "") +
           fmt::format(", {} entries", tokenizer.value("tokens", size_t{0})) +
           (d["tokenizer_problem"].is_null() ? ""
                                             : "; " + d["tokenizer_problem"].get<std::string>()));
  if (!c.causal)
    line("Purpose", "an encoder: it makes vectors of texts (sllm embed)");
  else
    line("Answers end", "at " + ends_text(d["ends"]));
  line("Context",
       fmt::format(
           "{} tokens, rope {} theta {:g}{}", c.max_context,
           c.rope.type == "none" ? "without scaling,"
                                 : c.rope.type + " x " + fmt::format("{:g},", c.rope.factor),
           c.rope.theta,
           c.sliding_window > 0 ? fmt::format(", window of {}", c.sliding_window) : std::string()));
  if (c.causal) line("Chat template", template_text(d["template"]));
  line("License", text_or(d["license"], "not stated"));
  if (d["base"].is_string()) line("Made from", d["base"].get<std::string>());
  if (d["lineage"].is_string()) line("Lineage", d["lineage"].get<std::string>());
  line("Memory", memory_text(d["memory"]));
}

Json describe_adapter(const fs::path& folder, const LoraAdapter& adapter) {
  std::set<std::string> targets, layers;
  int64_t parameters = 0;
  for (const auto& [module, pair] : adapter.modules) {
    targets.insert(module.substr(module.rfind('.') + 1));
    if (const size_t at = module.find(".layers."); at != module.npos)
      layers.insert(module.substr(at + 8, module.find('.', at + 8) - at - 8));
    parameters += pair.A.size() + pair.B.size();
  }
  return {{"path", folder.string()},
          {"format", "PEFT adapter"},
          {"base", adapter.base_model.empty() ? Json() : Json(adapter.base_model)},
          {"rank", adapter.rank},
          {"alpha", adapter.alpha},
          {"rslora", adapter.rslora},
          {"scale", adapter.scale()},
          {"targets", targets},
          {"layers", layers.size()},
          {"modules", adapter.modules.size()},
          {"parameters", parameters},
          {"bytes", project::size_on_disk(folder)}};
}

Status check_adapter(const LoraAdapter& adapter) {
  for (const auto& [module, pair] : adapter.modules)
    for (const Tensor* t : {&pair.A, &pair.B})
      for (int64_t i = 0; i < t->size(); ++i)
        if (!std::isfinite(t->data<float>()[i]))
          return bad_input("{}: lora_{} holds a NaN or an infinite number", module,
                           t == &pair.A ? 'A' : 'B');
  return ok();
}

void print_adapter(const Json& d) {
  line("Format", "LoRA adapter (PEFT)");
  line("Base", text_or(d["base"], "not stated"));
  line("Rank", fmt::format("{}, alpha {:g}{}: the update is {:g} times B A",
                           d["rank"].get<int64_t>(), d["alpha"].get<double>(),
                           d["rslora"].get<bool>() ? ", rsLoRA" : "", d["scale"].get<double>()));
  line("Changes", fmt::format("{} in {} layers ({} matrices)",
                              fmt::join(d["targets"].get<std::vector<std::string>>(), ", "),
                              d["layers"].get<size_t>(), d["modules"].get<size_t>()));
  line("Parameters", fmt::format("{:.2f} million, {} on disk", d["parameters"].get<double>() / 1e6,
                                 megabytes(d["bytes"].get<int64_t>())));
  line("Use", "sllm chat -m BASE --adapter " + d["path"].get<std::string>());
}

// The adapter's folder itself, or that of a tuning run which holds it; "" for anything else.
fs::path adapter_folder(const std::string& name) {
  std::error_code error;
  for (const fs::path& folder : {fs::path(name), fs::path(name) / "adapter"})
    if (fs::exists(folder / "adapter_config.json", error)) return folder;
  return {};
}

Status run(const Flags& flags, const Globals& globals) {
  if (const fs::path folder = adapter_folder(flags.model); !folder.empty()) {
    if (flags.chat_template)
      return usage_error("{}: an adapter has no chat template", folder.string());
    SLLM_TRY(const LoraAdapter adapter, read_peft_adapter(folder));
    if (flags.check) SLLM_OK(check_adapter(adapter).context(folder.string()));
    const Json description = describe_adapter(folder, adapter);
    if (globals.json)
      print_json("show", description);
    else
      print_adapter(description);
    return ok();
  }
  SLLM_TRY(const fs::path path, resolve_model(flags.model));
  SLLM_TRY(const auto source, open_model(path));
  if (flags.check) {
    ThreadPool pool;
    SLLM_OK(check_values(*source, pool, progress_sink(globals)));
  }
  if (flags.chat_template) {
    std::cout << source->chat_template();
    return ok();
  }
  const Json description = describe(*source);
  if (globals.json)
    print_json("show", description);
  else
    print_text(*source, description);
  return ok();
}

}  // namespace

Action declare_show(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  app.add_option("model", flags->model,
                 "A GGUF file, a Hugging Face folder, a LoRA adapter's folder, or a model's name")
      ->required();
  app.add_flag("--check", flags->check, "Read every weight; fail when one is not a finite number");
  app.add_flag("--template", flags->chat_template, "Print the chat template and nothing else");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
