// The files of importance matrices: both forms come back as they were, broken ones are refused.
#include "io/imatrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "io/gguf_writer.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImportanceMatrix sample() {
  ImportanceMatrix matrix;
  matrix.entries["blk.0.attn_q.weight"] = {{1, 0.5f, 0, 6}, {1024}};
  matrix.entries["blk.0.ffn_down_exps.weight"] = {{1, 2, 3, 0, 0, 0}, {700, 0}};  // two experts
  matrix.datasets = {"first.txt", "last.txt"};
  matrix.chunks = 2;
  matrix.chunk_size = 512;
  return matrix;
}

class ImatrixFile : public ::testing::Test {
 protected:
  ImportanceMatrix through(const char* name) {
    write_imatrix(folder / name, sample()).value();
    return read_imatrix(folder / name).value();
  }
  std::string bytes(const char* name) {
    write_imatrix(folder / name, sample()).value();
    return read_file(folder / name).value();
  }
  testing::TemporaryFolder folder;
};

TEST_F(ImatrixFile, GgufComesBackAsItWas) {
  const ImportanceMatrix a = sample(), b = through("m.gguf");
  EXPECT_EQ(b.datasets, a.datasets);
  EXPECT_EQ(b.chunks, 2);
  EXPECT_EQ(b.chunk_size, 512);
  ASSERT_EQ(b.entries.size(), a.entries.size());
  for (const auto& [name, entry] : a.entries) {
    EXPECT_EQ(b.entries.at(name).sums, entry.sums) << name;
    EXPECT_EQ(b.entries.at(name).counts, entry.counts) << name;
  }
}

// The older form holds means times chunks, so that the means alone come back.
TEST_F(ImatrixFile, TheOlderFormKeepsTheMeans) {
  const ImportanceMatrix a = sample(), b = through("m.dat");
  EXPECT_THAT(b.datasets, ElementsAre("last.txt"));
  EXPECT_EQ(b.chunks, 2);
  EXPECT_EQ(b.chunk_size, 0);
  ASSERT_EQ(b.entries.size(), a.entries.size());
  for (const auto& [name, entry] : a.entries) {
    EXPECT_THAT(b.entries.at(name).counts, ElementsAre(2)) << name;
    EXPECT_EQ(b.entries.at(name).mean_squares(), entry.mean_squares()) << name;
  }
}

TEST_F(ImatrixFile, WhatWasNeverReachedCountsAsOnes) {
  EXPECT_THAT(sample().entries.at("blk.0.ffn_down_exps.weight").mean_squares(),
              ElementsAre(1 / 700.f, 2 / 700.f, 3 / 700.f, 1, 1, 1));
}

// Bytes laid out by hand, as llama-imatrix --output-format dat writes them.
TEST_F(ImatrixFile, TheOlderFormIsReadByItsLayout) {
  std::string file("\x01\0\0\0\x03\0\0\0abc\x02\0\0\0\x02\0\0\0", 19);
  for (const float value : {3.0f, 0.25f}) file.append(reinterpret_cast<const char*>(&value), 4);
  const auto parse = [](const std::string& text) {
    return parse_imatrix(std::as_bytes(std::span(text)), "f");
  };
  const ImportanceMatrix bare = parse(file).value();
  EXPECT_THAT(bare.entries.at("abc").mean_squares(), ElementsAre(1.5f, 0.125f));
  EXPECT_THAT(bare.datasets, ElementsAre());
  const ImportanceMatrix whole = parse(file + std::string("\x05\0\0\0\x01\0\0\0t", 9)).value();
  EXPECT_EQ(whole.chunks, 5);
  EXPECT_THAT(whole.datasets, ElementsAre("t"));
}

TEST_F(ImatrixFile, BrokenFilesOfTheOlderFormAreRefused) {
  const std::string good = bytes("m.dat");
  const auto with = [&](size_t at, auto value) {
    std::string file = good;
    std::memcpy(file.data() + at, &value, sizeof value);
    return file;
  };
  const size_t name = 8, chunks = name + std::strlen("blk.0.attn_q.weight");
  const std::pair<std::string, const char*> cases[] = {
      {"", "the file ends after 0"},
      {std::string(4, '\0'), "neither GGUF nor an importance matrix"},
      {with(0, int32_t{-1}), "the number of entries is -1"},
      {with(0, int32_t{60000}), "60000 entries cannot fit"},
      {with(0, INT32_MAX), "at most 65536 are allowed"},
      {with(0, int32_t{3}), "columns, at most 268435456 are allowed"},
      {with(4, int32_t{-7}), "the name of an entry is -7"},
      {with(4, int32_t{0}), "the name of entry 0 is no text"},
      {with(name, '\xff'), "the name of entry 0 is no text"},
      {with(chunks, int32_t{-2}), "the number of chunks is -2"},
      {with(chunks + 4, int32_t{0}), "has no columns"},
      {with(chunks + 4, int32_t{1 << 20}), "columns cannot fit"},
      {with(chunks + 8, NAN), "which is no sum of squares"},
      {with(chunks + 8, -1.0f), "holds -1, which is no sum of squares"},
      {good.substr(0, good.size() - 1), "cannot fit"},
  };
  for (const auto& [file, message] : cases) {
    const auto result = parse_imatrix(std::as_bytes(std::span(file)), "f.dat");
    ASSERT_FALSE(result.ok()) << message;
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput) << message;
    EXPECT_THAT(result.error().message, HasSubstr(message));
    EXPECT_THAT(result.error().message, HasSubstr("f.dat"));
  }
}

TEST_F(ImatrixFile, BrokenGgufFilesAreRefused) {
  struct Made {
    std::vector<std::pair<std::string, Tensor>> tensors;
    bool keys = true;
  };
  const Tensor sums = Tensor::from(std::vector<float>{1, 2}, {2}),
               count = Tensor::from(std::vector<float>{4}, {1});
  const auto numbers = [](std::vector<float> values) {
    return Tensor::from(values, {std::ssize(values)});
  };
  const std::pair<Made, const char*> cases[] = {
      {{{{"blk.0.attn_q.weight", sums}}}, "holds no importance matrix"},
      {{{{"a.in_sum2", sums}}}, "\"a\" has sums without counts"},
      {{{{"a.in_sum2", sums}, {"a.counts", count}, {"b.counts", count}}},
       "\"b\" has counts without sums"},
      {{{{"a.in_sum2", sums.to(DType::kF16)}, {"a.counts", count}}}, "must be F32"},
      {{{{"a.in_sum2", numbers({1, INFINITY})}, {"a.counts", count}}}, "no sum of squares"},
      {{{{"a.in_sum2", sums}, {"a.counts", numbers({-1})}}}, "has the count -1"},
      {{{{"a.in_sum2", sums}, {"a.counts", numbers({1, 1, 1})}}}, "has 2 sums for 3 counts"},
      {{{{"a.in_sum2", sums}, {"a.counts", count}}, false}, "\"imatrix.datasets\" is missing"},
  };
  for (const auto& [made, message] : cases) {
    GgufWriter out;
    if (made.keys) {
      out.add("imatrix.datasets", std::span<const std::string>());
      out.add("imatrix.chunk_count", uint32_t{1});
      out.add("imatrix.chunk_size", uint32_t{4});
    }
    for (const auto& [name, tensor] : made.tensors)
      out.add_tensor(name, tensor.dtype(), tensor.shape());
    const auto& tensors = made.tensors;
    out.write(folder / "m.gguf", [&](size_t i) { return Result<Tensor>(tensors[i].second); })
        .value();
    const auto result = read_imatrix(folder / "m.gguf");
    ASSERT_FALSE(result.ok()) << message;
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput) << message;
    EXPECT_THAT(result.error().message, HasSubstr(message));
  }
  std::string cut = bytes("m.gguf");
  cut.resize(cut.size() - 64);
  EXPECT_FALSE(parse_imatrix(std::as_bytes(std::span(cut)), "f").ok());
}

}  // namespace
}  // namespace sllm
