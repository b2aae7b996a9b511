// Several ranks, as threads, leave what one process leaves; each method, each objective.
#include <gmock/gmock.h>

#include <numeric>

#include "base/sha256.h"
#include "cpu/cpu_backend.h"
#include "support/rank_threads.h"
#include "support/tiny_tokenizer.h"
#include "support/tuning.h"
#include "train/batches.h"
#include "train/gradient_sum.h"

namespace sllm {
namespace {

using testing::golden_samples;
using ::testing::HasSubstr;

TEST(Slices, EveryNumberIsOneRanks) {
  const std::vector<int64_t> sizes{3, 0, kSlice * 2 + 5, 7, kSlice};
  for (const int ranks : {1, 2, 3, 7}) {
    const Slices slices(sizes, ranks);
    int64_t most = 0, all = 0;
    for (size_t p = 0; p < sizes.size(); ++p) {
      int64_t end = 0;
      for (int r = 0; r < ranks; ++r) {
        const Part part = slices.part(r, p);
        if (part.size() == 0) continue;
        EXPECT_EQ(part.begin, end) << ranks;
        EXPECT_EQ(part.begin % kSlice, 0);
        end = part.end;
      }
      EXPECT_EQ(end, sizes[p]) << ranks;
      all += sizes[p];
    }
    for (int r = 0; r < ranks; ++r) {
      int64_t mine = 0;
      for (size_t p = 0; p < sizes.size(); ++p) mine += slices.part(r, p).size();
      most = std::max(most, mine);
    }
    EXPECT_LE(most, all / ranks + kSlice) << ranks;
  }
}

TEST(GradientTree, WhoHasWhichShardChangesNoBit) {
  Rng rng(5);
  std::vector<float> values(11);
  for (float& v : values) v = rng.uniform() * 1e3f - 300;
  const auto node = [&](int64_t i) {
    return GradientTree::Node{i, 1,
                              Tensor::from(std::span(&values[static_cast<size_t>(i)], 1), {1})};
  };
  for (int64_t shards = 1; shards <= 11; ++shards) {
    GradientTree whole;
    for (int64_t i = 0; i < shards; ++i) whole.push(node(i));
    const float wanted = *whole.root().data<float>();
    EXPECT_NEAR(wanted, std::accumulate(values.begin(), values.begin() + shards, 0.0), 1e-2);
    for (int ranks = 1; ranks <= shards; ++ranks) {
      GradientTree all;
      for (int r = 0; r < ranks; ++r) {
        const int64_t first = first_shard(r, ranks, shards),
                      last = first_shard(r + 1, ranks, shards);
        GradientTree mine;
        for (int64_t i = first; i < last; ++i) mine.push(node(i));
        const auto shape = GradientTree::shape(first, last);
        ASSERT_EQ(mine.nodes().size(), shape.size());
        for (size_t i = 0; i < shape.size(); ++i) {
          EXPECT_EQ(mine.nodes()[i].begin, shape[i].begin);
          all.push(mine.nodes()[i]);
        }
      }
      EXPECT_EQ(*all.root().data<float>(), wanted) << shards << " shards, " << ranks << " ranks";
    }
  }
}

TEST(Divide, GivesEachShardItsShareOfTokens) {
  SampleSet data;
  for (const size_t length : {90u, 10u, 10u, 10u, 40u, 40u})
    data.samples.push_back({std::vector<TokenId>(length), {}});
  const std::vector<uint32_t> items{0, 1, 2, 3, 4, 5};
  EXPECT_THAT(divide(data, items, 2), ::testing::ElementsAre(0, 2, 6));
  EXPECT_THAT(divide(data, items, 1), ::testing::ElementsAre(0, 6));
  EXPECT_THAT(divide(data, items, 6), ::testing::ElementsAre(0, 1, 2, 3, 4, 5, 6));
  const auto few = divide(data, std::span(items).first(2), 3);  // one of them is left empty
  EXPECT_EQ(few.front(), 0);
  EXPECT_EQ(few.back(), 2);
  EXPECT_TRUE(std::is_sorted(few.begin(), few.end()));
}

struct Way {
  const char* name;
  std::function<void(TuneOptions&)> set;
};

class TuningTogether : public testing::TuningTest {
 protected:
  static std::vector<Way> ways() {
    const auto full = [](TuneOptions& o) { o.method = "full", o.lr = 0.005; };
    return {{"lora", [](TuneOptions&) {}},
            {"dora", [](TuneOptions& o) { o.dora = true, o.lora_plus = 4; }},
            {"full", full},
            {"full without clipping", [=](TuneOptions& o) { full(o), o.clip = 0; }},
            {"8 bits", [=](TuneOptions& o) { full(o), o.optimizer = "adamw8bit"; }},
            {"dpo", [](TuneOptions& o) { o.objective = "dpo"; }},
            {"orpo", [](TuneOptions& o) { o.objective = "orpo"; }},
            {"kto", [](TuneOptions& o) { o.objective = "kto"; }},
            {"teacher", [](TuneOptions& o) { o.teacher = "teacher", o.top_k = 8; }}};
  }
  TuneOptions of(const Way& way, const std::string& run, int64_t shards) const {
    TuneOptions o = options(run);
    o.batch = 4, o.steps = 5, o.eval_every = 2, o.micro_tokens = 24;
    o.shards = shards;
    way.set(o);
    return o;
  }
  // Where all weights are trained, the embeddings have more than a slice.
  static ModelConfig config(const TuneOptions& o) {
    ModelConfig c = testing::golden_config();
    c.V = o.method == "full" ? 35000 : 320, c.tied_embeddings = true;
    return c;
  }
  static SampleSet data(const TuneOptions& o, int count) {
    SampleSet set = golden_samples(o.objective == "sft" ? count : 2 * count);
    if (o.objective == "kto")
      for (size_t i = 0; i < set.samples.size(); ++i) set.wanted.push_back(i % 2);
    else if (o.objective != "sft")
      set.group = 2;
    return set;
  }
  // As one of the ranks, with a model and a backend of its own.
  Result<TuneResult> tune_as(Ranks& ranks, const TuneOptions& o, const SampleSet& train) {
    const auto source = testing::golden_source(config(o));
    source->set_tokenizer({.gguf = testing::tiny_tokenizer()});
    const auto model = Model::load(source).value();
    const auto backend = make_cpu_backend(1);
    TeacherModel teacher;
    if (!o.teacher.empty())
      teacher = {"teacher",
                 [&o] { return Model::load(testing::golden_source(config(o), "teacher.")); }};
    return tune(
        {*model, *backend, train, data(o, 3), "base", "tiny", source, teacher, nullptr, {}, ranks},
        o, ranks.first() ? progress_ : ProgressSink());
  }
  std::vector<Result<TuneResult>> tune_with(int count, const TuneOptions& o) {
    std::vector<std::optional<Result<TuneResult>>> results(static_cast<size_t>(count));
    testing::RankThreads(count).run([&](Ranks& ranks) {
      results[static_cast<size_t>(ranks.rank())] = tune_as(ranks, o, data(o, 8));
    });
    std::vector<Result<TuneResult>> all;
    for (auto& result : results) all.push_back(std::move(*result));
    return all;
  }
  // All that a run leaves: its result, its losses, the newest checkpoint.
  static std::string left_by(const TuneResult& r, const TuneOptions& o) {
    std::string text = fmt::format("{} {}\n", fmt::join(r.loss, " "), r.best_step);
    for (const auto& [step, loss] : r.eval_loss) text += fmt::format("{} {}\n", step, loss);
    for (const StepMetrics& m : read_metrics(o.run).value())
      text += fmt::format("{} ", m.grad_norm);
    for (const fs::path& folder : {result_path(o), checkpoint_path(o.run, o.steps)}) {
      std::vector<fs::path> files;
      for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
      std::sort(files.begin(), files.end());
      for (const fs::path& file : files)
        if (file.extension() == ".safetensors")
          text += fmt::format("{} {}\n", file.filename().string(), sha256_file(file).value());
    }
    return text;
  }
};

TEST_F(TuningTogether, LeavesWhatOneProcessLeaves) {
  for (const Way& way : ways())
    for (const auto& [shards, ranks] : {std::pair{2, 2}, {3, 2}, {4, 3}}) {
      const std::string name = fmt::format("{} {} {}", way.name, shards, ranks);
      const TuneOptions alone_options = of(way, name + " alone", shards),
                        together_options = of(way, name, shards);
      const auto one = tune_with(1, alone_options), several = tune_with(ranks, together_options);
      ASSERT_TRUE(one[0].ok()) << name << ": " << one[0].error().to_string();
      for (const auto& result : several)
        ASSERT_TRUE(result.ok()) << name << ": " << result.error().to_string();
      EXPECT_EQ(left_by(*several[0], together_options), left_by(*one[0], alone_options)) << name;
    }
}

// What a step is does not change; the order of its sums does.
TEST_F(TuningTogether, ShardsChangeOnlyTheOrderOfSums) {
  for (const Way& way : ways()) {
    const std::string name = way.name;
    const auto whole = tune_with(1, of(way, name + " whole", 1)),
               sharded = tune_with(1, of(way, name + " sharded", 4));
    ASSERT_TRUE(whole[0].ok() && sharded[0].ok()) << name;
    for (size_t i = 0; i < whole[0]->loss.size(); ++i)  // float32: what PEFT is held to
      EXPECT_NEAR(sharded[0]->loss[i], whole[0]->loss[i], 5e-6 * std::abs(whole[0]->loss[i]))
          << name;
  }
}

TEST_F(TuningTogether, ResumesWithAnyNumberOfRanks) {
  for (const char* method : {"lora", "8 bits"}) {
    const std::vector<Way> all = ways();
    const Way& way = *std::find_if(all.begin(), all.end(),
                                   [&](const Way& w) { return !std::strcmp(w.name, method); });
    const TuneOptions whole = of(way, std::string(method) + " whole", 4);
    const std::string wanted = left_by(*tune_with(4, whole)[0], whole);
    for (const auto& [before, after] : {std::pair{2, 1}, {1, 3}, {4, 2}}) {
      TuneOptions o = of(way, fmt::format("{} {} {}", method, before, after), 4);
      progress_ = [](const Progress& p) {
        if (p.label == "tune" && p.detail.starts_with("step 3/")) request_stop(15);
      };
      for (const auto& stopped : tune_with(before, o)) {
        ASSERT_FALSE(stopped.ok());
        EXPECT_EQ(stopped.error().code, ErrorCode::kTerminated);
        EXPECT_THAT(stopped.error().message, HasSubstr("after step 3"));
      }
      clear_stop();
      progress_ = {};
      o.resume = true;
      o.shards = 0;  // those it was started with
      const auto resumed = tune_with(after, o);
      ASSERT_TRUE(resumed[0].ok()) << resumed[0].error().to_string();
      EXPECT_EQ(resumed[0]->resumed_from, 3);
      EXPECT_EQ(left_by(*resumed[0], o), wanted) << method << before << after;
    }
  }
}

TEST_F(TuningTogether, AllRanksEndWithTheErrorOfOne) {
  TuneOptions o = options("other");
  o.shards = 2;
  testing::RankThreads(2).run([&](Ranks& ranks) {
    SampleSet train = golden_samples();
    if (ranks.rank() == 1) train.samples.pop_back();
    const auto result = tune_as(ranks, o, train);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kUsage);
    EXPECT_THAT(result.error().message, HasSubstr("rank 1 has other rows"));
  });
  o = options("more"), o.shards = 2;
  for (const auto& result : tune_with(3, o))
    EXPECT_THAT(result.error().message,
                HasSubstr("3 ranks share the work of a step that is divided into 2"));
  o = options("policy"), o.shards = 2, o.teacher = "teacher", o.on_policy = 0.5;
  EXPECT_THAT(tune_with(2, o)[0].error().message, HasSubstr("shards must be 1 with on_policy"));
}

}  // namespace
}  // namespace sllm
