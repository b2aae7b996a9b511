// Successive halving on a tiny model: what it tries, who goes on, and that neither kills nor an end
// of the time change what it finds.
#include "train/search.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "support/tiny_model.h"
#include "train/checkpoint.h"

namespace sllm {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelConfig small_config() {
  ModelConfig c = testing::tiny_config();
  c.D = 32, c.F = 48, c.Dh = 8, c.V = 64, c.max_context = 128;
  return c;
}

SampleSet samples(int begin, int count) {
  SampleSet set;
  for (int i = begin; i < begin + count; ++i) {
    Sample s;
    for (int k = 0; k < 6 + i % 3; ++k) s.ids.push_back((5 * k + 3 * (i % 4)) % 64);
    s.targets.assign(s.ids.size(), -1);
    for (size_t k = 2; k < s.ids.size(); ++k) s.targets[k - 1] = s.ids[k];
    set.samples.push_back(std::move(s));
  }
  return set;
}

struct Killed {};

class Searches : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("sllm-search-{}-{}", ::getpid(),
                          ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  TuneOptions options(const std::string& run) const {
    TuneOptions o;
    o.model = "tiny", o.data = "memory", o.run = folder_ / run;
    o.rank = 2, o.alpha = 4, o.lr = 0.01, o.batch = 2, o.epochs = 1, o.warmup = 0;
    o.mode = Numerics::kExact;
    return o;
  }
  // Six candidates of 3 or 6 steps, compared after a third of them and at the end.
  static SearchOptions six() {
    SearchOptions s;
    s.space.lr_low = 1e-4, s.space.lr_high = 0.1;
    s.space.rank = {2, 4}, s.space.epochs = {1, 2};
    s.minutes = 1000, s.candidates = 6, s.rungs = 2;
    return s;
  }
  Result<Search> run(const TuneOptions& o, const SearchOptions& s, const ProgressSink& sink = {}) {
    return search(input(), o, s, sink);
  }
  TuneInput input() { return {*model_, *backend_, samples(0, 6), samples(6, 3), "base", "tiny"}; }

  // What was found, without the times.
  static std::string found(const Search& s) {
    auto json = s.to_json();
    for (const char* key : {"seconds", "minutes"}) json.erase(key);
    for (auto& c : json["candidates"])
      for (auto& rung : c["rungs"]) rung.erase("seconds");
    return json.dump();
  }
  static std::string weights(const fs::path& run) {
    return read_file(adapter_path(run) / "adapter_model.safetensors").value();
  }

  fs::path folder_;
  std::shared_ptr<Model> model_ =
      Model::load(std::make_shared<testing::TinyModel>(small_config())).value();
  std::shared_ptr<Backend> backend_ = std::make_shared<Backend>();
};

TEST_F(Searches, LetsTheBestThirdGoOnFromTheirCheckpoints) {
  const TuneOptions o = options("search");
  const Search s = run(o, six()).value();
  ASSERT_EQ(s.candidates.size(), 6u);
  std::vector<double> first, last;
  for (const SearchCandidate& c : s.candidates) {
    ASSERT_FALSE(c.rungs.empty());
    EXPECT_EQ(c.total_steps, 3 * c.epochs);
    EXPECT_EQ(c.rungs[0].step, c.epochs);
    EXPECT_DOUBLE_EQ(c.alpha, 2.0 * static_cast<double>(c.rank));
    first.push_back(c.rungs[0].loss);
    EXPECT_EQ(c.out, c.rungs.size() == 1);
    EXPECT_EQ(has_checkpoints(candidate_path(o.run, c.id)), !c.out);
    if (c.out) continue;
    EXPECT_EQ(c.rungs[1].step, c.total_steps);
    last.push_back(c.rungs[1].loss);
  }
  ASSERT_EQ(last.size(), 2u);
  std::ranges::sort(first);
  for (const SearchCandidate& c : s.candidates) EXPECT_EQ(c.out, c.rungs[0].loss > first[1]);
  const SearchCandidate& best = s.candidates[static_cast<size_t>(s.best)];
  EXPECT_EQ(best.rungs.back().loss, std::min(last[0], last[1]));
  EXPECT_EQ(s.ranking().front(), s.best);
  EXPECT_EQ(s.state_of(best), "best");
  EXPECT_FALSE(s.out_of_time);
}

TEST_F(Searches, TheBestIsTheRunThatTuningMakesOfItsSettings) {
  const TuneOptions o = options("search");
  const Search s = run(o, six()).value();
  const std::string text = read_file(best_path(o.run)).value();
  EXPECT_THAT(text, HasSubstr("[tune] in sllm.toml"));
  EXPECT_EQ(text.find("run ="), std::string::npos);
  TuneOptions again = tune_options_from_toml(text, "best.toml").value();
  again.model = o.model, again.data = o.data, again.run = folder_ / "again";
  const TuneResult result = tune(input(), again).value();
  EXPECT_EQ(weights(again.run), weights(candidate_path(o.run, s.best)));
  double loss = INFINITY;
  for (const auto& [step, one] : result.eval_loss) loss = std::min(loss, one);
  EXPECT_EQ(loss, s.candidates[static_cast<size_t>(s.best)].rungs.back().loss);
}

TEST_F(Searches, AKillAnywhereChangesNothing) {
  const std::string expected = found(run(options("whole"), six()).value());
  int64_t calls = 0, kill_at = 0;
  SearchOptions s = six();
  s.clock = [&] {
    if (++calls == kill_at) throw Killed();
    return 1e-3 * static_cast<double>(calls);
  };
  ASSERT_EQ(found(run(options("counted"), s).value()), expected);
  const int64_t all = calls;
  ASSERT_GT(all, 50);
  // Twice in each search: early and later.
  for (int64_t first = 2; first < all; first += 6) {
    TuneOptions o = options(fmt::format("killed-{}", first));
    for (const int64_t at : {first, int64_t{25}}) {
      calls = 0, kill_at = at;
      try {
        static_cast<void>(run(o, s));
      } catch (const Killed&) {
      }
      o.resume = fs::exists(search_path(o.run));
    }
    kill_at = 0;
    EXPECT_EQ(found(run(o, s).value()), expected) << first;
    EXPECT_TRUE(fs::exists(best_path(o.run)));
  }
}

TEST_F(Searches, EndsWithTheTimeAndGoesOnWithMore) {
  const std::string expected = found(run(options("whole"), six()).value());
  // A minute a step.
  double minutes = 0;
  SearchOptions s = six();
  s.clock = [&] { return 60 * minutes; };
  const auto step = [&](const Progress&) { ++minutes; };
  s.minutes = 4;
  TuneOptions o = options("short");
  const Search first = run(o, s, step).value();
  EXPECT_TRUE(first.out_of_time);
  EXPECT_DOUBLE_EQ(minutes, 4);
  EXPECT_DOUBLE_EQ(first.seconds, 240);
  EXPECT_GE(first.best, 0);
  o.resume = true;
  EXPECT_TRUE(run(o, s, step).value().out_of_time);  // nothing is left of the time
  EXPECT_DOUBLE_EQ(minutes, 4);
  s.minutes = 1000;
  const Search second = run(o, s, step).value();
  EXPECT_EQ(found(second), expected);
  EXPECT_GT(second.seconds, 240);
}

TEST_F(Searches, PlansByWhatItMeasures) {
  SearchOptions s = six();
  s.candidates = s.rungs = 0, s.rung_steps = 1;
  s.space.lr = {0.001, 0.01, 0.1}, s.space.rank = {2}, s.space.epochs = {1};
  const Search found = run(options("search"), s).value();
  EXPECT_GT(found.run_seconds, 0);
  EXPECT_GT(found.rung_seconds, 0);
  EXPECT_EQ(found.candidates.size(), 3u);
  EXPECT_EQ(found.brackets.at(0).shares.size(), 2u);
  s.minutes = 1e-9;
  const Error error = run(options("short"), s).error();
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(error.message, HasSubstr("minutes"));
  EXPECT_THAT(error.hint, HasSubstr("--minutes"));
}

TEST_F(Searches, ARateThatIsTooHighLoses) {
  TuneOptions o = options("search");
  o.steps = 40, o.weight_decay = 90, o.clip = 0, o.schedule = "constant";
  SearchOptions s;
  s.space.lr = {9, 0.001}, s.space.rank = {2};
  s.minutes = 1000, s.eta = 2, s.candidates = 2, s.rungs = 2;
  const Search found = run(o, s).value();
  for (const SearchCandidate& c : found.candidates)
    EXPECT_EQ(found.state_of(c), c.lr == 9 ? "diverged" : "best") << c.lr;
  // null in the journal, and back.
  const Search read = read_search(o.run).value();
  EXPECT_EQ(read.to_json(), found.to_json());
  s.space.lr = {9, 8};
  o.run = folder_ / "all";
  EXPECT_THAT(run(o, s).error().message, HasSubstr("every candidate"));
}

TEST_F(Searches, SeveralBracketsDrawCandidatesOfTheirOwn) {
  SearchOptions s = six();
  s.candidates = 3, s.brackets = 2;
  const Search found = run(options("search"), s).value();
  ASSERT_EQ(found.brackets.size(), 2u);
  EXPECT_THAT(found.brackets[0].candidates, ElementsAre(0, 1, 2));
  EXPECT_THAT(found.brackets[1].candidates, ElementsAre(3, 4, 5));
  EXPECT_THAT(found.brackets[1].shares, ElementsAre(1));
  for (const int64_t id : {3, 4, 5})
    EXPECT_EQ(found.candidates[static_cast<size_t>(id)].rungs.size(), 1u);
}

TEST_F(Searches, RefusesWhatCannotBeDecidedOrGoneOnWith) {
  TuneOptions o = options("search");
  TuneInput none = input();
  none.eval = {};
  const Error error = search(none, o, six()).error();
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(error.message, HasSubstr("no evaluation rows"));
  EXPECT_THAT(error.hint, HasSubstr("--eval-fraction"));
  ASSERT_TRUE(run(o, six()).ok());
  EXPECT_THAT(run(o, six()).error().hint, HasSubstr("--resume"));
  o.resume = true;
  SearchOptions other = six();
  other.space.rank = {8};
  EXPECT_THAT(run(o, other).error().message, HasSubstr("another space"));
  o.batch = 3;
  EXPECT_THAT(run(o, six()).error().message, HasSubstr("another settings"));
}

TEST(SearchCandidates, TheGivenSettingsThenDrawsOfTheSeed) {
  SearchSpace space;
  TuneOptions o;
  const auto many = draw_candidates(space, o, 400), few = draw_candidates(space, o, 5);
  EXPECT_EQ(many[0].lr, o.lr);
  EXPECT_EQ(many[0].rank, o.rank);
  EXPECT_EQ(many[0].epochs, o.epochs);
  for (size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i].lr, many[i].lr);
  int64_t low = 0;
  for (const SearchCandidate& c : many) {
    EXPECT_GE(c.lr, 2e-5);
    EXPECT_LE(c.lr, 2e-3);
    low += c.lr < 2e-4;  // the middle on a logarithmic axis
  }
  EXPECT_NEAR(static_cast<double>(low) / 400, 0.5, 0.1);  // four standard deviations
  o.seed = 1;
  EXPECT_NE(draw_candidates(space, o, 2)[1].lr, many[1].lr);
}

TEST(SearchCandidates, AGridIsTriedWholeInAnOrderOfTheSeed) {
  SearchSpace space;
  space.lr = {1e-4, 2e-4}, space.rank = {4, 8}, space.epochs = {1, 3};
  TuneOptions o;
  std::set<std::tuple<double, int64_t, int64_t>> seen;
  for (const SearchCandidate& c : draw_candidates(space, o, 100))
    seen.emplace(c.lr, c.rank, c.epochs);
  EXPECT_EQ(seen.size(), 8u);
  EXPECT_EQ(draw_candidates(space, o, 3).size(), 3u);
  o.steps = 10;  // the length is given: epochs do not matter
  EXPECT_EQ(draw_candidates(space, o, 100).size(), 4u);
  o.init_adapter = "a";  // and its rank is
  EXPECT_EQ(draw_candidates(space, o, 100).size(), 2u);
}

TEST(SearchPlan, AsManyCandidatesAsTheTimeHas) {
  SearchOptions o;
  const SearchCost cost{100, 1, 0.05};
  // 1/27 of a run is less than the least share: 37 candidates, 12 and 4 go on.
  const BracketPlan whole = *plan_bracket(o, cost, 1000, 1000);
  EXPECT_THAT(whole.shares, ElementsAre(DoubleEq(1.0 / 9), DoubleEq(1.0 / 3), 1));
  EXPECT_EQ(whole.candidates, 37);
  EXPECT_NEAR(whole.seconds, 37 * (100.0 / 9 + 1) + 12 * (200.0 / 9 + 1) + 4 * (200.0 / 3 + 1),
              1e-9);
  // Too short for whole runs: 8 candidates, 2 of them for a third of one.
  const BracketPlan part = *plan_bracket(o, cost, 150, 1000);
  EXPECT_THAT(part.shares, ElementsAre(DoubleEq(1.0 / 9), DoubleEq(1.0 / 3)));
  EXPECT_EQ(part.candidates, 8);
  EXPECT_LE(part.seconds, 150);
  EXPECT_EQ(plan_bracket(o, cost, 1000, 1000, 1)->shares.size(), 2u);
  EXPECT_EQ(plan_bracket(o, cost, 1000, 4)->candidates, 4);
  EXPECT_FALSE(plan_bracket(o, cost, 20, 1000));
  o.candidates = 9;
  EXPECT_EQ(plan_bracket(o, cost, 1000, 1000)->candidates, 9);
  EXPECT_FALSE(plan_bracket(o, cost, 50, 1000));
  o.rungs = 4;
  EXPECT_EQ(plan_bracket(o, cost, 1, 1000)->shares.size(), 4u);  // as asked for
}

TEST(SearchPlan, TheFirstRungLiesBehindTheWarmup) {
  SearchOptions o;
  TuneOptions t;
  t.warmup = 0.2;
  EXPECT_DOUBLE_EQ(least_share(o, t, 1000), 0.2);
  EXPECT_DOUBLE_EQ(least_share(o, t, 20), 0.5);
  EXPECT_DOUBLE_EQ(least_share(o, t, 5), 1);
  t.warmup = 300;
  EXPECT_DOUBLE_EQ(least_share(o, t, 1000), 0.3);
}

TEST(SearchJournal, SaysWhatIsWrongWithIt) {
  Search s;
  s.candidates.resize(1);
  s.brackets.push_back({{1.0}, {0}});
  EXPECT_EQ(search_from_json(s.to_json(), "x").value().to_json(), s.to_json());
  auto json = s.to_json();
  json["brackets"][0]["candidates"] = {7};
  EXPECT_THAT(search_from_json(json, "x").error().message, HasSubstr("not there"));
  json = s.to_json();
  json.erase("eta");
  EXPECT_THAT(search_from_json(json, "x").error().message, HasSubstr("x: "));
}

}  // namespace
}  // namespace sllm
