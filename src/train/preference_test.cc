// Preference tuning on a tiny model: PyTorch's losses, slopes, pairs taken apart, resumed runs.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "cpu/cpu_backend.h"
#include "support/fake_engine.h"
#include "support/tuning.h"
#include "train/batches.h"
#include "train/preference_loss.h"
#include "train/reference.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// tests/golden/make_train_golden.py has the same.
std::vector<TokenId> golden_prompt(int i) {
  std::vector<TokenId> ids;
  for (int k = 0; k < 3 + 5 * i % 11; ++k) ids.push_back((13 * i + 5 * k + k * k) % 64);
  return ids;
}
std::vector<TokenId> golden_answer(int i, bool chosen) {
  std::vector<TokenId> ids;
  for (int k = 0; k < (chosen ? 2 + i % 4 : 3 + 2 * i % 5); ++k)
    ids.push_back((chosen ? 7 * i + 11 * k + 3 : 5 * i + 3 * k * k + 1) % 64);
  return ids;
}
Sample answered(int i, bool chosen) {
  Sample s{golden_prompt(i), {}};
  const size_t begin = s.ids.size();
  for (const TokenId id : golden_answer(i, chosen)) s.ids.push_back(id);
  s.targets.assign(s.ids.size(), -1);
  for (size_t k = begin; k < s.ids.size(); ++k) s.targets[k - 1] = s.ids[k];
  return s;
}
SampleSet golden_pairs(int count = 6) {
  SampleSet set;
  set.group = 2;
  for (int i = 0; i < count; ++i)
    for (const bool chosen : {true, false}) set.samples.push_back(answered(i, chosen));
  return set;
}
SampleSet golden_labels(int count = 6) {
  SampleSet set;
  for (int i = 0; i < count; ++i) {
    set.samples.push_back(answered(i, i % 2 == 0));
    set.wanted.push_back(i % 2 == 0);
  }
  return set;
}

class PreferenceTuning : public testing::TuningTest {
 protected:
  TuneOptions of(const std::string& objective, const std::string& run) const {
    TuneOptions o = options(run);
    o.objective = objective;
    o.beta = 0.5, o.steps = 6;
    if (objective == "simpo") o.gamma = 0.25;
    if (objective == "simpo" || objective == "dpo") o.label_smoothing = 0.1;
    if (objective == "kto") o.desirable_weight = 1.5, o.undesirable_weight = 0.75;
    return o;
  }
  static SampleSet data(const std::string& objective, int count = 6) {
    return objective == "kto" ? golden_labels(count) : golden_pairs(count);
  }
  Result<TuneResult> tuned(const TuneOptions& o, int eval = 0) {
    return run(o, data(o.objective), eval > 0 ? data(o.objective, eval) : SampleSet{});
  }
};

const char* const kObjectives[] = {"dpo", "ipo", "simpo", "orpo", "kto"};

TEST_F(PreferenceTuning, FollowsTorchStepByStep) {
  // {loss, gradient norm}, by tests/golden/make_train_golden.py (torch 2.13, float32).
  const std::map<std::string, std::vector<std::pair<double, double>>> golden = {
      {"dpo",
       {{0.6931471805599451, 9.488372802734375},
        {0.6931471805599451, 9.518653869628906},
        {-0.03368417796101277, 6.050879001617432},
        {-0.42512135345699825, 1.7703739404678345},
        {-0.7546194151854032, 1.4323540925979614},
        {-0.8743123428453489, 1.1869935989379883}}},
      {"ipo",
       {{1.0, 15.071925163269043},
        {1.0, 18.196598052978516},
        {0.3145415734988625, 11.260034561157227},
        {1.5564691819763778, 15.568185806274414},
        {1.6970906313006981, 12.770291328430176},
        {0.26413503157488005, 6.360843658447266}}},
      {"simpo",
       {{0.7970297586308711, 1.912750005722046},
        {0.781406222751801, 2.210296630859375},
        {0.5758508537831746, 1.2725529670715332},
        {0.45202604682660397, 0.6962716579437256},
        {0.38021999988382005, 0.5685369968414307},
        {0.3387556422088506, 0.13472631573677063}}},
      {"orpo",
       {{5.796815693167414, 4.123477458953857},
        {5.226289262499307, 4.964991092681885},
        {5.263170909665747, 3.1715445518493652},
        {4.192154692036414, 2.9161460399627686},
        {3.905996671227585, 2.3528270721435547},
        {3.493345360058818, 2.192887544631958}}},
      {"kto",
       {{0.625, 3.0480451583862305},
        {0.5, 2.7751052379608154},
        {0.2963635696806744, 1.9549535512924194},
        {0.13141414633585158, 1.0439971685409546},
        {0.029041298886013867, 0.17259718477725983},
        {0.027786075616081124, 0.140959694981575}}},
  };
  for (const char* objective : kObjectives) {
    TuneOptions o = of(objective, objective);
    o.init_adapter = golden_adapter();
    const TuneResult result = tuned(o).value();
    const auto metrics = read_metrics(o.run).value();
    for (size_t i = 0; i < 6; ++i) {
      const auto& [loss, norm] = golden.at(objective)[i];
      // Summed log-probabilities of about 60 that differ in the last place of float32.
      EXPECT_NEAR(result.loss[i], loss, 5e-6 * std::max(1.0, std::abs(loss))) << objective << i;
      EXPECT_NEAR(metrics[i].grad_norm, norm, 1e-4 * norm) << objective << i;
    }
    EXPECT_TRUE(metrics.front().rewards->chosen.has_value()) << objective;
    EXPECT_EQ(metrics.back().rewards->accuracy.has_value(), o.objective != "kto") << objective;
    EXPECT_EQ(metrics.back().rewards->margin(), result.rewards.back().margin()) << objective;
  }
}

TEST_F(PreferenceTuning, TermsHaveTheirSlopes) {
  const double step = 1e-5;
  for (const double shift : {-3.0, 0.0, 2.5}) {
    const AnswerScore chosen{-7.5 + shift, -7, 4}, rejected{-6, -6.5, 3};
    for (const char* objective : kObjectives) {
      const TuneOptions o = of(objective, "none");
      const PreferenceKind kind = *preference_kind(objective);
      for (const bool first : {true, false}) {
        AnswerScore up[] = {chosen, rejected}, down[] = {chosen, rejected};
        up[!first].policy += step, down[!first].policy -= step;
        double slope, expected;
        if (kind == PreferenceKind::kKto) {
          slope = kto_term(o, chosen, first, 0.3).answer.slope;
          expected =
              kto_term(o, AnswerScore{chosen.policy + step, chosen.reference, 4}, first, 0.3).loss -
              kto_term(o, AnswerScore{chosen.policy - step, chosen.reference, 4}, first, 0.3).loss;
        } else {
          const PairTerm term = pair_term(kind, o, chosen, rejected);
          slope = first ? term.chosen.slope : term.rejected.slope;
          expected =
              pair_term(kind, o, up[0], up[1]).loss - pair_term(kind, o, down[0], down[1]).loss;
        }
        expected /= 2 * step;
        EXPECT_NEAR(slope, expected, 1e-8 + 1e-6 * std::abs(expected)) << objective << first;
        EXPECT_GT(std::abs(slope), 1e-4) << objective << first;
      }
    }
  }
  // An answer that is certain to the last place does not make the loss infinite.
  const PairTerm certain =
      pair_term(PreferenceKind::kOrpo, of("orpo", "none"), {0, 0, 2}, {-9, 0, 3});
  EXPECT_TRUE(std::isfinite(certain.loss) && std::isfinite(certain.chosen.slope));
}

// What one forward holds together, what it must take apart, and prompts that are computed once
// differ in the order of sums alone.
TEST_F(PreferenceTuning, PackingChangesOnlyTheOrderOfSums) {
  for (const char* objective : kObjectives) {
    TuneOptions together = of(objective, fmt::format("{}-together", objective)),
                apart = of(objective, fmt::format("{}-apart", objective));
    apart.micro_tokens = 1;
    const TuneResult a = tuned(together).value(), b = tuned(apart).value();
    for (size_t i = 0; i < 6; ++i)
      EXPECT_NEAR(a.loss[i], b.loss[i], 5e-6 * std::max(1.0, std::abs(b.loss[i])))
          << objective << i;
  }
}

TEST_F(PreferenceTuning, ResumesBitForBitAfterASignal) {
  for (const char* objective : kObjectives) {
    TuneOptions whole = of(objective, fmt::format("{}-whole", objective)),
                cut = of(objective, fmt::format("{}-cut", objective));
    for (TuneOptions* o : {&whole, &cut})
      o->shuffle = true, o->eval_every = 2, o->micro_tokens = 16, o->save_every = 100;
    const TuneResult expected = tuned(whole, 4).value();
    // Stopped while the reference is computed, where there is one, and between two steps.
    if (has_reference(*preference_kind(objective))) {
      progress_ = [](const Progress& p) {
        if (p.label == "reference" && p.done > 70) request_stop(15);
      };
      const auto stopped = tuned(cut, 4);
      ASSERT_FALSE(stopped.ok()) << objective;
      EXPECT_EQ(stopped.error().code, ErrorCode::kTerminated) << objective;
      EXPECT_FALSE(has_checkpoints(cut.run)) << objective;
      EXPECT_GT(fs::file_size(cut.run / "reference.log"), 0u) << objective;
      clear_stop();
    }
    progress_ = [](const Progress& p) {
      if (p.label == "tune" && p.detail.starts_with("step 3/")) request_stop(2);
    };
    ASSERT_EQ(tuned(cut, 4).error().code, ErrorCode::kInterrupted) << objective;
    clear_stop();
    progress_ = {};
    cut.resume = true;
    const TuneResult resumed = tuned(cut, 4).value();
    EXPECT_EQ(resumed.resumed_from, 3) << objective;
    EXPECT_EQ(resumed.loss, expected.loss) << objective;
    EXPECT_EQ(resumed.eval_loss, expected.eval_loss) << objective;
    EXPECT_EQ(resumed.rewards.size(), 6u) << objective;
    EXPECT_EQ(weights(resumed), weights(expected)) << objective;
  }
}

TEST_F(PreferenceTuning, ThreadsDoNotChangeTheResult) {
  for (const char* objective : kObjectives)
    for (const Numerics mode : {Numerics::kExact, Numerics::kBf16}) {
      std::vector<std::string> results;
      for (const int threads : {1, 2}) {
        backend_ = make_cpu_backend(threads);
        TuneOptions o = of(objective, fmt::format("{}-{}-{}", objective, name(mode), threads));
        o.mode = mode;
        results.push_back(weights(tuned(o).value()));
      }
      EXPECT_EQ(results[0], results[1]) << objective << name(mode);
    }
}

TEST_F(PreferenceTuning, KeepsTheReferenceAndComputesWhatIsDamagedAgain) {
  TuneOptions o = of("dpo", "run");
  const TuneResult first = tuned(o).value();
  const fs::path path = o.run / "reference.log";
  const std::string whole = read_file(path).value();
  EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 12);
  std::string damaged = whole.substr(0, whole.size() - 9);  // torn at the end
  damaged[40] = damaged[40] == '1' ? '2' : '1';             // another number in the first line
  fs::remove_all(o.run);
  fs::create_directories(o.run);
  ASSERT_TRUE(write_file_atomically(path, damaged).ok());
  int computed = 0;
  progress_ = [&](const Progress& p) { computed += p.label == "reference"; };
  const TuneResult again = tuned(o).value();
  EXPECT_GT(computed, 0);
  EXPECT_EQ(again.loss, first.loss);
  std::string mended = read_file(path).value();
  EXPECT_EQ(mended.size(), whole.size());
  // Nothing is computed where all is there, all of it where the base is another.
  fs::remove_all(o.run / "checkpoints");
  computed = 0;
  ASSERT_TRUE(tuned(o).ok());
  EXPECT_EQ(computed, 0);
  const auto other = ReferenceLog::open(path, "another model");
  EXPECT_FALSE(other->find(ReferenceLog::key(answered(0, true))).has_value());
}

// The reference is what tuning starts from, so the first loss is that of no difference.
TEST_F(PreferenceTuning, AnAdapterThatIsTunedFurtherIsItsOwnReference) {
  TuneOptions o = of("dpo", "first");
  o.label_smoothing = 0;
  const TuneResult first = tuned(o).value();
  o.run = folder_ / "second";
  o.init_adapter = first.adapter;
  const TuneResult second = tuned(o).value();
  EXPECT_NEAR(second.loss[0], std::log(2.0), 1e-9);
  EXPECT_NEAR(second.rewards[0].margin().value(), 0, 1e-9);
  o.run = folder_ / "gains";  // which are there before the reference is asked
  o.dora = true;
  EXPECT_NEAR(tuned(o).value().loss[0], std::log(2.0), 1e-6);
}

TEST_F(PreferenceTuning, EvaluatesAndStopsEarly) {
  TuneOptions o = of("dpo", "run");
  o.label_smoothing = 0, o.lr = 0.5, o.clip = 0, o.steps = 30, o.warmup = 0;
  o.eval_every = 1, o.patience = 2;
  SampleSet swapped = golden_pairs(3);  // what is learned is wrong on these
  for (size_t i = 0; i < swapped.samples.size(); i += 2)
    std::swap(swapped.samples[i], swapped.samples[i + 1]);
  const TuneResult result = run(o, golden_pairs(3), swapped).value();
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.steps, result.best_step + 2);
  const auto metrics = read_metrics(o.run).value();
  EXPECT_LT(metrics.back().eval_rewards->margin().value(), 0);
  EXPECT_GT(metrics.back().rewards->margin().value(), 0);
  EXPECT_LE(metrics.back().eval_rewards->accuracy.value(), 0.5);
}

TEST(PreferencePack, LearnsThePromptsOfWholeSamplesOnce) {
  const SampleSet data = golden_pairs();
  const std::vector<uint32_t> pair = {4, 5};  // a prompt of 13 tokens
  const auto micros = pack(data, pair, {.share_beginnings = true, .group = 2, .whole_first = true});
  ASSERT_EQ(micros.size(), 1u);
  const MicroBatch& m = micros.front();
  const auto& chosen = data.samples[4];
  EXPECT_LT(m.batch.tokens.size(), chosen.ids.size() + data.samples[5].ids.size());
  double wholes = 0;
  for (size_t row = 0; row < m.targets.size(); ++row) {
    wholes += m.wholes[row];
    if (row < 12) {
      EXPECT_EQ(m.owners[row], -1);
      EXPECT_EQ(m.targets[row], chosen.ids[row + 1]);
    }
  }
  EXPECT_EQ(wholes, static_cast<double>(chosen.ids.size() - 1));
  EXPECT_EQ(std::ranges::count(m.owners, 0), chosen.supervised());
  EXPECT_EQ(std::ranges::count(m.owners, 1), data.samples[5].supervised());
}

TEST(PreferencePack, TakesPairsApartThatNoForwardHolds) {
  const SampleSet data = golden_pairs();
  const std::vector<uint32_t> all = {0, 1, 4, 5};
  const auto micros = pack(data, all, {.micro_tokens = 12, .group = 2});
  int64_t samples = 0;
  bool together = false;
  for (const MicroBatch& m : micros) {
    EXPECT_EQ(m.first, samples);
    samples += m.samples;
    together |= m.first == 0 && m.samples == 2;
  }
  EXPECT_EQ(samples, 4);
  EXPECT_TRUE(together);  // 5 and 6 tokens
  EXPECT_GE(micros.size(), 3u);
}

class PreferenceRows : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove(file_); }
  Result<SampleSet> read(const std::string& text, bool labelled) {
    EXPECT_TRUE(write_file_atomically(file_, text).ok());
    return read_preference_samples(file_, reader_, labelled);
  }
  fs::path file_ = fs::temp_directory_path() / fmt::format("sllm-preferences-{}.jsonl", ::getpid());
  Reader reader_{nullptr, nullptr, 300, 64};
};

TEST_F(PreferenceRows, ReadsPretokenisedPairsAndLabels) {
  const std::string pairs =
      "{\"prompt_ids\": [1, 2], \"chosen_ids\": [3], \"rejected_ids\": [4, 5]}\n"
      "{\"prompt_ids\": [6], \"chosen_ids\": [7], \"rejected_ids\": []}\n";
  const SampleSet set = read(pairs, false).value();
  EXPECT_EQ(set.items(), 1);
  EXPECT_EQ(set.dropped, 1);
  EXPECT_THAT(set.samples[0].targets, ElementsAre(-1, 3, -1));
  EXPECT_THAT(set.samples[1].targets, ElementsAre(-1, 4, 5, -1));
  const SampleSet apart = read(pairs, true).value();
  EXPECT_THAT(apart.wanted, ElementsAre(1, 0));
  const std::string label = "{\"prompt_ids\": [1], \"completion_ids\": [2], \"label\": false}\n";
  EXPECT_THAT(read(label, true).value().wanted, ElementsAre(0));
  EXPECT_THAT(read(label, false).error().hint, HasSubstr("kto"));
  EXPECT_NE(set.hash(), apart.hash());
}

TEST_F(PreferenceRows, LearnsTheAssistantsTokensBehindThePrompt) {
  reader_.tokenizer = std::make_shared<testing::ByteTokenizer>();
  reader_.chat_template = ChatTemplate::parse(
                              "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}"
                              "{% if add_generation_prompt %}a:{% endif %}",
                              "", "")
                              .value();
  const SampleSet set =
      read(
          "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", "
          "\"content\": \"w\"}, {\"role\": \"user\", \"content\": \"x\"}], "
          "\"chosen\": \"yes\", \"rejected\": \"no\"}\n",
          false)
          .value();
  ASSERT_EQ(set.items(), 1);
  std::string text, learned;
  for (const TokenId id : set.samples[0].ids) text += static_cast<char>(id);
  for (const TokenId id : set.samples[0].targets)
    if (id >= 0) learned += static_cast<char>(id);
  EXPECT_EQ(text, "u:q;a:w;u:x;a:yes;");
  EXPECT_THAT(learned, ::testing::StartsWith("yes"));  // and what ends the turn; not "w"
}

TEST(PreferenceOptions, RefuseWhatTheObjectiveDoesNotRead) {
  TuneOptions o;
  o.model = "m", o.data = "d", o.run = "r";
  o.gamma = 1;
  EXPECT_THAT(validate(o).error().message, HasSubstr("gamma is a setting of the objective simpo"));
  o.objective = "simpo";
  EXPECT_TRUE(validate(o).ok());
  o.gamma = 0.5, o.objective = "kto", o.batch = 1;
  EXPECT_THAT(validate(o).error().message, HasSubstr("batch must be at least 2"));
  o.objective = "ppo";
  EXPECT_THAT(validate(o).error().message, HasSubstr("objective must be"));
}

}  // namespace
}  // namespace sllm
