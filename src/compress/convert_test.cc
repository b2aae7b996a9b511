// Every architecture as people store it, in bfloat16, through GGUF and back (the F32 way, and the
// model's logits: models/architecture_test.cc).
#include "compress/convert.h"

#include <gtest/gtest.h>

#include <cstring>

#include "models/registry.h"
#include "support/goldens.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

class EveryArchitecture : public ::testing::TestWithParam<std::string> {
 protected:
  // As `sllm import` does it.
  std::shared_ptr<ModelSource> import(const std::shared_ptr<ModelSource>& source,
                                      const fs::path& out, std::optional<DType> type) {
    ModelToWrite model = as_written(source);
    if (out.extension() != ".gguf") {
      keep_floats(model, type);
      if (!type) restore_vector_types(model).value();
    }
    write_model(out, std::move(model), pool_).value();
    return open_model(out).value();
  }
  ThreadPool pool_{1};
};

TEST_P(EveryArchitecture, InBfloat16ComesBackFromGgufBitByBit) {
  testing::TemporaryFolder folder;
  const auto stored = import(open_model(testing::golden_folder() / GetParam()).value(),
                             folder / "bf16", DType::kBF16);
  const auto gguf = import(stored, folder / "m.gguf", std::nullopt);
  const auto back = import(gguf, folder / "back", std::nullopt);
  ASSERT_EQ(back->tensors().size(), stored->tensors().size());
  for (const TensorInfo& t : stored->tensors()) {
    const Tensor expected = stored->tensor(t.name).value(), got = back->tensor(t.name).value();
    ASSERT_EQ(t.dtype, DType::kBF16) << t.name;
    if (stored->config().norms_around_one && t.shape.size() == 1) {
      // GGUF has 1 added to Gemma's norms: what lies below the last place of 1 is lost.
      const Tensor a = expected.to_f32(), b = got.to_f32();
      for (int64_t i = 0; i < a.size(); ++i)
        EXPECT_NEAR(a.data<float>()[i], b.data<float>()[i], 0x1p-24) << t.name;
      continue;
    }
    ASSERT_EQ(got.dtype(), DType::kBF16) << t.name;
    ASSERT_EQ(got.shape(), expected.shape()) << t.name;
    EXPECT_EQ(std::memcmp(got.raw(), expected.raw(), static_cast<size_t>(expected.bytes())), 0)
        << t.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, EveryArchitecture, ::testing::ValuesIn(testing::golden_names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace sllm
