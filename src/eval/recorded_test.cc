// Recorded predictions: what they say, what is refused, and a model against its own.
#include "eval/recorded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "base/file.h"
#include "eval/perplexity.h"
#include "infer/engine.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"

namespace sllm::eval {
namespace {

constexpr int kWindow = 16, kRows = kWindow - 1 - kWindow / 2;

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
// The layout of llama-perplexity, from logits [chunks * kRows][V].
std::string record(const std::vector<std::vector<TokenId>>& chunks,
                   const std::vector<std::vector<float>>& logits) {
  const auto V = static_cast<int32_t>(logits.front().size());
  std::string file = "_logits_";
  put(file, uint32_t{kWindow});
  put(file, V);
  put(file, static_cast<int32_t>(chunks.size()));
  for (const auto& chunk : chunks)
    for (const TokenId id : chunk) put(file, id);
  for (const auto& row : logits) {
    double sum = 0;
    const auto [low, high] = std::ranges::minmax(row);
    for (const float x : row) sum += std::exp(double{x} - high);
    const float bottom = std::max(low, high - 16), scale = (high - bottom) / 65535;
    put(file, scale);
    put(file, static_cast<float>(bottom - high - std::log(sum)));
    for (const float x : row)
      put(file, static_cast<uint16_t>(x > bottom ? std::lround((x - bottom) / scale) : 0));
    if (V % 2) put(file, uint16_t{0});
  }
  return file;
}
Result<RecordedPredictions> parse(const std::string& file) {
  return RecordedPredictions::parse(std::as_bytes(std::span(file)), "f");
}

const std::vector<std::vector<TokenId>> kChunk = {{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0}};

TEST(Recorded, ReadsWhatWasRecorded) {
  const std::vector<std::vector<float>> logits(kRows, {1, 3, -20});
  const std::string file = record(kChunk, logits);
  const auto recorded = parse(file);
  ASSERT_TRUE(recorded.ok()) << recorded.error().to_string();
  EXPECT_EQ(recorded->rows(), kRows);
  EXPECT_EQ(recorded->vocabulary(), 3);
  EXPECT_EQ(recorded->tokens(0)[2], 2);
  const auto row = recorded->row(0, kRows - 1);
  EXPECT_NEAR(row.log_prob(0), -2 - std::log1p(std::exp(-2.0)), 16.0 / 65535);
  EXPECT_NEAR(row.log_prob(1), -std::log1p(std::exp(-2.0)), 16.0 / 65535);
  EXPECT_TRUE(row.known(0));
  EXPECT_FALSE(row.known(2));  // 23 below the likeliest
}

TEST(Recorded, RefusesWhatCannotBe) {
  const std::string good = record(kChunk, {static_cast<size_t>(kRows), {1, 3, -20}});
  const auto with = [&](size_t at, auto value) {
    std::string file = good;
    std::memcpy(file.data() + at, &value, sizeof value);
    return file;
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "the file ends"},
      {with(0, 'x'), "does not start with \"_logits_\""},
      {with(8, uint32_t{0}), "impossible sizes"},
      {with(8, ~uint32_t{0}), "impossible sizes"},
      {with(12, int32_t{-3}), "impossible sizes"},
      {with(16, int32_t{1 << 23}), "the text needs"},
      {with(20, int32_t{3}), "chunk 0 holds the token 3, of 3"},
      {with(24, int32_t{-1}), "holds the token -1"},
      {good.substr(0, good.size() - 1), "the predictions needs"},
      {with(20 + 4 * kWindow, NAN), "row 0: the numbers are not log-probabilities"},
      {with(24 + 4 * kWindow, INFINITY), "row 0: the numbers are not log-probabilities"},
  };
  for (const auto& [file, message] : cases) {
    const auto result = parse(file);
    ASSERT_FALSE(result.ok()) << message;
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput) << message;
    EXPECT_THAT(result.error().to_string(), ::testing::HasSubstr(message));
  }
}

// In exact mode a model's own recording differs by its 16 bits alone: steps of 16/65535 at most,
// so at most (1.2e-4)^2 / 2 = 8e-9. Another model is as far as the plain comparison says.
TEST(Recorded, AModelAgreesWithItsOwnRecordingAndNotWithAnothers) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("sllm-recorded-{}", getpid());
  fs::create_directories(folder);
  for (const uint64_t seed : {1, 2}) {
    auto tiny =
        std::make_shared<sllm::testing::TinyModel>(sllm::testing::tiny_config(), DType::kF32, seed);
    ModelToWrite model = as_written(tiny);
    model.tokenizer.gguf = sllm::testing::tiny_tokenizer();
    write_gguf(folder / fmt::format("{}.gguf", seed), model).value();
  }
  const fs::path base = folder / "1.gguf", other = folder / "2.gguf", file = folder / "base.kld";
  std::string text;
  for (int i = 0; i < 60; ++i) text += fmt::format("word{} ", i * i);
  const PerplexityOptions options{kWindow, 3, {}};
  const auto source = open_model(base).value();
  const auto tokenizer = Tokenizer::load(source->tokenizer()).value();
  const auto windows = perplexity_windows(*tokenizer, text, options).value();
  EngineOptions exact;
  exact.numerics = Numerics::kExact;
  const auto engine = Engine::open(base, exact).value();
  std::vector<std::vector<TokenId>> prefixes;
  for (const auto& window : windows)
    for (int row = 0; row < kRows; ++row)
      prefixes.emplace_back(window.begin(), window.begin() + kWindow / 2 + row + 1);
  write_file_atomically(file, record(windows, engine->logits(prefixes).value())).value();

  EXPECT_TRUE(RecordedPredictions::recognises(file));
  EXPECT_FALSE(RecordedPredictions::recognises(base));
  const auto compare = [&](const fs::path& model) {
    return divergence_from_recorded(model, file, Numerics::kExact, 1, {}).value();
  };
  EXPECT_LT(compare(base).kld_mean, 8e-9);
  EXPECT_EQ(compare(base).tokens, 3 * kRows);
  EXPECT_EQ(compare(base).top1_agree, 1);
  const Divergence plain = divergence(other, base, text, Numerics::kExact, 1, options).value(),
                   recorded = compare(other);
  EXPECT_NEAR(recorded.kld_mean / plain.kld_mean, 1, 1e-4);
  EXPECT_NEAR(recorded.perplexity / plain.perplexity, 1, 1e-6);
  EXPECT_NEAR(recorded.base_perplexity / plain.base_perplexity, 1, 1e-4);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace sllm::eval
