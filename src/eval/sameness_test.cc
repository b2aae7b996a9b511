// What a comparison finds: nothing where a model is only stored otherwise, and each thing that was
// changed.
#include "eval/sameness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/sameness_parts.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tiny_tokenizer.h"
#include "tests/support/written.h"

namespace sllm::eval {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;
using Verdict = SamenessCheck::Verdict;

constexpr const char* kTemplate =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' "
    "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

class SamenessTest : public ::testing::Test {
 protected:
  struct Changes {
    std::string chat_template = kTemplate;
    TokenizerSource::Gguf tokenizer = testing::tiny_tokenizer();
    std::vector<int32_t> eos_ids = {2};
    std::optional<DType> type;
    std::function<void(TinyModel&)> weights = [](TinyModel&) {};
  };
  // A GGUF file, or a folder when the name has no extension.
  std::string write(const std::string& name, const Changes& changes) {
    ModelConfig config = testing::tiny_config();
    config.bos_id = 1, config.eos_ids = changes.eos_ids;
    auto source = std::make_shared<TinyModel>(config);
    changes.weights(*source);
    ModelToWrite model = as_written(source);
    model.tokenizer.gguf = changes.tokenizer;
    model.chat_template = changes.chat_template;
    if (changes.type) {
      for (TensorInfo& t : model.tensors)
        if (t.shape.size() == 2) t.dtype = *changes.type;
      model.tensor = [source](const TensorInfo& t) -> Result<Tensor> {
        SLLM_TRY(const Tensor stored, source->tensor(t.name));
        if (t.dtype == DType::kF32) return stored;
        Tensor out = Tensor::empty(t.dtype, t.shape);
        info(t.dtype).encode(stored.data<float>(), out.raw(), stored.size());
        return out;
      };
    }
    const fs::path path = folder_ / name;
    if (path.extension() == ".gguf")
      write_gguf(path, model).value();
    else
      testing::to_folder(path, model).value();
    return path.string();
  }
  static Sameness compare(const ArtefactName& a, const ArtefactName& b,
                          const std::string& bound = "") {
    SamenessOptions options;
    options.bound = bound, options.threads = 1;
    options.answers = 2, options.answer_tokens = 8, options.prompts = 4;
    auto result = compare_artefacts(a, b, options);
    EXPECT_TRUE(result.ok()) << result.error().to_string();
    return result.ok() ? *result : Sameness{};
  }
  static SamenessCheck check(const Sameness& s, const std::string& what) {
    for (const SamenessCheck& c : s.checks)
      if (c.what == what) return c;
    ADD_FAILURE() << "no check of " << what;
    return {};
  }
  static std::vector<std::string> differing(const Sameness& s) {
    std::vector<std::string> out;
    for (const SamenessCheck& c : s.checks)
      if (c.verdict == Verdict::kDiffers) out.push_back(c.what);
    return out;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(SamenessTest, TheSameModelInTwoFormatsIsTheSameToTheLastBit) {
  const Sameness s = compare({write("a.gguf", {}), {}, {}}, {write("folder", {}), {}, {}});
  EXPECT_TRUE(s.same()) << s.sentence();
  EXPECT_EQ(s.bound.kind, "exact");
  EXPECT_EQ(s.conversations_equal, 200);
  EXPECT_EQ(s.conversations, 200);
  EXPECT_EQ(s.delta, 0);
  EXPECT_EQ(s.answers_equal, 2);
  EXPECT_THAT(check(s, "weights").found, HasSubstr("20 of 20 tensors"));
}

TEST_F(SamenessTest, FindsOneChangedWeightAndSaysWhere) {
  Changes changes;
  changes.weights = [](TinyModel& model) {
    Tensor t = model.tensor("model.layers.1.mlp.up_proj.weight").value().clone();
    t.data<float>()[5 * t.cols() + 3] += 0.5f;
    model.replace("model.layers.1.mlp.up_proj.weight", t);
  };
  const Sameness s = compare({write("a.gguf", {}), {}, {}}, {write("b.gguf", changes), {}, {}});
  EXPECT_FALSE(s.same());
  const SamenessCheck weights = check(s, "weights");
  EXPECT_EQ(weights.verdict, Verdict::kDiffers);
  EXPECT_THAT(weights.found, HasSubstr("19 of 20"));
  EXPECT_THAT(weights.found, HasSubstr("model.layers.1.mlp.up_proj.weight"));
  EXPECT_THAT(weights.found, HasSubstr("row 5"));
  EXPECT_EQ(check(s, "tokens").verdict, Verdict::kSame);
}

TEST_F(SamenessTest, FindsAChangedTemplate) {
  Changes changes;
  const std::string end = "'<|im_end|>\\n'";
  changes.chat_template.replace(changes.chat_template.find(end), end.size(), "'<|im_end|>'");
  const Sameness s = compare({write("a.gguf", {}), {}, {}}, {write("b.gguf", changes), {}, {}});
  EXPECT_EQ(check(s, "tokens").verdict, Verdict::kDiffers);
  EXPECT_THAT(check(s, "tokens").found, HasSubstr("0 of 200"));
  EXPECT_THAT(check(s, "tokens").found, HasSubstr("the templates write"));
  EXPECT_EQ(check(s, "weights").verdict, Verdict::kSame);
  EXPECT_EQ(check(s, "logits").verdict, Verdict::kSame);  // of the same tokens
}

TEST_F(SamenessTest, FindsAChangedMerge) {
  Changes changes;
  std::erase(changes.tokenizer.merges, "i n");
  const Sameness s = compare({write("a.gguf", {}), {}, {}}, {write("b.gguf", changes), {}, {}});
  EXPECT_EQ(check(s, "tokens").verdict, Verdict::kDiffers);
  EXPECT_GT(s.conversations_equal, 0);
  EXPECT_LT(s.conversations_equal, 200);
  EXPECT_THAT(check(s, "tokens").found, HasSubstr("(\"in\")"));
}

TEST_F(SamenessTest, FindsOtherEndTokens) {
  Changes changes;
  changes.eos_ids = {2, 5};
  const Sameness s = compare({write("a.gguf", {}), {}, {}}, {write("b.gguf", changes), {}, {}});
  EXPECT_EQ(check(s, "ends").verdict, Verdict::kDiffers);
}

TEST_F(SamenessTest, RoundingIsAllowedWhereTheTypeAsksForItAndNotElsewhere) {
  Changes bf16, q8;
  bf16.type = DType::kBF16, q8.type = DType::kQ8_0;
  const std::string a = write("a.gguf", {}), b = write("bf16.gguf", bf16), c = write("q8.gguf", q8);
  const Sameness rounded = compare({a, {}, {}}, {b, {}, {}}),
                 blocks = compare({a, {}, {}}, {c, {}, {}});
  EXPECT_EQ(rounded.bound.kind, "bf16");
  EXPECT_TRUE(rounded.same()) << rounded.sentence();
  EXPECT_GT(*rounded.delta, 0);
  EXPECT_EQ(blocks.bound.kind, "q8_0");
  EXPECT_TRUE(blocks.same()) << blocks.sentence();
  EXPECT_THAT(differing(compare({a, {}, {}}, {b, {}, {}}, "exact")),
              ::testing::IsSupersetOf({"weights", "logits"}));
  EXPECT_THAT(differing(compare({a, {}, {}}, {c, {}, {}}, "bf16")),
              ::testing::IsSupersetOf({"weights"}));
}

TEST_F(SamenessTest, AnAdapterOnItsBaseIsTheMergedModel) {
  const std::string module = "model.layers.0.self_attn.v_proj";
  LoraAdapter adapter;
  adapter.rank = 2, adapter.alpha = 4;
  Rng rng(3);
  const ModelConfig c = testing::tiny_config();
  Tensor A = Tensor::empty(DType::kF32, {2, c.D}), B = Tensor::empty(DType::kF32, {c.Hk * c.Dh, 2});
  for (Tensor* t : {&A, &B})
    for (int64_t i = 0; i < t->size(); ++i) t->data<float>()[i] = 0.3f * rng.normal();
  adapter.modules[module] = {A, B};
  ASSERT_TRUE(write_peft_adapter(folder_ / "right", adapter).ok());
  Changes merged;
  merged.weights = [&](TinyModel& model) {
    Tensor w = model.tensor(module + ".weight").value().clone();
    for (int64_t row = 0; row < w.rows(); ++row)
      for (int64_t col = 0; col < w.cols(); ++col)
        for (int64_t r = 0; r < 2; ++r)
          w.data<float>()[row * w.cols() + col] +=
              2 * B.data<float>()[row * 2 + r] * A.data<float>()[r * c.D + col];
    model.replace(module + ".weight", w);
  };
  const std::string base = write("base.gguf", {}), after = write("merged.gguf", merged);
  const Sameness s = compare({base, (folder_ / "right").string(), {}}, {after, {}, {}});
  EXPECT_TRUE(s.same()) << s.sentence();
  EXPECT_EQ(s.bound.kind, "f32");
  EXPECT_THAT(check(s, "weights").found, HasSubstr("19 of 19 tensors"));
  EXPECT_THAT(check(s, "weights").found, HasSubstr("the adapter changes 1 more"));
  adapter.alpha = 5;  // merged with another scale
  ASSERT_TRUE(write_peft_adapter(folder_ / "wrong", adapter).ok());
  const Sameness wrong = compare({base, (folder_ / "wrong").string(), {}}, {after, {}, {}});
  EXPECT_THAT(differing(wrong), ::testing::Contains("logits"));
}

TEST_F(SamenessTest, SurvivesJson) {
  Changes changes;
  changes.type = DType::kBF16;
  const Sameness s = compare({write("a.gguf", {}), {}, {}}, {write("b.gguf", changes), {}, {}});
  const auto back = Sameness::from_json(nlohmann::ordered_json::parse(s.to_json().dump()));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->to_json().dump(), s.to_json().dump());
  EXPECT_FALSE(Sameness::from_json(nlohmann::ordered_json::parse("{\"a\":1}")).ok());
}

TEST(SamenessBound, NamesWhatThereIs) {
  EXPECT_EQ(sameness_bound("Q8_0")->kind, "q8_0");
  EXPECT_EQ(sameness_bound("quantised")->kind, "q2_k");
  for (int i = 0; i < kDTypeCount; ++i)
    if (const auto type = static_cast<DType>(i); is_block_format(type))
      EXPECT_TRUE(sameness_bound(std::string(info(type).name)).ok()) << info(type).name;
  EXPECT_THAT(sameness_bound("exact-ish").error().hint, HasSubstr("exact, f32, bf16"));
}

// A side whose answers a test chooses.
class ToldArtefact final : public Artefact {
 public:
  explicit ToldArtefact(Answer answer) : answer_(std::move(answer)) {}
  const std::string& name() const override { return name_; }
  std::string kind() const override { return "server"; }
  Numerics numerics() const override { return Numerics::kExact; }
  Result<int64_t> prompt_tokens(const Conversation&) override { return 5; }
  Result<std::vector<Answer>> answers(const std::vector<Conversation>& questions,
                                      int64_t) override {
    return std::vector<Answer>(questions.size(), answer_);
  }
  Result<std::vector<Chances>> chances(const ApiPrompt&) override { return std::vector<Chances>(); }

 private:
  std::string name_ = "told";
  Answer answer_;
};

Answer answer_of(const std::string& second, double own, double other) {
  Answer answer;
  const std::string rival = second == "b" ? "c" : "b";
  answer.tokens = {{"a", -0.1, {{"a", -0.1}, {"b", -3}}, 20},
                   {second, own, {{second, own}, {rival, other}}, 20}};
  answer.text = "a" + second;
  return answer;
}

TEST(SamenessAnswers, PartingIsAllowedWhereRoundingMayDecideAndNotElsewhere) {
  SamenessOptions options;
  options.answers = 1;
  const auto compare = [&](double margin, double delta) {
    ToldArtefact a(answer_of("b", -0.7, -0.7 - margin)), b(answer_of("c", -0.7, -0.8));
    Sameness out;
    out.bound.delta = delta;
    EXPECT_TRUE(compare_answers(a, b, options, out).ok());
    return out;
  };
  // 2 * 0.001 of a range of 20 is a margin of 0.04.
  EXPECT_TRUE(compare(0.039, 0.001).same());
  EXPECT_EQ(compare(0.039, 0.001).answers_tied, 1);
  EXPECT_FALSE(compare(0.041, 0.001).same());
  EXPECT_FALSE(compare(0.001, 0).same());
  EXPECT_THAT(compare(0.041, 0.001).sentence(), HasSubstr("parts at its token 2"));
}

TEST(Probes, AreTheSameEveryTimeAndHoldWhatConversionsGetWrong) {
  const auto once = probe_conversations(200), again = probe_conversations(200);
  std::string all;
  int tools = 0, systems = 0;
  for (size_t i = 0; i < once.size(); ++i) {
    ASSERT_EQ(once[i].messages.size(), again[i].messages.size());
    for (size_t m = 0; m < once[i].messages.size(); ++m) {
      EXPECT_EQ(once[i].messages[m].content, again[i].messages[m].content);
      all += once[i].messages[m].content;
    }
    tools += !once[i].tools.is_null();
    systems += once[i].messages.front().role == "system";
  }
  EXPECT_EQ(tools, 20);
  EXPECT_EQ(systems, 67);
  for (const char* piece : {"<|im_end|>", "\u1112\u1161\u11ab", "👩‍👩‍👧‍👦",
                            "def f(x):", "한국어", "\r\n"})
    EXPECT_THAT(all, HasSubstr(piece));
}

}  // namespace
}  // namespace sllm::eval
