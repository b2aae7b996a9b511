// Learning from a teacher on tiny models: PyTorch's losses, the teacher's file, resumed runs.
#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "cpu/cpu_backend.h"
#include "support/fake_engine.h"
#include "support/tuning.h"
#include "train/generate.h"
#include "train/reference.h"
#include "train/teacher.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using testing::golden_config;
using testing::golden_samples;
using ::testing::HasSubstr;

class Distilling : public testing::TuningTest {
 protected:
  TuneOptions of(const std::string& divergence, int64_t top_k, const std::string& run) const {
    TuneOptions o = options(run);
    o.teacher = "teacher";
    o.divergence = divergence, o.top_k = top_k, o.steps = 6;
    return o;
  }
  Result<TuneResult> learned(const TuneOptions& o, SampleSet eval = {}) {
    TuneInput input{*model_, *backend_, golden_samples(), std::move(eval), "base", "tiny"};
    input.teacher = {teacher_hash_, [this]() -> Result<std::shared_ptr<Model>> {
                       ++loads_;
                       return teacher_;
                     }};
    return tune(std::move(input), o, progress_);
  }
  std::shared_ptr<Model> teacher_ =
      Model::load(testing::golden_source(testing::golden_config(), "teacher.")).value();
  std::string teacher_hash_ = "teacher";
  int loads_ = 0;
};

TEST_F(Distilling, FollowsTorchStepByStep) {
  // {loss, gradient norm}, by tests/golden/make_train_golden.py (torch 2.13, float32).
  const std::vector<std::pair<double, double>> whole = {
      {2.4109308877660753, 1.5656217336654663}, {2.5051681766038896, 1.3912290334701538},
      {2.22730242194613, 1.1177445650100708},   {2.1368631894573613, 0.9391292333602905},
      {1.7299820633127871, 1.0926833152770996}, {1.8432920509836204, 1.2945289611816406}};
  const std::vector<std::pair<double, double>> kept = {
      {2.2345479586180024, 1.2620350122451782}, {1.9949105505551754, 1.2991580963134766},
      {2.069581946558397, 1.0729845762252808},  {1.6141259457748771, 1.060954213142395},
      {1.5261697720511318, 1.2545396089553833}, {1.2656413324321305, 0.7987135648727417}};
  for (const bool all : {true, false}) {
    TuneOptions o = of(all ? "forward" : "jsd", all ? 0 : 8, all ? "all" : "kept");
    if (!all) o.temperature = 2, o.mixture = 0.3, o.teacher_share = 0.6;
    o.init_adapter = golden_adapter();
    const TuneResult result = learned(o).value();
    const auto metrics = read_metrics(o.run).value();
    for (size_t i = 0; i < 6; ++i) {
      const auto& [loss, norm] = (all ? whole : kept)[i];
      EXPECT_NEAR(result.loss[i], loss, 5e-6 * loss) << all << i;
      EXPECT_NEAR(metrics[i].grad_norm, norm, 1e-4 * norm) << all << i;
    }
  }
}

TEST_F(Distilling, FindsNothingToLearnFromItself) {
  teacher_ = model_;
  TuneOptions o = of("reverse", 16, "run");
  o.steps = 1;
  EXPECT_NEAR(learned(o).value().loss[0], 0, 1e-6);
}

TEST_F(Distilling, ResumesBitForBitAfterASignal) {
  TuneOptions whole = of("jsd", 8, "whole"), cut = of("jsd", 8, "cut");
  for (TuneOptions* o : {&whole, &cut})
    o->shuffle = true, o->eval_every = 2, o->micro_tokens = 16, o->save_every = 100;
  const TuneResult expected = learned(whole, golden_samples(2)).value();
  progress_ = [](const Progress& p) {
    if (p.label == "teacher" && p.done > 30) request_stop(15);
  };
  ASSERT_EQ(learned(cut, golden_samples(2)).error().code, ErrorCode::kTerminated);
  const auto partial = fs::file_size(cut.run / "teacher.bin");
  clear_stop();
  progress_ = [](const Progress& p) {
    if (p.label == "tune" && p.detail.starts_with("step 3/")) request_stop(2);
  };
  ASSERT_EQ(learned(cut, golden_samples(2)).error().code, ErrorCode::kInterrupted);
  EXPECT_GT(fs::file_size(cut.run / "teacher.bin"), partial);
  clear_stop();
  progress_ = {};
  cut.resume = true;
  loads_ = 0;
  const TuneResult resumed = learned(cut, golden_samples(2)).value();
  EXPECT_EQ(loads_, 0);  // all that the teacher says is there
  EXPECT_EQ(resumed.loss, expected.loss);
  EXPECT_EQ(resumed.eval_loss, expected.eval_loss);
  EXPECT_EQ(weights(resumed), weights(expected));
  teacher_hash_ = "another";
  EXPECT_THAT(learned(cut, golden_samples(2)).error().message, HasSubstr("another teacher"));
}

// Judging the student's own answers is learning from rows that hold them.
TEST_F(Distilling, OnPolicyStepsLearnFromTheStudentsOwnAnswers) {
  TuneOptions o = of("reverse", 16, "own");
  o.on_policy = 1, o.answer_tokens = 7, o.temperature = 1.5, o.steps = 1, o.seed = 3;
  const TuneResult own = learned(o).value();

  Context ctx{*backend_, Numerics::kExact, nullptr};
  const SampleSet asked = golden_samples(3);  // of the first step
  std::vector<const Sample*> samples;
  for (const Sample& s : asked.samples) samples.push_back(&s);
  const auto answers =
      generate_answers(ctx, *model_, nullptr, samples,
                       {.max_tokens = 7, .temperature = 1.5f, .seed = Rng(3, 1).next_u64()});
  SampleSet rows;
  bool differs = false;
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(answer_begin(*samples[i]));
    Sample s{{samples[i]->ids.begin(), samples[i]->ids.begin() + begin}, {}};
    for (const TokenId id : answers[i].ids) s.ids.push_back(id);
    if (answers[i].ended) s.ids.push_back(samples[i]->ids.back());
    s.targets.assign(s.ids.size(), -1);
    for (size_t k = static_cast<size_t>(begin); k < s.ids.size(); ++k) s.targets[k - 1] = s.ids[k];
    differs |= s.ids != samples[i]->ids;
    rows.samples.push_back(std::move(s));
  }
  EXPECT_TRUE(differs);
  TuneOptions off = o;
  off.on_policy = 0, off.run = folder_ / "off";
  TuneInput input{*model_, *backend_, rows, {}, "base", "tiny"};
  input.teacher = {teacher_hash_, [this] { return Result(teacher_); }};
  EXPECT_EQ(tune(std::move(input), off).value().loss, own.loss);
}

TEST_F(Distilling, OnPolicyRunsResumeBitForBit) {
  TuneOptions whole = of("jsd", 8, "whole"), cut = of("jsd", 8, "cut");
  for (TuneOptions* o : {&whole, &cut})
    o->on_policy = 0.5, o->answer_tokens = 5, o->save_every = 100;
  const TuneResult expected = learned(whole).value();
  TuneOptions rows = of("jsd", 8, "rows");
  EXPECT_NE(learned(rows).value().loss, expected.loss);
  progress_ = [](const Progress& p) {
    if (p.label == "tune" && p.detail.starts_with("step 3/")) request_stop(2);
  };
  ASSERT_EQ(learned(cut).error().code, ErrorCode::kInterrupted);
  clear_stop();
  progress_ = {};
  cut.resume = true;
  EXPECT_EQ(learned(cut).value().loss, expected.loss);
}

TEST_F(Distilling, RunsMayShareWhatTheTeacherSaid) {
  std::vector<std::string> results;
  for (const char* name : {"one", "two", "apart"}) {
    const TuneOptions o = of("forward", 8, name);
    TuneInput input{*model_, *backend_, golden_samples(), {}, "base", "tiny"};
    input.teacher = {teacher_hash_, [this]() -> Result<std::shared_ptr<Model>> {
                       ++loads_;
                       return teacher_;
                     }};
    if (name != std::string("apart")) input.kept = folder_;
    results.push_back(weights(tune(std::move(input), o).value()));
  }
  EXPECT_EQ(loads_, 2);  // for the first one and for the one apart
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_FALSE(fs::exists(folder_ / "one" / "teacher.bin"));
}

TEST(KeptTokens, LeaveSomethingOfTheOthersAtLowTemperatures) {
  TeacherRows rows;
  const float logits[] = {0, 100, -3};
  keep_likeliest(rows, logits, 1, 0.02);
  EXPECT_THAT(rows.ids, ElementsAre(1));
  EXPECT_FLOAT_EQ(rows.log_probs[0], 0);
  EXPECT_FLOAT_EQ(rows.log_rest[0], -5000);  // exp(-5000) is 0 in double
}

TEST_F(Distilling, ThreadsDoNotChangeTheResult) {
  for (const Numerics mode : {Numerics::kExact, Numerics::kBf16}) {
    std::vector<std::string> results;
    for (const int threads : {1, 2}) {
      backend_ = make_cpu_backend(threads);
      TuneOptions o = of("jsd", 8, fmt::format("{}-{}", name(mode), threads));
      o.mode = mode, o.teacher_share = 0.5;
      results.push_back(weights(learned(o).value()));
    }
    EXPECT_EQ(results[0], results[1]) << name(mode);
  }
}

TEST(TeacherRowsTest, KeepsTheLikeliestAndWhatTheOthersHave) {
  const std::vector<float> logits = {1, 3, 2, 3, 0};
  TeacherRows rows;
  keep_likeliest(rows, logits, 3, 2);
  EXPECT_THAT(rows.ids, ElementsAre(1, 2, 3));
  double sum = 0;
  for (const float z : logits) sum += std::exp(z / 2);
  EXPECT_NEAR(rows.log_probs[1], 1 - std::log(sum), 1e-6);
  EXPECT_NEAR(rows.log_rest[0], std::log((std::exp(0.5) + 1) / sum), 1e-6);
  TeacherRows all;
  keep_likeliest(all, logits, 5, 1);
  EXPECT_THAT(all.ids, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(all.log_rest[0], -INFINITY);
  TeacherRows one;
  keep_likeliest(one, logits, 1, 1);  // of equals the first
  EXPECT_THAT(one.ids, ElementsAre(1));
}

TEST(TeacherLogTest, ReadsBackAndDropsWhatIsDamaged) {
  const fs::path path = fs::temp_directory_path() / fmt::format("sllm-teacher-{}", ::getpid());
  fs::remove(path);
  const std::string a(32, 'a'), b(32, 'b');
  {
    TeacherLog log = TeacherLog::open(path, "model", 2).value();
    ASSERT_TRUE(log.append(a, {{1, 5, 0, 2}, {-1, -2, -3, -4}, {-0.5f, -0.25f}}).ok());
    ASSERT_TRUE(log.append(b, {{3, 4}, {-1, -1}, {-2}}).ok());
    ASSERT_TRUE(log.map().ok());
    const auto rows = log.find(a);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[1].ids[1], 2);
    EXPECT_EQ(rows[1].log_probs[0], -3);
    EXPECT_EQ(rows[1].log_rest, -0.25f);
  }
  std::string bytes = read_file(path).value();
  bytes.resize(bytes.size() - 3);  // torn
  ASSERT_TRUE(write_file_atomically(path, bytes).ok());
  {
    TeacherLog log = TeacherLog::open(path, "model", 2).value();
    EXPECT_TRUE(log.has(a));
    EXPECT_FALSE(log.has(b));
    ASSERT_TRUE(log.append(b, {{3, 4}, {-1, -1}, {-2}}).ok());
  }
  EXPECT_TRUE(TeacherLog::open(path, "model", 2)->has(b));
  bytes = read_file(path).value();
  bytes[130] ^= 1;  // in the first record
  ASSERT_TRUE(write_file_atomically(path, bytes).ok());
  EXPECT_FALSE(TeacherLog::open(path, "model", 2)->has(a));
  EXPECT_FALSE(TeacherLog::open(path, "model", 3)->has(a));
  fs::remove(path);
}

TEST(TeacherTokens, MustBeTheStudents) {
  const testing::ByteTokenizer tokens;
  ModelConfig bytes = golden_config(), small = golden_config();
  bytes.V = 257;
  EXPECT_TRUE(check_same_tokens(&tokens, &tokens, bytes, bytes).ok());
  EXPECT_THAT(check_same_tokens(&tokens, &tokens, bytes, small).error().message,
              HasSubstr("the teacher has 64 tokens, the student 257"));
  EXPECT_TRUE(check_same_tokens(nullptr, &tokens, small, small).ok());
  EXPECT_FALSE(check_same_tokens(nullptr, &tokens, small, bytes).ok());
}

TEST(TeacherOptions, BelongToATeacher) {
  TuneOptions o;
  o.model = "m", o.data = "d", o.run = "r";
  o.temperature = 2;
  EXPECT_THAT(validate(o).error().message, HasSubstr("temperature is a setting of learning from"));
  o.teacher = "t";
  EXPECT_TRUE(validate(o).ok());
  o.mixture = 0.3;
  EXPECT_THAT(validate(o).error().message, HasSubstr("mixture is a setting of the divergence jsd"));
  o.divergence = "jsd";
  EXPECT_TRUE(validate(o).ok());
  o.objective = "dpo";
  EXPECT_THAT(validate(o).error().message, HasSubstr("teacher"));
}

}  // namespace
}  // namespace sllm
