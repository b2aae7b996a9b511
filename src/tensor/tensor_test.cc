#include "tensor/tensor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

namespace sllm {
namespace {

TEST(Tensor, ViewsShareStorage) {
  Tensor t = Tensor::zeros(DType::kF32, {2, 3});
  Tensor row = t.slice_rows(1, 2).reshape({3});
  row.data<float>()[2] = 5;
  EXPECT_EQ(t.data<float>()[5], 5);
  EXPECT_EQ(t.rows(), 2);
  EXPECT_EQ(t.cols(), 3);
}

TEST(Tensor, WrongTypeRankAndShapeAreContractErrors) {
  const Tensor t = Tensor::zeros(DType::kF32, {2, 3});
  EXPECT_THROW(t.data<bf16>(), ContractError);
  EXPECT_THROW(t.dims<3>(), ContractError);
  EXPECT_THROW(t.reshape({7}), ContractError);
  EXPECT_THROW(t.slice_rows(1, 3), ContractError);
  EXPECT_THROW(Tensor::empty(DType::kQ4_0, {33}), ContractError);
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(Tensor, KeptBuffersGoBackToTheSystemWhenAsked) {
  release_kept_buffers();
  const int64_t before = resident_bytes();
  constexpr int64_t kBytes = int64_t{256} << 20;
  { Tensor::zeros(DType::kF32, {kBytes / 4}); }
  EXPECT_GT(resident_bytes() - before, kBytes / 2);  // kept for the next one
  release_kept_buffers();
  EXPECT_LT(resident_bytes() - before, kBytes / 2);
}

TEST(Tensor, LiveTensorsNeverShareARecycledBuffer) {
  std::set<const void*> live;
  std::vector<Tensor> kept;
  for (int64_t n = 1; n < 400; ++n) {
    Tensor dropped = Tensor::empty(DType::kF32, {n * 3});
    kept.push_back(Tensor::empty(DType::kF32, {n}));
    ASSERT_TRUE(live.insert(kept.back().raw()).second);
    std::fill_n(kept.back().data<float>(), n, static_cast<float>(n));
  }
  for (int64_t n = 1; n < 400; ++n) {
    const auto& t = kept[static_cast<size_t>(n - 1)];
    ASSERT_EQ(t.data<float>()[0], static_cast<float>(n));
    ASSERT_EQ(t.data<float>()[n - 1], static_cast<float>(n));
  }
}

TEST(Tensor, DecodesHalfTypes) {
  Tensor t = Tensor::empty(DType::kBF16, {2});
  t.data<bf16>()[0] = to_bf16(1.5f), t.data<bf16>()[1] = to_bf16(-2.0f);
  const Tensor f = t.to_f32();
  EXPECT_EQ(f.data<float>()[0], 1.5f);
  EXPECT_EQ(f.data<float>()[1], -2.0f);
}

}  // namespace
}  // namespace sllm
