// Rows that bring what a teacher said of them.
#include "train/said_rows.h"

#include <gmock/gmock.h>

#include <cmath>

#include "support/tiny_tokenizer.h"
#include "support/tuning.h"
#include "train/reference.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTemplate =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + ':' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}"
    "{% endgeneration %}{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{% endfor %}";

class SaidRowsTest : public testing::TuningTest {
 protected:
  Reader reader() const {
    testing::TinyModel model;
    model.set_tokenizer({.gguf = testing::tiny_tokenizer()});
    model.set_chat_template(kTemplate);
    Reader r;
    r.tokenizer = Tokenizer::of(model).value();
    r.chat_template = ChatTemplate::of(model, *r.tokenizer).value();
    r.vocabulary = 320;
    return r;
  }
  fs::path write(const std::string& rows) const {
    EXPECT_TRUE(write_file_atomically(folder_ / "rows.jsonl", rows).ok());
    return folder_ / "rows.jsonl";
  }
};

// The student reads "hello" as one token, the teacher said it in two.
TEST_F(SaidRowsTest, SpellsWhatWasSaidInTheStudentsTokens) {
  const fs::path path = write(
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
      R"({"role":"user","content":"c"},{"role":"assistant","content":"hello x"}],)"
      R"("logprobs":[["he",-0.1,[["he",-0.1],["no",-3.0]]],["llo",-0.2,[]],[" x",-0.3,[[" t",-2.0],["",-2.5]]],["",-0.05,[["",-0.05],["he",-4.0]]]]})"
      "\n");
  const Reader r = reader();
  const SampleSet samples = read_samples(path, r).value();
  SaidRows said;
  ASSERT_TRUE(add_said_rows(said, path, samples, r.tokenizer, 2, 320).ok());
  const Sample& sample = samples.samples.at(0);
  const TeacherRows& rows = said.at(ReferenceLog::key(sample));
  ASSERT_EQ(std::ssize(rows.log_rest), sample.supervised());
  // The first answer, "b" and its end, was not the teacher's; of the end of the last nothing is
  // said.
  std::vector<std::string> texts;
  for (const TokenId id : sample.targets)
    if (id >= 0) texts.emplace_back(r.tokenizer->token_bytes(id));
  ASSERT_THAT(texts, ::testing::ElementsAre("b", "<|im_end|>", "hello", " ", "x", "<|im_end|>"));
  for (const size_t i : {0u, 1u}) EXPECT_TRUE(std::isnan(rows.log_rest[i])) << i;
  const auto p = [&](size_t i, const char* token) {
    for (size_t c = 2 * i; c < 2 * i + 2; ++c)
      if (rows.ids[c] >= 0 && r.tokenizer->token_bytes(rows.ids[c]) == token)
        return std::exp(double{rows.log_probs[c]});
    return 0.0;
  };
  EXPECT_NEAR(p(2, "hello"), std::exp(-0.3), 1e-6);
  EXPECT_NEAR(p(2, "he"), std::exp(-0.1) - std::exp(-0.3), 1e-6);  // rather than "n" of "no"
  EXPECT_NEAR(p(3, " "), std::exp(-0.3), 1e-6);
  EXPECT_NEAR(p(3, " t"), std::exp(-2.0), 1e-6);
  EXPECT_NEAR(p(5, "<|im_end|>"), std::exp(-0.05), 1e-6);  // the token without text ends an answer
  EXPECT_NEAR(p(4, "x"), 1 - 1e-6, 1e-6);                  // what is left of " x"
}

TEST_F(SaidRowsTest, TrainWithoutATeachersModel) {
  std::string text;
  for (const char* word : {"hello", "tell", "in an"})
    text += fmt::format(
        R"({{"prompt":"say","completion":"{0}","logprobs":[["{0}",-0.4,[["no",-1.5]]]]}})"
        "\n",
        word);
  const fs::path path = write(text);
  const Reader r = reader();
  const SampleSet samples = read_samples(path, r).value();
  const auto said = std::make_shared<SaidRows>();
  ASSERT_TRUE(add_said_rows(*said, path, samples, r.tokenizer, 4, 320).ok());
  TuneOptions o = options("run");
  o.teacher = kRowsTeacher, o.top_k = 4, o.batch = 3, o.steps = 4, o.mode = Numerics::kExact;
  const auto model = Model::load(testing::golden_source([] {
                       ModelConfig c = testing::golden_config();
                       c.V = 320;
                       return c;
                     }()))
                         .value();
  TuneInput input{*model, *backend_, samples, {}, "base", "tiny"};
  input.teacher.hash = "said", input.teacher.said = said;
  const TuneResult result = tune(std::move(input), o).value();
  EXPECT_EQ(result.steps, 4);
  EXPECT_LT(result.loss.back(), result.loss.front());
  o.temperature = 2, o.run = folder_ / "other";
  EXPECT_THAT(validate(o).error().message, HasSubstr("temperature must be 1 where the rows say"));
}

TEST_F(SaidRowsTest, SaysWhatIsMissing) {
  const Reader r = reader();
  SaidRows said;
  const fs::path none = write(R"({"prompt":"a","completion":"b"})"
                              "\n");
  const SampleSet samples = read_samples(none, r).value();
  EXPECT_THAT(add_said_rows(said, none, samples, r.tokenizer, 2, 320).error().message,
              HasSubstr("no row has \"logprobs\""));
  EXPECT_THAT(add_said_rows(said, none, samples, nullptr, 2, 320).error().message,
              HasSubstr("no tokenizer"));
  const fs::path odd = write(R"({"prompt":"a","completion":"b","logprobs":[["b"]]})"
                             "\n");
  EXPECT_THAT(add_said_rows(said, odd, samples, r.tokenizer, 2, 320).error().message,
              HasSubstr("rows.jsonl:1: logprobs: expected"));
}

}  // namespace
}  // namespace sllm
