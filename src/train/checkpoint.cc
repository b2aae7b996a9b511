// Writing, checking, restoring and pruning checkpoints.
#include "train/checkpoint.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/events.h"
#include "base/sha256.h"
#include "io/safetensors.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kFormat = 1;
constexpr const char* kManifest = "MANIFEST.json";
constexpr const char* kState = "state.json";
constexpr const char* kOptimizer = "optimizer.safetensors";

std::optional<int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with("step-")) return std::nullopt;
  int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

std::vector<int64_t> steps_newest_first(const fs::path& run) {
  std::vector<int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", ignored))
    if (const auto step = step_of(entry.path())) steps.push_back(*step);
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

Json to_json(const TrainerState& s) {
  Json json = {{"step", s.step},
               {"epoch", s.cursor.epoch},
               {"position", s.cursor.position},
               {"tokens", s.tokens},
               {"supervised", s.supervised},
               {"seconds", s.seconds},
               {"best_step", s.best_step},
               {"worse", s.worse},
               {"evaluation_due", s.evaluation_due}};
  if (s.best_step >= 0) json["best_eval"] = s.best_eval;
  return json;
}

Result<Json> read_json(const fs::path& path) {
  SLLM_TRY(const std::string text, read_file(path, uint64_t{1} << 24));
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return bad_input("{}: is not a JSON object", path.string());
  return json;
}

// Library exceptions of the wrong type or a missing key become a sentence.
template <class F>
Status reading(const fs::path& path, F f) {
  try {
    f();
  } catch (const nlohmann::json::exception& e) {
    return bad_input("{}: {}", path.string(), e.what());
  }
  return ok();
}

Result<TrainerState> read_state(const fs::path& path) {
  SLLM_TRY(const Json json, read_json(path));
  TrainerState s;
  SLLM_OK(reading(path, [&] {
    s.step = json.at("step");
    s.cursor = {json.at("epoch"), json.at("position")};
    s.tokens = json.at("tokens");
    s.supervised = json.at("supervised");
    s.seconds = json.at("seconds");
    s.best_step = json.at("best_step");
    s.worse = json.at("worse");
    s.evaluation_due = json.at("evaluation_due");
    if (s.best_step >= 0) s.best_eval = json.at("best_eval");
  }));
  return s;
}

Status write_manifest(const fs::path& folder, const RunIdentity& identity) {
  Json files = Json::object();
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    SLLM_TRY(const std::string hash, sha256_file(path));
    files[path.filename().string()] = {{"bytes", fs::file_size(path)}, {"sha256", hash}};
  }
  const Json manifest = {{"format", kFormat},           {"base", identity.base},
                         {"config", identity.config},   {"data", identity.data},
                         {"teacher", identity.teacher}, {"files", files}};
  return write_file_atomically(folder / kManifest, manifest.dump(1));
}

// By their names in the file.
std::map<std::string, Tensor> tensors_of_moments(const Trainable& trained) {
  std::map<std::string, Tensor> tensors;
  for (const Parameter& p : trained.parameters())
    for (const auto& [suffix, moment] : {std::pair(".m", &p.m), std::pair(".v", &p.v)}) {
      tensors[p.name + suffix] = moment->values;
      if (moment->in_8_bits()) tensors[p.name + suffix + ".scales"] = moment->scales;
    }
  return tensors;
}

Status restore(const fs::path& folder, Trainable& trained, TrainerState& state) {
  SLLM_TRY(state, read_state(folder / kState));
  SLLM_TRY(const SafetensorsFile moments, read_safetensors(folder / kOptimizer));
  const auto wanted = tensors_of_moments(trained);
  for (const auto& [name, moment] : wanted) {
    const auto at = moments.tensors.find(name);
    if (at == moments.tensors.end() || at->second.shape() != moment.shape() ||
        at->second.dtype() != moment.dtype())
      return bad_input("{}: {} is missing or has another shape", (folder / kOptimizer).string(),
                       name);
  }
  SLLM_OK(trained.restore(folder));
  for (auto [name, moment] : wanted)  // shares the parameter's numbers
    std::memcpy(moment.raw(), moments.tensors.at(name).raw(), static_cast<size_t>(moment.bytes()));
  return ok();
}

Status same_identity(const fs::path& folder, const RunIdentity& identity) {
  SLLM_TRY(const Json manifest, read_json(folder / kManifest));
  for (const auto& [key, mine] :
       {std::pair("base", identity.base), std::pair("config", identity.config),
        std::pair("data", identity.data), std::pair("teacher", identity.teacher)})
    if (manifest.value(key, "") != mine)
      return with_hint(usage_error("{}: was made with another {}", folder.string(), key),
                       "Resume with the same settings, or tune into another folder");
  return ok();
}

void remove_checkpoint(const fs::path& folder) {
  std::error_code ignored;
  fs::remove(folder / kManifest, ignored);  // first, so that half a folder is not a checkpoint
  fs::remove_all(folder, ignored);
}

}  // namespace

fs::path checkpoint_path(const fs::path& run, int64_t step) {
  return run / "checkpoints" / fmt::format("step-{:08}", step);
}

bool has_checkpoints(const fs::path& run) { return !steps_newest_first(run).empty(); }

Status check_identity(const fs::path& run, const RunIdentity& identity) {
  for (const int64_t step : steps_newest_first(run))
    if (const fs::path folder = checkpoint_path(run, step); fs::exists(folder / kManifest))
      if (Status status = same_identity(folder, identity);
          status.ok() || status.error().code == ErrorCode::kUsage)
        return status;
  return ok();
}

Status save_checkpoint(const fs::path& run, const Trainable& trained, const TrainerState& state,
                       const RunIdentity& identity) {
  SLLM_TRY(AtomicDir folder, AtomicDir::replace(checkpoint_path(run, state.step)));
  SLLM_OK(trained.save(folder.path()));
  SLLM_OK(write_safetensors(folder.path() / kOptimizer, tensors_of_moments(trained)));
  SLLM_OK(write_file_atomically(folder.path() / kState, to_json(state).dump(1)));
  SLLM_OK(write_manifest(folder.path(), identity));
  return folder.commit();
}

Status verify_checkpoint(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifest;
  SLLM_TRY(const Json manifest, read_json(path));
  Status status = ok();
  SLLM_OK(reading(path, [&] {
    if (manifest.at("format") != kFormat)
      status = bad_input("{}: has format {}, expected {}", path.string(),
                         manifest.at("format").dump(), kFormat);
    for (const auto& [name, file] : manifest.at("files").items()) {
      if (!status.ok()) return;
      std::error_code error;
      const uint64_t bytes = fs::file_size(checkpoint / name, error);
      const uint64_t expected = file.at("bytes");
      if (error || bytes != expected) {
        status = bad_input("{}: is missing or not {} bytes long", (checkpoint / name).string(),
                           expected);
        return;
      }
      const auto hash = sha256_file(checkpoint / name);
      if (!hash.ok() || *hash != file.at("sha256").get<std::string>())
        status = bad_input("{}: its SHA-256 is not the manifest's", (checkpoint / name).string());
    }
  }));
  return status;
}

Result<std::optional<TrainerState>> restore_newest(const fs::path& run, Trainable& trained,
                                                   const RunIdentity& identity) {
  for (const int64_t step : steps_newest_first(run)) {
    const fs::path folder = checkpoint_path(run, step);
    Status status = verify_checkpoint(folder);
    TrainerState state;
    if (status.ok()) {
      SLLM_OK(same_identity(folder, identity));
      status = restore(folder, trained, state);
    }
    if (status.ok()) return std::optional(state);
    log(LogLevel::kWarning, fmt::format("checkpoint passed over: {}", status.error().to_string()));
  }
  return std::optional<TrainerState>();
}

void drop_checkpoints_after(const fs::path& run, int64_t step) {
  for (const int64_t s : steps_newest_first(run))
    if (s > step) remove_checkpoint(checkpoint_path(run, s));
}

void prune_checkpoints(const fs::path& run, int64_t keep, int64_t best_step) {
  std::error_code ignored;
  int64_t kept = 0;
  for (const int64_t step : steps_newest_first(run)) {
    if (kept++ < keep || step == best_step) continue;
    remove_checkpoint(checkpoint_path(run, step));
  }
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", ignored))
    if (entry.path().filename().string().starts_with(".step-"))
      fs::remove_all(entry.path(), ignored);
}

}  // namespace sllm
