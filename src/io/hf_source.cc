// A Hugging Face folder seen as a model: config.json, tokenizer.json, safetensors in one file or
// shards.
#include "io/hf_source.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "io/hf_config.h"
#include "io/json.h"
#include "io/pooling.h"
#include "io/safetensors.h"
#include "io/tokenizer_files.h"

namespace sllm {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20, kMaxTokenizerBytes = uint64_t{256} << 20;

Result<std::string> read_if_there(const fs::path& path, uint64_t limit) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::string();
  return read_file(path, limit);
}

// A shard must be a plain file name that stays in the folder. In Hugging Face's cache, files are
// links into the blobs folder of the same repository (snapshots/<revision>/x ->
// ../../blobs/<hash>).
Result<fs::path> shard_path(const fs::path& folder, const std::string& name,
                            const std::string& index) {
  const fs::path relative(name);
  if (name.empty() || relative.filename() != relative || name == "." || name == ".." ||
      relative.extension() != ".safetensors")
    return bad_input("{}: \"{}\" is not the name of a .safetensors file in this folder", index,
                     name);
  std::error_code error;
  const fs::path real = fs::canonical(folder / relative, error);
  if (error)
    return with_hint(bad_input("{}: the shard \"{}\" is missing", index, name),
                     "Download the model again, or copy all its files");
  const fs::path inside = fs::canonical(folder, error);
  const fs::path blobs = fs::weakly_canonical(inside / ".." / ".." / "blobs", error);
  if (real.parent_path() != inside && real.parent_path() != blobs)
    return bad_input("{}: \"{}\" is a link that leaves the folder", index, name);
  return folder / relative;
}

// weight_map: tensor name -> shard file.
Result<std::map<std::string, std::string>> read_index(const fs::path& path) {
  SLLM_TRY(const std::string text, read_file(path, kMaxTokenizerBytes));
  SLLM_TRY(const nlohmann::json json, parse_json(text, path.string()));
  const JsonFields fields(json, path.string());
  const nlohmann::json* map = fields.find("weight_map");
  if (!map || !map->is_object())
    return bad_input("{}: \"weight_map\" is missing or not an object", path.string());
  std::map<std::string, std::string> out;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string())
      return bad_input("{}: weight_map: \"{}\" is not a file name", path.string(), tensor);
    out[tensor] = shard.get<std::string>();
  }
  if (out.empty()) return bad_input("{}: weight_map is empty", path.string());
  return out;
}

Result<SafetensorsFile> read_shards(const fs::path& folder, const fs::path& index_path) {
  SLLM_TRY(const auto weight_map, read_index(index_path));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map) shards.insert(shard);
  SafetensorsFile all;
  for (const std::string& shard : shards) {
    SLLM_TRY(const fs::path path, shard_path(folder, shard, index_path.string()));
    SLLM_TRY(SafetensorsFile part, read_safetensors(path));
    for (auto& [name, tensor] : part.tensors) {
      const auto listed = weight_map.find(name);
      if (listed == weight_map.end() || listed->second != shard)
        return bad_input("{}: \"{}\" holds the tensor \"{}\", which the index places {}",
                         index_path.string(), shard, name,
                         listed == weight_map.end() ? "nowhere" : "in " + listed->second);
      all.tensors.emplace(name, std::move(tensor));
    }
    all.metadata.merge(part.metadata);
  }
  for (const auto& [tensor, shard] : weight_map)
    if (!all.tensors.contains(tensor))
      return bad_input("{}: the tensor \"{}\" is not in \"{}\"", index_path.string(), tensor,
                       shard);
  return all;
}

Result<SafetensorsFile> read_weights(const fs::path& folder) {
  std::error_code ignored;
  const fs::path single = folder / "model.safetensors",
                 index = folder / "model.safetensors.index.json";
  if (fs::exists(single, ignored)) return read_safetensors(single);
  if (fs::exists(index, ignored)) return read_shards(folder, index);
  for (const char* pickle : {"pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt"})
    if (fs::exists(folder / pickle, ignored))
      return with_hint(bad_input("{}: is a pickle, which can run code when it is read; refused",
                                 (folder / pickle).string()),
                       "Convert the model to safetensors, or use its safetensors revision");
  return with_hint(bad_input("{}: has neither model.safetensors nor model.safetensors.index.json",
                             folder.string()),
                   "Give a folder with a complete Hugging Face model, or a .gguf file");
}

// "license: apache-2.0" in the front matter of the model card.
std::string license_of_card(const fs::path& folder) {
  const auto card = read_file(folder / "README.md", kMaxConfigBytes);
  if (!card.ok() || !card->starts_with("---\n")) return "";
  const std::string front = card->substr(0, card->find("\n---", 4));
  const size_t key = front.find("\nlicense:");
  if (key == front.npos) return "";
  std::string value = front.substr(key + 9, front.find('\n', key + 1) - key - 9);
  const size_t begin = value.find_first_not_of(" \"'\r"), end = value.find_last_not_of(" \"'\r");
  return begin == value.npos ? "" : value.substr(begin, end - begin + 1);
}

// snapshots/<revision> of Hugging Face's cache is named by its repository: models--org--name.
std::string name_of_folder(const fs::path& folder) {
  std::error_code ignored;
  fs::path path = fs::weakly_canonical(folder, ignored);
  if (path.parent_path().filename() == "snapshots") path = path.parent_path().parent_path();
  std::string name = path.filename().string();
  if (const size_t at = name.rfind("--"); name.starts_with("models--")) name = name.substr(at + 2);
  return name;
}

class HfSource : public ModelSource {
 public:
  static Result<std::shared_ptr<ModelSource>> make(const fs::path& folder, Architectures known) {
    auto source = std::make_shared<HfSource>();
    source->path_ = folder;
    SLLM_OK(source->read_texts(known));
    SLLM_TRY(source->weights_, read_weights(folder));
    SLLM_OK(source->read_dense());
    SLLM_OK(source->list_tensors().context(folder.string()));
    return std::shared_ptr<ModelSource>(std::move(source));
  }

  const ModelConfig& config() const override { return config_; }
  const TokenizerSource& tokenizer() const override { return tokenizer_; }
  const std::string& chat_template() const override { return chat_template_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  bool has(const std::string& name) const override { return weights_.tensors.contains(name); }
  const fs::path& path() const override { return path_; }
  std::string format() const override { return "safetensors"; }
  std::map<std::string, std::string> description() const override { return description_; }
  const ModelExtras& extras() const override { return extras_; }

  Result<Tensor> tensor(const std::string& name) const override {
    const auto found = weights_.tensors.find(name);
    if (found == weights_.tensors.end())
      return bad_input("{}: there is no tensor \"{}\"", path_.string(), name);
    return found->second;
  }

 private:
  Status read_texts(Architectures known) {
    const fs::path config_path = path_ / "config.json";
    SLLM_TRY(const std::string config, read_file(config_path, kMaxConfigBytes));
    SLLM_TRY(const std::string generation,
             read_if_there(path_ / "generation_config.json", kMaxConfigBytes));
    SLLM_TRY(config_, parse_hf_config(config, generation, config_path.string(), known));
    config_.name = name_of_folder(path_);
    SLLM_TRY(tokenizer_, read_tokenizer_files(path_));
    SLLM_TRY(chat_template_, read_chat_template(path_, tokenizer_.tokenizer_config_json));
    SLLM_TRY(extras_, read_hf_extras(path_, tokenizer_.tokenizer_config_json));
    SLLM_TRY(auto modules, read_pooling_modules(path_));
    if (modules) config_.pooling = std::move(modules->pooling);
    if (modules) dense_folders_ = std::move(modules->dense_folders);
    return ok();
  }

  // The linear layers behind the pooling have files of their own.
  Status read_dense() {
    for (size_t k = 0; k < dense_folders_.size(); ++k) {
      const fs::path file = path_ / dense_folders_[k] / "model.safetensors";
      SLLM_TRY(SafetensorsFile dense, read_safetensors(file));
      const auto weight = dense.tensors.find("linear.weight");
      if (weight == dense.tensors.end() || dense.tensors.size() != 1)
        return bad_input("{}: expected one tensor, \"linear.weight\"", file.string());
      weights_.tensors[dense_name(k)] = std::move(weight->second);
    }
    return ok();
  }

  // In the folder of a model that also sees or hears, the text model's tensors have a prefix, and
  // those of the other parts are left alone. That of a decoder without a head may lack the prefix,
  // and that of an encoder have one.
  void keep_text_model() {
    const auto named = [](const std::string& name, const char* prefix) {
      return name.starts_with(prefix);
    };
    std::map<std::string, Tensor> kept;
    for (auto& [name, tensor] : weights_.tensors) {
      std::string text = name;
      for (const auto& [from, to] :
           {std::pair("language_model.model.", "model."),
            std::pair("model.language_model.", "model."),
            std::pair("language_model.lm_head.", "lm_head."),
            std::pair("embed_tokens.", "model.embed_tokens."),
            std::pair("layers.", "model.layers."), std::pair("norm.", "model.norm."),
            std::pair("bert.", ""), std::pair("roberta.", "")})
        if (named(name, from)) text = to + name.substr(std::strlen(from));
      for (const auto& [from, to] :
           {std::pair(".LayerNorm.gamma", "weight"), std::pair(".LayerNorm.beta", "bias")})
        if (text.ends_with(from)) text = text.substr(0, text.rfind('.') + 1) + to;
      const bool other = std::ranges::any_of(
          std::array{"vision_tower.", "multi_modal_projector.", "audio_tower.", "visual.", "mtp.",
                     "embed_vision.", "embed_audio."},
          [&](const char* part) {
            return named(name, part) || named(name, (std::string("model.") + part).c_str());
          });
      if (!other) kept.emplace(std::move(text), std::move(tensor));
    }
    weights_.tensors = std::move(kept);
  }

  Status list_tensors() {
    keep_text_model();
    for (const TensorSpec& unread : unread_tensors(config_)) weights_.tensors.erase(unread.hf);
    // A tied head that was stored all the same, and a table older versions saved, are not weights.
    if (config_.tied_embeddings) weights_.tensors.erase("lm_head.weight");
    std::erase_if(weights_.tensors, [](const auto& entry) {
      return entry.first.ends_with(".rotary_emb.inv_freq") ||
             entry.first == "embeddings.position_ids";
    });
    for (const auto& [name, tensor] : weights_.tensors)
      tensors_.push_back({name, tensor.dtype(), tensor.shape()});
    description_["name"] = config_.name;
    if (const std::string license = license_of_card(path_); !license.empty())
      description_["license"] = license;
    for (const auto& [key, value] : weights_.metadata)
      if (key.starts_with("sllm.") || key == "license") description_[key] = value;
    return check_tensors(config_, tensors_);
  }

  fs::path path_;
  ModelConfig config_;
  TokenizerSource tokenizer_;
  std::string chat_template_;
  ModelExtras extras_;
  SafetensorsFile weights_;
  std::vector<std::string> dense_folders_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> description_;
};

}  // namespace

Result<std::shared_ptr<ModelSource>> open_hf_folder(const fs::path& folder, Architectures known) {
  return HfSource::make(folder, known);
}

}  // namespace sllm
