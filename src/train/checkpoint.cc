// Writing, checking, restoring and pruning checkpoints.
#include "train/checkpoint.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/checked.h"
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

// A tensor of the optimiser's file, of which each rank has a part.
struct MomentTensor {
  std::string name;
  Tensor mine;
  Shape shape;              // of the whole
  std::vector<Part> parts;  // of each rank, in elements
  int64_t bytes_of(int64_t elements) const {
    return elements * (mine.dtype() == DType::kF32 ? int64_t{sizeof(float)} : 1);
  }
};
std::vector<MomentTensor> moment_tensors(const Trainable& trained, int ranks) {
  std::vector<MomentTensor> tensors;
  for (size_t i = 0; i < trained.parameters().size(); ++i) {
    const Parameter& p = trained.parameters()[i];
    std::vector<Part> parts, blocks;
    for (int r = 0; r < ranks; ++r) {
      parts.push_back(trained.slices().part(r, i));
      blocks.push_back(
          {parts.back().begin / kMomentBlock, ceil_div(parts.back().end, kMomentBlock)});
    }
    const Tensor& w = p.weight.tensor();
    for (const auto& [suffix, moment] : {std::pair(".m", &p.m), std::pair(".v", &p.v)}) {
      if (!moment->in_8_bits()) {
        tensors.push_back({p.name + suffix, moment->values, w.shape(), parts});
        continue;
      }
      tensors.push_back({p.name + suffix, moment->values, {w.size()}, parts});
      tensors.push_back({p.name + suffix + ".scales",
                         moment->scales,
                         {ceil_div(w.size(), kMomentBlock)},
                         blocks});
    }
  }
  return tensors;
}

// The whole of each, by its name in the file, on the first rank. Collective.
std::map<std::string, Tensor> gather_moments(const Trainable& trained, Ranks& ranks) {
  std::map<std::string, Tensor> whole;
  for (const MomentTensor& t : moment_tensors(trained, ranks.size())) {
    if (ranks.size() == 1) {
      whole[t.name] = t.mine.reshape(t.shape);
      continue;
    }
    const auto bytes = [&](Tensor& tensor, int64_t first, const Part& part) {
      return std::span(static_cast<std::byte*>(tensor.raw()) + t.bytes_of(first),
                       static_cast<size_t>(t.bytes_of(part.size())));
    };
    Ranks::Out out(static_cast<size_t>(ranks.size()));
    Ranks::In in(out.size());
    Tensor mine = t.mine;
    const std::span<std::byte> own = bytes(mine, 0, t.parts[static_cast<size_t>(ranks.rank())]);
    if (ranks.first()) {
      Tensor& all = whole[t.name] = Tensor::empty(mine.dtype(), t.shape);
      if (!own.empty()) std::memcpy(all.raw(), own.data(), own.size());
      for (size_t r = 1; r < in.size(); ++r) in[r] = bytes(all, t.parts[r].begin, t.parts[r]);
    } else {
      out[0] = own;
    }
    ranks.exchange(out, in);
  }
  return whole;
}

Status restore(const fs::path& folder, Trainable& trained, TrainerState& state, Ranks& ranks) {
  SLLM_TRY(state, read_state(folder / kState));
  SLLM_TRY(const SafetensorsFile moments, read_safetensors(folder / kOptimizer));
  const auto wanted = moment_tensors(trained, ranks.size());
  for (const MomentTensor& t : wanted) {
    const auto at = moments.tensors.find(t.name);
    if (at == moments.tensors.end() || at->second.shape() != t.shape ||
        at->second.dtype() != t.mine.dtype())
      return bad_input("{}: {} is missing or has another shape", (folder / kOptimizer).string(),
                       t.name);
  }
  SLLM_OK(trained.restore(folder));
  for (const MomentTensor& t : wanted) {
    Tensor mine = t.mine;  // shares the parameter's numbers
    const Part part = t.parts[static_cast<size_t>(ranks.rank())];
    if (part.size() == 0) continue;
    std::memcpy(
        mine.raw(),
        static_cast<const std::byte*>(moments.tensors.at(t.name).raw()) + t.bytes_of(part.begin),
        static_cast<size_t>(t.bytes_of(part.size())));
  }
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
                       const RunIdentity& identity, Ranks& ranks) {
  const auto moments = gather_moments(trained, ranks);
  const auto write = [&]() -> Status {
    SLLM_TRY(AtomicDir folder, AtomicDir::replace(checkpoint_path(run, state.step)));
    SLLM_OK(trained.save(folder.path()));
    SLLM_OK(write_safetensors(folder.path() / kOptimizer, moments));
    SLLM_OK(write_file_atomically(folder.path() / kState, to_json(state).dump(1)));
    SLLM_OK(write_manifest(folder.path(), identity));
    return folder.commit();
  };
  return ranks.agree(ranks.first() ? write() : ok());
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
                                                   const RunIdentity& identity, Ranks& ranks) {
  for (const int64_t step : steps_newest_first(run)) {
    const fs::path folder = checkpoint_path(run, step);
    Status status = verify_checkpoint(folder);
    TrainerState state;
    if (status.ok()) {
      SLLM_OK(same_identity(folder, identity));
      status = restore(folder, trained, state, ranks);
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
