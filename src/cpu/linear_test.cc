// Matrix products of the CPU backend against the reference and against themselves in company. Runs
// once per instruction set (SLLM_ISA).
#include <gmock/gmock.h>

#include <cmath>

#include "base/rng.h"
#include "cpu/cpu_backend.h"
#include "cpu/test_data.h"
#include "kernels/table.h"

namespace sllm {
namespace {

constexpr DType kPlain[] = {DType::kF32, DType::kF16, DType::kBF16};
std::vector<DType> blocks() {
  std::vector<DType> all;
  for (int i = 0; i < kDTypeCount; ++i)
    if (is_block_format(static_cast<DType>(i))) all.push_back(static_cast<DType>(i));
  return all;
}

struct Case {
  DType type;
  int64_t M, N, K;
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (DType type : kPlain)
    for (auto [M, N, K] : {std::array<int64_t, 3>{1, 1, 1},
                           {3, 5, 7},
                           {7, 16, 16},
                           {17, 33, 31},
                           {13, 70, 1056},
                           {33, 47, 63}})
      all.push_back({type, M, N, K});
  for (DType type : blocks())
    for (auto [M, N, K] :
         {std::array<int64_t, 3>{1, 19, 256}, {5, 33, 512}, {37, 50, 256}, {18, 64, 1280}})
      all.push_back({type, M, N, K});
  for (DType type : blocks())
    if (info(type).block_elements == 32) all.push_back({type, 19, 49, 96});
  return all;
}

// f32 sums of up to 1280 terms in two orders; bf16 products add nothing to that but sums of
// products in pairs and subnormals flushed to zero.
constexpr double kTolerance = 2e-6;

// What a level computes as kFast: bf16 products where it has none of int8.
Numerics as_computed(Numerics numerics, DType type) {
  numerics = for_weight(numerics, type);
  const bool int8 = kernels::active().value()->int8_gemm[static_cast<int>(type)] != nullptr;
  return numerics == Numerics::kFast && !int8 ? Numerics::kBf16 : numerics;
}

class CpuLinear : public testing::TestWithParam<Numerics> {
 protected:
  std::shared_ptr<Backend> cpu = make_cpu_backend(2);
  Backend reference;
};

TEST_P(CpuLinear, ForwardEqualsReference) {
  for (const Case& c : cases()) {
    const Weight w(encoded(random({c.N, c.K}, 1), c.type));
    Operand x(random({c.M, c.K}, 2)), same(x.f32());
    Tensor y = random({c.M, c.N}, 3), expected = y.clone();
    for (bool accumulate : {false, true}) {
      cpu->linear(y.data<float>(), x, w, GetParam(), accumulate);
      reference.linear(expected.data<float>(), same, w, as_computed(GetParam(), c.type),
                       accumulate);
      EXPECT_LT(relative_error(y, expected), kTolerance)
          << info(c.type).name << " " << c.M << "x" << c.N << "x" << c.K << " " << accumulate;
    }
  }
}

// The largest levels and activations that there are: no sum in 16 bits may run over.
TEST(CpuLinearInt8, ArbitraryLevelsAndFullActivationsEqualReference) {
  auto cpu = make_cpu_backend(2);
  Backend reference;
  Rng rng(5);
  for (DType type : blocks()) {
    if (as_computed(Numerics::kFast, type) != Numerics::kFast) continue;
    const int64_t M = 6, N = 200, K = info(type).block_elements;
    Tensor w = Tensor::empty(type, {N, K});
    auto* bytes = static_cast<uint8_t*>(w.raw());
    for (int64_t i = 0; i < w.bytes(); ++i)
      bytes[i] = static_cast<uint8_t>(rng.next_u32() % 4 == 0 ? 0xff : rng.next_u32());
    Tensor x = Tensor::empty(DType::kF32, {M, K});
    for (int64_t i = 0; i < x.size(); ++i)
      x.data<float>()[i] = i / K == 0 ? 127.0f : i / K == 1 ? -127.0f : rng.normal();
    Operand few(x.slice_rows(0, 2)), operand(x), same(x);  // the first two are the full ones
    Tensor y = Tensor::empty(DType::kF32, {M, N}), of_few = y.clone(), expected = y.clone();
    cpu->linear(y.data<float>(), operand, Weight(w), Numerics::kFast, false);
    cpu->linear(of_few.data<float>(), few, Weight(w), Numerics::kFast, false);
    reference.linear(expected.data<float>(), same, Weight(w), Numerics::kFast, false);
    int64_t compared = 0;
    for (int64_t n = 0; n < N; ++n) {
      // Scales are halves of any bits: rows with infinite ones are in no model.
      double size = 0;
      for (int64_t m = 0; m < M; ++m) size += std::abs(double{expected.data<float>()[m * N + n]});
      if (!std::isfinite(size)) continue;
      ++compared;
      for (int64_t m = 0; m < M; ++m) {
        const float right = expected.data<float>()[m * N + n];
        EXPECT_NEAR(y.data<float>()[m * N + n], right, 1e-5 * size)
            << info(type).name << " row " << n << " of " << m;
        if (m < 2)
          EXPECT_NEAR(of_few.data<float>()[m * N + n], right, 1e-5 * size)
              << info(type).name << " row " << n << " of " << m << " of few";
      }
    }
    EXPECT_GT(compared, 20) << info(type).name;
  }
}

TEST_P(CpuLinear, BackwardEqualsReference) {
  const Numerics numerics = GetParam() == Numerics::kExact ? Numerics::kExact : Numerics::kBf16;
  for (const Case& c : cases()) {
    const Weight w(encoded(random({c.N, c.K}, 1), c.type));
    Operand dy(random({c.M, c.N}, 2)), same(dy.f32()), x(random({c.M, c.K}, 4)), same_x(x.f32());
    Tensor dx = random({c.M, c.K}, 3), expected = dx.clone();
    for (bool accumulate : {false, true}) {
      cpu->linear_dx(dx.data<float>(), dy, w, GetParam(), accumulate);
      reference.linear_dx(expected.data<float>(), same, w, numerics, accumulate);
      EXPECT_LT(relative_error(dx, expected), 2e-6)
          << info(c.type).name << " " << c.M << "x" << c.N << "x" << c.K << " " << accumulate;
    }
    Tensor dw = random({c.N, c.K}, 5), expected_dw = dw.clone();
    cpu->linear_dw(dw.data<float>(), dy, x, GetParam());
    reference.linear_dw(expected_dw.data<float>(), same, same_x, numerics);
    EXPECT_LT(relative_error(dw, expected_dw), 2e-6) << c.M << "x" << c.N << "x" << c.K;
  }
}

TEST_P(CpuLinear, RowsDoNotDependOnTheirCompanyNorOnThreads) {
  auto alone = make_cpu_backend(1);
  for (const Case& c : cases()) {
    const int64_t M = 37;
    const Weight w(encoded(random({c.N, c.K}, 1), c.type));
    const Tensor rows = random({M, c.K}, 2);
    Tensor all = Tensor::empty(DType::kF32, {M, c.N}), some = Tensor::empty(DType::kF32, {5, c.N});
    Operand x(rows);
    cpu->linear(all.data<float>(), x, w, GetParam(), false);
    const auto expect_same = [&](int64_t m, int64_t count) {
      Operand few(rows.slice_rows(m, m + count));
      alone->linear(some.data<float>(), few, w, GetParam(), false);
      EXPECT_TRUE(same_bits(some.raw(), all.row(m), count * c.N))
          << info(c.type).name << " rows " << m << " to " << m + count - 1 << " of " << c.N << "x"
          << c.K;
    };
    for (int64_t m = 0; m < M; m += m < 4 ? 1 : 11) expect_same(m, 1);
    for (int64_t count : {2, 3, 4, 5}) expect_same(7, count);
    Tensor dx = Tensor::empty(DType::kF32, {M, c.K}), dx_one = Tensor::empty(DType::kF32, {c.K});
    const Tensor gradient = random({M, c.N}, 4);
    Operand dy(gradient);
    cpu->linear_dx(dx.data<float>(), dy, w, GetParam(), false);
    Operand dy_row(gradient.slice_rows(20, 21));
    alone->linear_dx(dx_one.data<float>(), dy_row, w, GetParam(), false);
    EXPECT_TRUE(same_bits(dx_one.raw(), dx.row(20), c.K))
        << info(c.type).name << " dx of " << c.N << "x" << c.K;
  }
}

INSTANTIATE_TEST_SUITE_P(, CpuLinear,
                         testing::Values(Numerics::kExact, Numerics::kBf16, Numerics::kFast),
                         [](const auto& info) {
                           return std::string(info.param == Numerics::kExact  ? "Exact"
                                              : info.param == Numerics::kBf16 ? "Bf16"
                                                                              : "Fast");
                         });

}  // namespace
}  // namespace sllm
