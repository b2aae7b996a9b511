// GGUF models in parts: written, opened by any part, refused when they are not one model.
#include "io/gguf_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "io/gguf.h"
#include "models/registry.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

class GgufSplit : public ::testing::Test {
 protected:
  GgufSplit() {
    model = as_written(std::make_shared<testing::TinyModel>());
    model.tokenizer.gguf = testing::tiny_tokenizer();
    model.max_file_bytes = 60000;
    first = write_gguf(folder / "m.gguf", model).value();
  }
  fs::path part(int i) { return gguf_part_path(folder / "m", i, count); }
  void expect_refused(const fs::path& path, const char* sentence) {
    const auto result = open_model(path);
    ASSERT_FALSE(result.ok()) << sentence;
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(result.error().to_string(), HasSubstr(sentence));
  }
  // Changes a number that lies behind its key and type.
  template <class T>
  void patch(const fs::path& path, std::string_view key, T value) {
    std::string bytes = read_file(path).value();
    std::memcpy(bytes.data() + bytes.find(key) + key.size() + 4, &value, sizeof value);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  testing::TemporaryFolder folder;
  ModelToWrite model;
  fs::path first;
  static constexpr int count = 6;
};

TEST(GgufPart, NamesAreReadAndMade) {
  const auto part = gguf_part("a/m.Q4_0-00002-of-00012.gguf");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->prefix, "a/m.Q4_0");
  EXPECT_EQ(part->number, 2);
  EXPECT_EQ(part->count, 12);
  EXPECT_EQ(gguf_part_path(part->prefix, 2, 12), "a/m.Q4_0-00002-of-00012.gguf");
  for (const char* other :
       {"m.gguf", "m-00001-of-00002.bin", "m-00003-of-00002.gguf", "m-00000-of-00002.gguf",
        "m-0001-of-00002.gguf", "m-0000a-of-00002.gguf", "-00001-of-00002.gguf"})
    EXPECT_FALSE(gguf_part(other)) << other;
}

TEST_F(GgufSplit, EveryPartOpensTheWholeModel) {
  EXPECT_EQ(first, part(1));
  EXPECT_FALSE(fs::exists(folder / "m.gguf"));
  for (int i = 1; i <= count; ++i) {
    ASSERT_TRUE(fs::exists(part(i))) << part(i);
    const auto source = open_model(part(i)).value();
    ASSERT_EQ(source->tensors().size(), model.tensors.size());
    EXPECT_EQ(source->tokenizer().gguf->tokens, model.tokenizer.gguf->tokens);
    for (const TensorInfo& t : model.tensors) {
      const Tensor wanted = model.tensor(t).value(), got = source->tensor(t.name).value();
      ASSERT_EQ(got.to_string(), wanted.to_string());
      EXPECT_EQ(std::memcmp(got.raw(), wanted.raw(), static_cast<size_t>(got.bytes())), 0);
    }
  }
}

TEST_F(GgufSplit, TensorsOfAPartFitTheSize) {
  // The embedding, 320 x 64 x 4 = 81920 bytes, is larger than a part may be: it is alone.
  size_t tensors = 0;
  for (int i = 1; i <= count; ++i) {
    const std::string bytes = read_file(part(i)).value();
    const auto file =
        GgufFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size())), "part").value();
    uint64_t data = 0;
    for (const GgufTensor& t : file.tensors()) data += t.data.size();
    EXPECT_TRUE(data <= 60000 || file.tensors().size() == 1) << i;
    EXPECT_EQ(file.has("general.architecture"), i == 1);
    EXPECT_EQ(file.integer("split.no").value(), i - 1);
    EXPECT_EQ(file.metadata().at("split.no").type, GgufType::kU16);
    EXPECT_EQ(file.metadata().at("split.tensors.count").type, GgufType::kI32);
    tensors += file.tensors().size();
  }
  EXPECT_EQ(tensors, model.tensors.size());
}

TEST_F(GgufSplit, ASmallModelStaysOneFile) {
  model.max_file_bytes = 1 << 30;
  EXPECT_EQ(write_gguf(folder / "one.gguf", model).value(), folder / "one.gguf");
  EXPECT_FALSE(GgufFile::open(folder / "one.gguf").value().has("split.count"));
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
  fs::remove(part(3));
  expect_refused(part(1), "the part \"m-00003-of-00006.gguf\" is missing. Put all 6 parts");
  expect_refused(part(5), "the part \"m-00003-of-00006.gguf\" is missing");
}
TEST_F(GgufSplit, ARenamedPartIsRefused) {
  fs::rename(part(2), folder / "second.gguf");
  expect_refused(folder / "second.gguf", "its name does not end in -00002-of-00006.gguf");
}
TEST_F(GgufSplit, SwappedPartsAreRefused) {
  fs::rename(part(2), folder / "x");
  fs::rename(part(3), part(2));
  fs::rename(folder / "x", part(3));
  expect_refused(part(1), "is part 3 of 6, but its name does not end in -00003-of-00006.gguf");
}
TEST_F(GgufSplit, OtherCountsAreRefused) {
  patch(part(2), "split.count", uint16_t{4});
  expect_refused(part(1), "is part 2 of 4");
}
TEST_F(GgufSplit, TensorCountsMustAgree) {
  patch(part(2), "split.tensors.count", int32_t{7});
  expect_refused(part(1), "split.tensors.count is 7, but");
}
TEST_F(GgufSplit, TheSumOfTensorsMustAgree) {
  for (int i = 1; i <= count; ++i) patch(part(i), "split.tensors.count", int32_t{99});
  expect_refused(part(1), "but split.tensors.count is 99");
}
TEST_F(GgufSplit, TensorsInTwoPartsAreRefused) {
  fs::copy_file(part(2), part(3), fs::copy_options::overwrite_existing);
  patch(part(3), "split.no", uint16_t{2});
  expect_refused(part(1), "is in part 2 too");
}
TEST_F(GgufSplit, ACutPartIsRefused) {
  fs::resize_file(part(4), fs::file_size(part(4)) - 64);
  expect_refused(part(1), "pass the end of the data");
}

}  // namespace
}  // namespace sllm
