#include "io/tokenizer_files.h"

#include <algorithm>
#include <limits>

#include "io/gguf_model.h"
#include "io/json.h"

namespace sllm {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{256} << 20, kMaxTemplateBytes = uint64_t{1} << 20;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Result<std::string> read_if_there(const fs::path& path, uint64_t limit = kMaxBytes) {
  if (!is_there(path)) return std::string();
  return read_file(path, limit);
}

// The *.tiktoken files of a folder, in order of name.
std::vector<fs::path> tiktoken_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".tiktoken") files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

Status add(TokenizerSource& source, const fs::path& path) {
  SLLM_TRY(source.files[path.filename().string()], read_file(path, kMaxBytes));
  return ok();
}

Status read_other(const fs::path& folder, TokenizerSource& source) {
  for (const char* name : {"tokenizer.model", "tekken.json"})
    if (is_there(folder / name)) return add(source, folder / name);
  if (const auto files = tiktoken_files(folder); !files.empty()) return add(source, files.front());
  if (is_there(folder / "vocab.json") && is_there(folder / "merges.txt")) {
    SLLM_OK(add(source, folder / "vocab.json"));
    return add(source, folder / "merges.txt");
  }
  if (is_there(folder / "vocab.txt")) return add(source, folder / "vocab.txt");
  return with_hint(
      bad_input("{}: there is no tokenizer: neither tokenizer.json nor tokenizer.model, "
                "tekken.json, *.tiktoken, vocab.json with merges.txt or vocab.txt",
                folder.string()),
      "Download the model again, or copy all its files");
}

}  // namespace

Result<TokenizerSource> read_tokenizer_files(const fs::path& folder) {
  TokenizerSource source;
  SLLM_TRY(source.tokenizer_json, read_if_there(folder / "tokenizer.json"));
  SLLM_TRY(source.tokenizer_config_json, read_if_there(folder / "tokenizer_config.json"));
  if (source.tokenizer_json.empty()) SLLM_OK(read_other(folder, source));
  return source;
}

Result<TokenizerSource> open_tokenizer_source(const fs::path& path) {
  std::error_code ignored;
  TokenizerSource source;
  if (fs::is_directory(path, ignored)) return read_tokenizer_files(path);
  if (path.extension() == ".gguf") {
    SLLM_TRY(const GgufFile file, GgufFile::open(path));
    ModelConfig any;
    any.V = std::numeric_limits<int64_t>::max();
    SLLM_TRY(source.gguf, gguf_tokenizer(file, any).context(path.string()));
    if (!source.gguf) return bad_input("{}: the file holds no tokenizer", path.string());
    return source;
  }
  SLLM_TRY(source.tokenizer_config_json,
           read_if_there(path.parent_path() / "tokenizer_config.json"));
  const std::string name = path.filename().string();
  if (path.extension() == ".json" && name != "tekken.json" && name != "vocab.json") {
    SLLM_TRY(source.tokenizer_json, read_file(path, kMaxBytes));
    return source;
  }
  SLLM_OK(add(source, path));
  if (name == "vocab.json") SLLM_OK(add(source, path.parent_path() / "merges.txt"));
  return source;
}

Result<std::string> read_chat_template(const fs::path& folder,
                                       const std::string& tokenizer_config) {
  SLLM_TRY(const std::string file,
           read_if_there(folder / "chat_template.jinja", kMaxTemplateBytes));
  if (!file.empty() || tokenizer_config.empty()) return file;
  const std::string name = (folder / "tokenizer_config.json").string();
  SLLM_TRY(const nlohmann::json json, parse_json(tokenizer_config, name));
  const nlohmann::json* value = JsonFields(json, name).find("chat_template");
  if (!value) return std::string();
  if (value->is_string()) return value->get<std::string>();
  if (value->is_array())
    for (const nlohmann::json& entry : *value) {
      const JsonFields fields(entry, name + ": chat_template");
      SLLM_TRY(const auto entry_name, fields.string("name"));
      SLLM_TRY(const auto source, fields.string("template"));
      if (entry_name == "default" && source) return *source;
    }
  return bad_input("{}: \"chat_template\" is neither a string nor a list with a \"default\"", name);
}

Result<std::string> open_chat_template(const fs::path& path, const TokenizerSource& source) {
  std::error_code ignored;
  if (!source.gguf)
    return read_chat_template(fs::is_directory(path, ignored) ? path : path.parent_path(),
                              source.tokenizer_config_json);
  SLLM_TRY(const GgufFile file, GgufFile::open(path));
  SLLM_TRY(const auto found, file.string("tokenizer.chat_template"));
  return found.value_or("");
}

}  // namespace sllm
