// search.json: written and read.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "train/search.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kFormat = 1;

// JSON has no infinity: null stands for the loss of a run that diverged.
Json number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }
double loss_of(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::infinity() : json.get<double>();
}

}  // namespace

bool SearchCandidate::diverged() const {
  return !rungs.empty() && !std::isfinite(rungs.back().loss);
}

std::string Search::state_of(const SearchCandidate& candidate) const {
  if (candidate.diverged()) return "diverged";
  if (candidate.id == best) return "best";
  if (candidate.out) return "out";
  return candidate.rungs.empty() ? "waiting" : "kept";
}

std::vector<int64_t> Search::ranking() const {
  const auto key = [&](int64_t id) {
    const SearchCandidate& c = candidates[static_cast<size_t>(id)];
    return c.rungs.empty() ? std::pair(0.0, 0.0)
                           : std::pair(-c.rungs.back().share, c.rungs.back().loss);
  };
  std::vector<int64_t> ids(candidates.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::stable_sort(ids, {}, key);
  return ids;
}

Json Search::to_json() const {
  Json all = Json::array(), plans = Json::array();
  for (const SearchCandidate& c : candidates) {
    Json rungs = Json::array();
    for (const SearchRung& r : c.rungs)
      rungs.push_back(
          {{"share", r.share}, {"step", r.step}, {"loss", number(r.loss)}, {"seconds", r.seconds}});
    all.push_back({{"id", c.id},
                   {"lr", c.lr},
                   {"rank", c.rank},
                   {"alpha", c.alpha},
                   {"epochs", c.epochs},
                   {"total_steps", c.total_steps},
                   {"state", state_of(c)},
                   {"out", c.out},
                   {"rungs", rungs}});
  }
  for (const SearchBracket& b : brackets)
    plans.push_back({{"shares", b.shares}, {"candidates", b.candidates}});
  return {{"format", kFormat},
          {"base", base},
          {"data", data},
          {"settings", settings},
          {"space", space},
          {"minutes", minutes},
          {"seconds", seconds},
          {"eta", eta},
          {"eval_samples", eval_samples},
          {"run_seconds", run_seconds},
          {"rung_seconds", rung_seconds},
          {"brackets", plans},
          {"candidates", all},
          {"best", best},
          {"out_of_time", out_of_time}};
}

Result<Search> search_from_json(const Json& json, const std::string& file) {
  Search s;
  try {
    if (json.at("format") != kFormat)
      return bad_input("{}: has format {}, expected {}", file, json.at("format").dump(), kFormat);
    s.base = json.at("base"), s.data = json.at("data");
    s.settings = json.at("settings"), s.space = json.at("space");
    s.minutes = json.at("minutes"), s.seconds = json.at("seconds");
    s.eta = json.at("eta"), s.eval_samples = json.at("eval_samples");
    s.run_seconds = json.at("run_seconds"), s.rung_seconds = json.at("rung_seconds");
    s.best = json.at("best"), s.out_of_time = json.at("out_of_time");
    for (const Json& c : json.at("candidates")) {
      SearchCandidate candidate;
      candidate.id = c.at("id"), candidate.lr = c.at("lr"), candidate.rank = c.at("rank");
      candidate.alpha = c.at("alpha"), candidate.epochs = c.at("epochs");
      candidate.total_steps = c.at("total_steps"), candidate.out = c.at("out");
      for (const Json& r : c.at("rungs"))
        candidate.rungs.push_back(
            {r.at("share"), r.at("step"), loss_of(r.at("loss")), r.at("seconds")});
      if (candidate.id != std::ssize(s.candidates))
        return bad_input("{}: its candidates are not numbered from 0 on", file);
      s.candidates.push_back(std::move(candidate));
    }
    const auto known = [&](int64_t id) { return id >= 0 && id < std::ssize(s.candidates); };
    for (const Json& b : json.at("brackets")) {
      SearchBracket bracket{b.at("shares"), b.at("candidates")};
      if (bracket.shares.empty() || !std::ranges::all_of(bracket.candidates, known))
        return bad_input("{}: a bracket has no rungs, or candidates that are not there", file);
      s.brackets.push_back(std::move(bracket));
    }
    if (s.best != -1 && !known(s.best)) return bad_input("{}: its best is not there", file);
  } catch (const Json::exception& e) {
    return bad_input("{}: is not the journal of a search: {}", file, e.what());
  }
  return s;
}

Result<Search> read_search(const fs::path& folder) {
  const fs::path path = search_path(folder);
  SLLM_TRY(const std::string text, read_file(path, uint64_t{1} << 28));
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return bad_input("{}: is not a JSON object", path.string());
  return search_from_json(json, path.string());
}

fs::path candidate_path(const fs::path& folder, int64_t id) {
  return folder / fmt::format("candidate-{:02}", id);
}

}  // namespace sllm
