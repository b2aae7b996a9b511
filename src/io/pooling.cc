#include "io/pooling.h"

#include <algorithm>
#include <system_error>

#include "io/json.h"

namespace sllm {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Rows = Pooling::Rows;

constexpr uint64_t kMaxBytes = uint64_t{1} << 20;

// GGUF's number; the name in pooling_mode; and the flag that older versions set for it.
struct RowsName {
  Rows rows;
  int64_t gguf;
  const char *mode, *flag;
};
constexpr RowsName kRows[] = {{Rows::kMean, 1, "mean", "pooling_mode_mean_tokens"},
                              {Rows::kFirst, 2, "cls", "pooling_mode_cls_token"},
                              {Rows::kLast, 3, "lasttoken", "pooling_mode_lasttoken"}};
constexpr const char* kOthers[] = {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
                                   "pooling_mode_weightedmean_tokens"};

Result<json> read_object(const fs::path& path) {
  SLLM_TRY(const std::string text, read_file(path, kMaxBytes));
  SLLM_TRY(json object, parse_json(text, path.string()));
  if (!object.is_object()) return bad_input("{}: is not a JSON object", path.string());
  return object;
}

Result<Rows> read_rows(const fs::path& path) {
  SLLM_TRY(const json object, read_object(path));
  const JsonFields fields(object, path.string());
  std::vector<Rows> found;
  const auto mode = object.find("pooling_mode");
  if (mode != object.end()) {
    SLLM_TRY(const auto name, fields.string("pooling_mode"));
    for (const RowsName& known : kRows)
      if (name == known.mode) found.push_back(known.rows);
  } else {
    for (const RowsName& known : kRows) {
      SLLM_TRY(const auto set, fields.boolean(known.flag));
      if (set.value_or(false)) found.push_back(known.rows);
    }
    for (const char* other : kOthers) {
      SLLM_TRY(const auto set, fields.boolean(other));
      if (set.value_or(false))
        return bad_input("{}: {} is not supported (mean, cls and lasttoken are)", path.string(),
                         other);
    }
  }
  if (found.size() != 1)
    return bad_input("{}: expected one pooling mode of mean, cls and lasttoken", path.string());
  return found[0];
}

Result<int64_t> read_dense(const fs::path& path) {
  SLLM_TRY(const json object, read_object(path));
  const JsonFields fields(object, path.string());
  SLLM_TRY(const auto bias, fields.boolean("bias"));
  SLLM_TRY(const auto activation, fields.string("activation_function"));
  if (bias.value_or(true)) return bad_input("{}: a bias is not supported", path.string());
  if (!activation || !activation->ends_with(".Identity"))
    return bad_input("{}: the activation {} is not supported (Identity is)", path.string(),
                     activation.value_or("Tanh"));
  return fields.need_integer("out_features");
}

bool is_plain(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         fs::path(name).filename() == fs::path(name);
}

Status add_module(const fs::path& folder, const std::string& type, const std::string& path,
                  PoolingModules& out) {
  if (type == "Transformer" || type == "Normalize") {
    if (type == "Normalize") out.pooling.normalize = true;
    return ok();
  }
  if (type != "Pooling" && type != "Dense")
    return bad_input(
        "the module \"{}\" is not supported (Transformer, Pooling, Dense and "
        "Normalize are)",
        type);
  if (!is_plain(path)) return bad_input("\"{}\" is not the name of a folder in this one", path);
  const fs::path config = folder / path / "config.json";
  if (type == "Pooling") {
    SLLM_TRY(out.pooling.rows, read_rows(config));
    return ok();
  }
  SLLM_TRY(const int64_t width, read_dense(config));
  out.pooling.dense.push_back(width);
  out.dense_folders.push_back(path);
  return ok();
}

}  // namespace

Result<std::optional<PoolingModules>> read_pooling_modules(const fs::path& folder) {
  const fs::path path = folder / "modules.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::optional<PoolingModules>();
  SLLM_TRY(const std::string text, read_file(path, kMaxBytes));
  SLLM_TRY(const json list, parse_json(text, path.string()));
  if (!list.is_array()) return bad_input("{}: is not a list of modules", path.string());
  PoolingModules out;
  out.pooling.normalize = false;
  bool pools = false;
  for (const json& module : list) {
    if (!module.is_object()) return bad_input("{}: a module is not an object", path.string());
    const JsonFields fields(module, path.string());
    SLLM_TRY(const auto type, fields.string("type"));
    SLLM_TRY(const auto where, fields.string("path"));
    if (!type) return bad_input("{}: a module has no \"type\"", path.string());
    const std::string name = type->substr(type->rfind('.') + 1);
    pools |= name == "Pooling";
    SLLM_OK(add_module(folder, name, where.value_or(""), out).context(path.string()));
  }
  if (!pools) return bad_input("{}: there is no Pooling module", path.string());
  return std::optional(std::move(out));
}

Status write_pooling_modules(const fs::path& folder, const ModelConfig& c) {
  if (!c.pooling) return ok();
  const Pooling& p = *c.pooling;
  ordered_json modules = ordered_json::array();
  const auto add = [&](const std::string& path, const char* type) {
    modules.push_back({{"idx", modules.size()},
                       {"name", std::to_string(modules.size())},
                       {"path", path},
                       {"type", std::string("sentence_transformers.models.") + type}});
  };
  const auto write = [&](const fs::path& name, const ordered_json& config) -> Status {
    std::error_code ignored;
    fs::create_directory((folder / name), ignored);
    return write_file_atomically(folder / name / "config.json", config.dump(2) + "\n");
  };
  add("", "Transformer");
  add("1_Pooling", "Pooling");
  ordered_json pooling = {{"word_embedding_dimension", c.D}};
  for (const RowsName& known : kRows) pooling[known.flag] = known.rows == p.rows;
  for (const char* other : kOthers) pooling[other] = false;
  SLLM_OK(write("1_Pooling", pooling));
  int64_t in = c.D;
  for (size_t k = 0; k < p.dense.size(); ++k) {
    add(dense_folder(k), "Dense");
    SLLM_OK(write(dense_folder(k), {{"in_features", in},
                                    {"out_features", p.dense[k]},
                                    {"bias", false},
                                    {"activation_function", "torch.nn.modules.linear.Identity"}}));
    in = p.dense[k];
  }
  if (p.normalize) add(fmt::format("{}_Normalize", modules.size()), "Normalize");
  return write_file_atomically(folder / "modules.json", modules.dump(2) + "\n");
}

void pooling_fields(ConfigFields& f, ModelConfig& c) {
  constexpr FieldKey kType{nullptr, "pooling_type"};
  if (!f.gguf() || (f.reading() ? !f.has(kType) : !c.pooling)) return;
  Pooling p = c.pooling.value_or(Pooling());
  const auto by_rows = std::ranges::find(kRows, p.rows, &RowsName::rows);
  int64_t type = by_rows->gguf;
  f.integer(kType, type);
  if (f.reading()) {
    if (!f.status().ok() || type == 0) return;  // none: the model pools nothing
    const auto known = std::ranges::find(kRows, type, &RowsName::gguf);
    if (known == std::end(kRows))
      return f.fail(bad_input("{} is {}; 1 (mean), 2 (cls) and 3 (last) are supported",
                              f.name_of(kType), type));
    p.rows = known->rows;
  }
  // llama.cpp normalises unless told otherwise; ours says it.
  f.flag({nullptr, "pooling_normalize"}, p.normalize, true);
  constexpr const char* kIn[] = {"dense_2_feat_in", "dense_3_feat_in"};
  constexpr const char* kOut[] = {"dense_2_feat_out", "dense_3_feat_out"};
  if (p.dense.size() > std::size(kOut))
    return f.fail(
        bad_input("{} linear layers behind the pooling, GGUF has room for 2", p.dense.size()));
  int64_t in = c.D;
  for (size_t k = 0; k < std::size(kOut); ++k) {
    if (f.reading() ? !f.has({nullptr, kOut[k]}) : k >= p.dense.size()) break;
    int64_t from = in;
    f.integer({nullptr, kIn[k]}, from);
    if (f.reading()) p.dense.push_back(0);
    f.integer({nullptr, kOut[k]}, p.dense[k]);
    if (from != in)
      return f.fail(bad_input("{} is {}, expected {}", f.name_of({nullptr, kIn[k]}), from, in));
    in = p.dense[k];
  }
  c.pooling = p;
}

std::string dense_folder(size_t k) { return fmt::format("{}_Dense", k + 2); }
std::string dense_name(size_t k) { return dense_folder(k) + ".linear.weight"; }

std::vector<TensorSpec> dense_tensors(const ModelConfig& c) {
  TensorList list;
  int64_t in = c.D;
  for (size_t k = 0; c.pooling && k < c.pooling->dense.size(); ++k) {
    const int64_t out = c.pooling->dense[k];
    list.add(dense_name(k), fmt::format("dense_{}.weight", k + 2), {out, in});
    in = out;
  }
  return list.take();
}

}  // namespace sllm
