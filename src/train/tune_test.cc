// The tuning loop on a tiny model: losses of PyTorch and PEFT, resumed runs, accumulation, packing.
#include "train/tune.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/events.h"
#include "cpu/cpu_backend.h"
#include "support/fake_engine.h"
#include "support/tuning.h"
#include "train/batches.h"
#include "train/generate.h"
#include "train/lora.h"
#include "train/preview.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using testing::golden_sample;
using testing::golden_samples;
using testing::numbers;

class Tuning : public testing::TuningTest {};

TEST_F(Tuning, FollowsPeftStepByStep) {
  TuneOptions o = options("run");
  o.init_adapter = golden_adapter();
  const TuneResult result = run(o).value();
  // {loss, gradient norm} of each step, by tests/golden/make_train_golden.py (torch 2.13, float32).
  const double golden[10][2] = {
      {5.509542942047119, 3.1533987522125244},  {4.9071860909461975, 3.2420928478240967},
      {5.0968451499938965, 2.681401014328003},  {3.953912615776062, 2.6501622200012207},
      {3.7028084993362427, 3.158238410949707},  {2.947228968143463, 2.189002752304077},
      {2.8195082545280457, 2.9669384956359863}, {2.435833841562271, 2.064196825027466},
      {2.301507145166397, 2.449956178665161},   {2.2378563284873962, 1.8476381301879883},
  };
  const auto metrics = read_metrics(o.run).value();
  ASSERT_EQ(metrics.size(), 10u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_NEAR(result.loss[i], golden[i][0], 5e-6 * golden[i][0]) << i;
    EXPECT_NEAR(metrics[i].grad_norm, golden[i][1], 1e-4 * golden[i][1]) << i;
  }
}

TEST_F(Tuning, AnswersHeldOutPromptsAtEachEvaluation) {
  TuneOptions o = options("run");
  o.eval_every = 5, o.answers = 2;
  TuneInput input{*model_, *backend_, golden_samples(), golden_samples(3), "base", "tiny"};
  input.tokenizer = std::make_shared<testing::ByteTokenizer>();
  ASSERT_TRUE(tune(input, o).ok());
  auto answers = read_preview(o.run).value();
  std::vector<std::pair<int64_t, int64_t>> given;
  for (const PreviewAnswer& a : answers) given.emplace_back(a.step, a.sample);
  EXPECT_THAT(given,
              ElementsAre(std::pair(5, 0), std::pair(5, 1), std::pair(10, 0), std::pair(10, 1)));
  o.resume = true;
  ASSERT_TRUE(tune(input, o).ok());
  EXPECT_EQ(read_preview(o.run)->size(), 4u);
  o.run = folder_ / "none", o.resume = false, o.answers = 0;
  ASSERT_TRUE(tune(input, o).ok());
  EXPECT_TRUE(read_preview(o.run)->empty());
}

TEST_F(Tuning, AnswersAreTheLikeliestTokens) {
  const SampleSet set = golden_samples(3);
  std::vector<const Sample*> samples;
  for (const Sample& s : set.samples) samples.push_back(&s);
  constexpr int64_t kMost = 5;
  Context ctx{*backend_, Numerics::kExact, nullptr};
  const auto answers = generate_answers(ctx, *model_, nullptr, samples, {.max_tokens = kMost});
  for (size_t i = 0; i < samples.size(); ++i) {
    const Sample& s = *samples[i];
    const size_t first =
        std::ranges::find_if(s.targets, [](TokenId t) { return t >= 0; }) - s.targets.begin() + 1;
    std::vector<TokenId> text(s.ids.begin(), s.ids.begin() + first), expected;
    while (std::ssize(expected) < kMost) {  // each time the whole text, without a state
      const Tensor hidden = model_->forward(ctx, Batch::single(text));
      const Tensor logits = model_->logits(ctx, hidden);
      const float* row = logits.data<float>() + (logits.rows() - 1) * logits.cols();
      const auto id = static_cast<TokenId>(std::max_element(row, row + logits.cols()) - row);
      if (id == s.ids.back()) break;
      expected.push_back(id);
      text.push_back(id);
    }
    EXPECT_EQ(answers[i].ids, expected) << i;
    EXPECT_EQ(answers[i].ended, std::ssize(expected) < kMost) << i;
  }
}

TEST_F(Tuning, AccumulationEqualsOneBigBatch) {
  TuneOptions one = options("one"), many = options("many");
  one.batch = 6, many.batch = 2, many.accumulate = 3;
  many.micro_tokens = 1;  // every sample its own forward
  const TuneResult a = run(one).value();
  const TuneResult b = run(many).value();
  for (int i = 0; i < 10; ++i) EXPECT_NEAR(a.loss[i], b.loss[i], 2e-6 * a.loss[i]) << i;
}

TEST_F(Tuning, PackedSamplesDoNotSeeEachOther) {
  // The first loss of a pack is the supervised-token mean of the samples' own losses.
  TuneOptions o = options("all");
  o.steps = 1, o.batch = 6;
  const double packed = run(o).value().loss.front();
  double sum = 0, count = 0;
  for (int i = 0; i < 6; ++i) {
    SampleSet single;
    single.samples.push_back(golden_sample(i));
    o.run = folder_ / fmt::format("single-{}", i);
    const auto n = static_cast<double>(single.supervised());
    sum += n * run(o, single).value().loss.front();
    count += n;
  }
  EXPECT_NEAR(packed, sum / count, 2e-6 * packed);
}

TEST_F(Tuning, ResumesBitForBitAfterASignal) {
  TuneOptions whole = options("whole"), cut = options("cut");
  whole.shuffle = cut.shuffle = true;
  whole.eval_every = cut.eval_every = 3;
  const std::string expected = weights(run(whole, golden_samples(), golden_samples(2)).value());
  cut.save_every = 100;
  progress_ = [](const Progress& p) {
    if (p.label == "tune" && p.detail.starts_with("step 4/")) request_stop(15);
  };
  const auto stopped = run(cut, golden_samples(), golden_samples(2));
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kTerminated);
  clear_stop();
  progress_ = {};
  cut.resume = true;
  const TuneResult resumed = run(cut, golden_samples(), golden_samples(2)).value();
  EXPECT_EQ(resumed.resumed_from, 4);
  EXPECT_EQ(resumed.loss.size(), 10u);
  EXPECT_EQ(resumed.eval_loss.size(), 3u);
  EXPECT_EQ(weights(resumed), expected);
}

TEST_F(Tuning, FinishesAnEvaluationThatASignalCutShort) {
  TuneOptions whole = options("whole"), cut = options("cut");
  whole.eval_every = cut.eval_every = 5;
  const TuneResult expected = run(whole, golden_samples(), golden_samples(2)).value();
  progress_ = [](const Progress& p) {
    if (p.label == "tune" && p.detail.starts_with("step 5/")) request_stop(2);
  };
  ASSERT_EQ(run(cut, golden_samples(), golden_samples(2)).error().code, ErrorCode::kInterrupted);
  clear_stop();
  cut.resume = true;
  const TuneResult resumed = run(cut, golden_samples(), golden_samples(2)).value();
  EXPECT_EQ(resumed.eval_loss, expected.eval_loss);
  EXPECT_EQ(weights(resumed), weights(expected));
}

TEST_F(Tuning, PassesOverACorruptNewestCheckpoint) {
  TuneOptions o = options("run");
  o.save_every = 2;
  const std::string expected = weights(run(o).value());
  // As if it had been killed after step 10's checkpoint, which then lost a bit.
  fs::remove_all(adapter_path(o.run));
  const fs::path newest = checkpoint_path(o.run, 10) / "optimizer.safetensors";
  std::fstream file(newest, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x55');
  file.close();
  EXPECT_THAT(verify_checkpoint(checkpoint_path(o.run, 10)).error().message, HasSubstr("SHA-256"));
  o.resume = true;
  const TuneResult resumed = run(o).value();
  EXPECT_EQ(resumed.resumed_from, 8);
  EXPECT_EQ(weights(resumed), expected);
}

TEST_F(Tuning, RefusesToResumeWithOtherSettingsOrData) {
  TuneOptions o = options("run");
  ASSERT_TRUE(run(o).ok());
  EXPECT_THAT(run(o).error().hint, HasSubstr("--resume"));
  o.resume = true;
  TuneOptions other = o;
  other.lr = 0.01;
  EXPECT_THAT(run(other).error().message, HasSubstr("another lr"));
  EXPECT_THAT(run(o, golden_samples(5)).error().message, HasSubstr("another data"));
  EXPECT_TRUE(run(o).ok());
}

TEST_F(Tuning, OneRunAtATimeInAFolder) {
  const TuneOptions o = options("run");
  fs::create_directories(o.run);
  const auto lock = FileLock::acquire(lock_path(o.run));
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(run(o).error().code, ErrorCode::kLocked);
}

TEST_F(Tuning, StopsEarlyAndKeepsTheBest) {
  TuneOptions o = options("run");
  o.lr = 0.5, o.clip = 0, o.steps = 40;  // far too high: the held-out loss gets worse
  o.eval_every = 1, o.patience = 2, o.warmup = 0;
  const TuneResult result = run(o, golden_samples(3), golden_samples(6)).value();
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.steps, result.best_step + 2);
  const auto best =
      std::min_element(result.eval_loss.begin(), result.eval_loss.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  EXPECT_EQ(best->first, result.best_step);
  EXPECT_EQ(
      weights(result),
      read_file(checkpoint_path(o.run, result.best_step) / "adapter_model.safetensors").value());
}

TEST_F(Tuning, KeepsTheLastGoodStateWhenTheLossIsNotFinite) {
  TuneOptions o = options("run");
  o.lr = 9, o.weight_decay = 90, o.clip = 0, o.warmup = 0, o.steps = 200, o.schedule = "constant";
  const auto result = run(o);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("no longer finite"));
  auto lora = TrainableLora::create(*model_, o).value();
  const auto last = read_metrics(o.run).value().back().step;
  const LoraAdapter kept = read_peft_adapter(checkpoint_path(o.run, last)).value();
  for (const auto& [module, pair] : kept.modules)
    for (int64_t i = 0; i < pair.B.size(); ++i) ASSERT_TRUE(std::isfinite(pair.B.data<float>()[i]));
}

TEST_F(Tuning, KeepsTheNewestCheckpointsAndTheBest) {
  TuneOptions o = options("run");
  o.save_every = 1;
  ASSERT_TRUE(run(o).ok());
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(o.run / "checkpoints"))
    names.push_back(entry.path().filename().string());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("step-00000009", "step-00000010"));
}

TEST_F(Tuning, ThreadsDoNotChangeTheResult) {
  for (const Numerics mode : {Numerics::kExact, Numerics::kBf16, Numerics::kFast}) {
    if (mode == Numerics::kFast)
      model_ =
          Model::load(std::make_shared<testing::TinyModel>(testing::tiny_config(), DType::kQ4_1))
              .value();
    std::vector<std::string> results;
    for (const int threads : {1, 2, 3}) {
      backend_ = make_cpu_backend(threads);
      TuneOptions o = options(fmt::format("{}-{}", name(mode), threads));
      o.mode = mode;
      results.push_back(weights(run(o).value()));
    }
    EXPECT_EQ(results[0], results[1]) << name(mode);
    EXPECT_EQ(results[0], results[2]) << name(mode);
  }
}

TEST_F(Tuning, Bf16StaysNearExact) {
  TuneOptions exact = options("exact"), rounded = options("bf16");
  rounded.mode = Numerics::kBf16;
  const TuneResult a = run(exact).value(), b = run(rounded).value();
  for (int i = 0; i < 10; ++i) EXPECT_NEAR(a.loss[i], b.loss[i], 0.03 * a.loss[i]) << i;
  EXPECT_NE(a.loss.back(), b.loss.back());
}

// Frozen weights of blocks times int8 going forward, the adapter and all gradients in bf16.
TEST_F(Tuning, Int8ForwardStaysNearBf16OnAQuantisedBase) {
  model_ = Model::load(std::make_shared<testing::TinyModel>(testing::tiny_config(), DType::kQ4_1))
               .value();
  TuneOptions rounded = options("bf16"), fast = options("fast");
  rounded.mode = Numerics::kBf16, fast.mode = Numerics::kFast;
  const TuneResult a = run(rounded).value(), b = run(fast).value();
  for (int i = 0; i < 10; ++i) EXPECT_NEAR(a.loss[i], b.loss[i], 0.03 * a.loss[i]) << i;
  EXPECT_NE(a.loss.front(), b.loss.front());
  EXPECT_LT(b.loss.back(), 0.8 * b.loss.front());
}

TEST_F(Tuning, AdaptsTheNamedLinearsOnly) {
  TuneOptions o = options("run");
  o.targets = "q_proj,v_proj";
  auto lora = TrainableLora::create(*model_, o).value();
  EXPECT_EQ(lora.parameters().size(), 2u * 2 * 2);
  const auto& A = lora.parameters().front();
  EXPECT_EQ(A.name, "model.layers.0.self_attn.q_proj.lora_A");
  for (int64_t i = 0; i < A.weight.tensor().size(); ++i)
    EXPECT_LE(std::abs(A.weight.tensor().data<float>()[i]), 1 / std::sqrt(32.0f));
  o.targets = "q_proj,nose";
  const Error error = TrainableLora::create(*model_, o).error();
  EXPECT_THAT(error.message, HasSubstr("nose"));
  EXPECT_THAT(error.hint, HasSubstr("down_proj"));
}

TEST(Schedule, VisitsEverySampleOncePerEpochInAnOrderOfTheSeed) {
  const SampleSet data = golden_samples();
  TuneOptions o;
  o.batch = 4, o.epochs = 2;
  Schedule schedule(data, o), again(data, o);
  EXPECT_EQ(schedule.total_steps(), 4);
  Cursor cursor, other;
  std::vector<uint32_t> seen;
  for (int i = 0; i < 4; ++i) {
    const auto step = schedule.next(cursor);
    EXPECT_EQ(step, again.next(other));
    seen.insert(seen.end(), step.begin(), step.end());
  }
  EXPECT_EQ(cursor, (Cursor{2, 0}));
  const std::vector<uint32_t> first(seen.begin(), seen.begin() + 6),
      second(seen.begin() + 6, seen.end());
  EXPECT_THAT(first, ::testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(second, ::testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_NE(first, second);
}

TEST(Schedule, FillsStepsByTokens) {
  const SampleSet data = golden_samples();  // 5, 12, 8, 15, 11, 7 tokens
  TuneOptions o;
  o.batch_tokens = 20, o.shuffle = false;
  Schedule schedule(data, o);
  Cursor cursor;
  EXPECT_THAT(schedule.next(cursor), ElementsAre(0, 1));
  EXPECT_THAT(schedule.next(cursor), ElementsAre(2));
  EXPECT_THAT(schedule.next(cursor), ElementsAre(3));
  EXPECT_THAT(schedule.next(cursor), ElementsAre(4, 5));
  EXPECT_EQ(cursor.epoch, 1);
}

TEST(Schedule, WarmsUpAndDecaysAsTransformersDoes) {
  TuneOptions o;
  o.warmup = 2;
  EXPECT_DOUBLE_EQ(lr_factor(o, 0, 10), 0);
  EXPECT_DOUBLE_EQ(lr_factor(o, 1, 10), 0.5);
  EXPECT_DOUBLE_EQ(lr_factor(o, 6, 10), 0.5);
  o.schedule = "linear";
  EXPECT_DOUBLE_EQ(lr_factor(o, 4, 10), 0.75);
  o.schedule = "constant", o.warmup = 0.25;
  EXPECT_DOUBLE_EQ(lr_factor(o, 2, 10), 2.0 / 3);
  EXPECT_DOUBLE_EQ(lr_factor(o, 9, 10), 1);
}

TEST(Pack, FillsForwardsEvenly) {
  const SampleSet data = golden_samples();
  const std::vector<uint32_t> all = {0, 1, 2, 3, 4, 5};
  const auto micros = pack(data, all, {.micro_tokens = 35, .row_weight = 0.5f});
  ASSERT_EQ(micros.size(), 2u);
  for (const MicroBatch& m : micros) {
    EXPECT_LE(m.batch.tokens.size(), 35u);
    EXPECT_EQ(m.batch.tokens.size(), m.weights.size());
    EXPECT_EQ(m.batch.segments.back().first_row + m.batch.segments.back().rows,
              static_cast<int64_t>(m.batch.tokens.size()));
  }
}

// 20 tokens that all begin with, 10 more of three of them, then what each learns.
SampleSet samples_that_begin_alike() {
  SampleSet set;
  for (int i = 0; i < 5; ++i) {
    Sample s;
    for (int k = 0; k < 20; ++k) s.ids.push_back((7 * k + 3) % 64);
    for (int k = 0; i < 3 && k < 10; ++k) s.ids.push_back((5 * k + 1) % 64);
    const auto begin = s.ids.size();
    for (int k = 0; k < 4 + i; ++k) s.ids.push_back((11 * k + 9 * i) % 64);
    s.targets.assign(s.ids.size(), -1);
    for (size_t k = begin + 1; k < s.ids.size(); ++k) s.targets[k - 1] = s.ids[k];
    set.samples.push_back(std::move(s));
  }
  return set;
}

TEST(Pack, ComputesWhatSamplesBeginWithOnce) {
  const SampleSet data = samples_that_begin_alike();
  const std::vector<uint32_t> all = {3, 0, 1, 4, 2};
  const auto micros = pack(data, all, {.share_beginnings = true});
  ASSERT_EQ(micros.size(), 1u);
  const MicroBatch& m = micros.front();
  EXPECT_EQ(m.sample_tokens, data.tokens());
  EXPECT_EQ(std::ssize(m.batch.tokens), 20 + 10 + (4 + 5 + 6 + 7 + 8));
  // Every sample is the path to one of the segments that nothing comes behind.
  std::vector<std::vector<int32_t>> texts;
  const auto& segments = m.batch.segments;
  for (int64_t i = 0; i < std::ssize(segments); ++i) {
    if (std::any_of(segments.begin(), segments.end(), [&](auto& s) { return s.before == i; }))
      continue;
    std::vector<int32_t> text;
    for (int64_t s = i; s >= 0; s = segments[static_cast<size_t>(s)].before) {
      const Segment& part = segments[static_cast<size_t>(s)];
      const auto from = m.batch.tokens.begin() + part.first_row;
      text.insert(text.begin(), from, from + part.rows);
      EXPECT_EQ(part.position + std::ssize(text),
                segments[static_cast<size_t>(i)].position + segments[static_cast<size_t>(i)].rows);
    }
    texts.push_back(std::move(text));
  }
  std::vector<std::vector<int32_t>> expected;
  for (const Sample& s : data.samples) expected.push_back(s.ids);
  EXPECT_THAT(texts, ::testing::UnorderedElementsAreArray(expected));
}

TEST_F(Tuning, SharedBeginningsChangeOnlyTheOrderOfSums) {
  TuneOptions shared = options("shared"), alone = options("alone");
  shared.batch = alone.batch = 5;
  alone.micro_tokens = 1;  // every sample its own forward
  const TuneResult a = run(shared, samples_that_begin_alike()).value();
  const TuneResult b = run(alone, samples_that_begin_alike()).value();
  for (int i = 0; i < 10; ++i) EXPECT_NEAR(a.loss[i], b.loss[i], 5e-6 * b.loss[i]) << i;
}

TEST(TuneOptionsToml, ReadsBackWhatItWrote) {
  TuneOptions o;
  o.model = "a \"b\".gguf", o.lr = 1.0 / 3, o.alpha = 7, o.mode = Numerics::kExact, o.seed = 9;
  const TuneOptions back = tune_options_from_toml(to_toml(o), "config.toml").value();
  EXPECT_EQ(to_toml(back), to_toml(o));
  EXPECT_EQ(back.lr, o.lr);
  EXPECT_THAT(tune_options_from_toml("rnak = 3", "x.toml").error().message, HasSubstr("x.toml:1"));
  EXPECT_THAT(tune_options_from_toml("rank = \"x\"", "x.toml").error().message,
              HasSubstr("wrong type"));
}

TEST(TuneOptionsToml, ValidationNamesTheField) {
  TuneOptions o;
  o.model = "m", o.data = "d", o.run = "r";
  EXPECT_TRUE(validate(o).ok());
  o.lr = -1;
  EXPECT_THAT(validate(o).error().message, HasSubstr("lr"));
}

TEST(Samples, ReadsPretokenisedRowsWithLabels) {
  const fs::path file = fs::temp_directory_path() / fmt::format("sllm-rows-{}", ::getpid());
  ASSERT_TRUE(write_file_atomically(
                  file,
                  "{\"input_ids\": [1, 2, 3], \"labels\": [-100, -100, 3]}\n\n"
                  "{\"input_ids\": [4, 5]}\n{\"input_ids\": [6, 7], \"labels\": [6, -100]}\n")
                  .ok());
  Reader reader;
  reader.vocabulary = 10;
  const SampleSet set = read_samples(file, reader).value();
  ASSERT_EQ(set.samples.size(), 2u);
  EXPECT_EQ(set.dropped, 1);
  EXPECT_THAT(set.samples[0].targets, ElementsAre(-1, 3, -1));
  EXPECT_THAT(set.samples[1].targets, ElementsAre(5, -1));
  reader.vocabulary = 5;
  EXPECT_THAT(read_samples(file, reader).error().message, HasSubstr(":3: "));
  fs::remove(file);
}

TEST(Samples, RefusesTextWhoseTokensHaveNoRow) {
  const fs::path file = fs::temp_directory_path() / fmt::format("sllm-rows-{}.jsonl", ::getpid());
  ASSERT_TRUE(write_file_atomically(file, "{\"text\": \"ab\"}\n").ok());
  Reader reader;
  reader.tokenizer = std::make_shared<testing::ByteTokenizer>();
  reader.chat_template = std::make_shared<testing::PlainTemplate>();
  reader.vocabulary = 257;
  EXPECT_EQ(read_samples(file, reader).value().samples.size(), 1u);
  reader.vocabulary = 'b';
  EXPECT_THAT(read_samples(file, reader).error().message, HasSubstr("the embedding has 98 rows"));
  fs::remove(file);
}

TEST(Samples, SaysThatRowsAreTooLongWhenThatIsWhyNothingIsLeft) {
  const fs::path file = fs::temp_directory_path() / fmt::format("sllm-long-{}", ::getpid());
  ASSERT_TRUE(
      write_file_atomically(file,
                            "{\"input_ids\": [1, 2, 3, 4], \"labels\": [-100, -100, -100, 4]}\n"
                            "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n")
          .ok());
  Reader reader;
  reader.vocabulary = 10, reader.max_length = 3;
  const Error error = read_samples(file, reader).error();
  EXPECT_EQ(error.code, ErrorCode::kBadInput);
  EXPECT_THAT(error.message, HasSubstr("none of its 2 rows"));
  EXPECT_THAT(error.message, HasSubstr("1 are longer than 3 tokens"));
  EXPECT_THAT(error.hint, HasSubstr("--max-length"));
  reader.max_length = 4;
  EXPECT_TRUE(read_samples(file, reader).ok());
  fs::remove(file);
}

TEST(Samples, SplitsOffAFractionBySeed) {
  SampleSet a = golden_samples(), b = golden_samples();
  const SampleSet held = split_off(a, 0.34, 5), same = split_off(b, 0.34, 5);
  EXPECT_EQ(held.samples.size(), 2u);
  EXPECT_EQ(a.samples.size(), 4u);
  EXPECT_EQ(held.hash(), same.hash());
}

TEST(Samples, HoldsOutAllAnswersToAPrompt) {
  SampleSet set;
  for (const TokenId answer : {50, 51})
    for (TokenId prompt = 0; prompt < 10; ++prompt) {
      set.samples.push_back({{prompt, 7, answer}, {-1, answer, -1}});
      set.wanted.push_back(answer == 50);
    }
  const SampleSet held = split_off(set, 0.3, 1);
  EXPECT_EQ(held.samples.size(), 6u);
  EXPECT_EQ(set.samples.size(), 14u);
  for (const Sample& out : held.samples)
    for (const Sample& in : set.samples) EXPECT_NE(out.ids[0], in.ids[0]);
}

}  // namespace
}  // namespace sllm
