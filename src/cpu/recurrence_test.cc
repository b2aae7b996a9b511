// Short convolutions and the gated delta rule against the reference, on other numbers of threads
// and in pieces. Runs once per instruction set (SLLM_ISA).
#include "cpu/compare.h"

namespace sllm {
namespace {

class CpuRecurrence : public CpuOps {};

TEST_F(CpuRecurrence, ShortConvForwardAndBackward) {
  const std::vector<StateSegment> segments = {{0, 70}, {70, 1}, {71, 2}, {73, 130}};
  const int64_t N = 203;
  for (const int64_t C : {1, 7, 64, 515})
    for (const int64_t K : {1, 3, 4}) {
      const Tensor x = random({N, C}, 1), w = random({C, K}, 2), b = random({C}, 3),
                   dy = random({N, C}, 4);
      for (const bool with_bias : {true, false})
        compare([&](Backend& backend) {
          Tensor y = Tensor::empty(DType::kF32, {N, C}), dx = y.clone(), dw = w.clone(),
                 db = b.clone();
          backend.short_conv(y.data<float>(), x.data<float>(), w.data<float>(),
                             with_bias ? b.data<float>() : nullptr, segments, C, K);
          backend.short_conv_backward(dx.data<float>(), dw.data<float>(),
                                      with_bias ? db.data<float>() : nullptr, dy.data<float>(),
                                      x.data<float>(), w.data<float>(), segments, C, K);
          return std::vector{y, dx, dw, db};
        });
    }
}

TEST_F(CpuRecurrence, ShortConvReadsItsState) {
  const int64_t C = 33, K = 4;
  const Tensor x = random({9, C}, 1), w = random({C, K}, 2), states = random({2, K - 1, C}, 3);
  compare([&](Backend& backend) {
    Tensor y = Tensor::empty(DType::kF32, {9, C}), s = states.clone();
    const StateSegment segments[] = {{0, 1, s.data<float>()},
                                     {1, 8, s.data<float>() + (K - 1) * C}};
    backend.short_conv(y.data<float>(), x.data<float>(), w.data<float>(), nullptr, segments, C, K);
    return std::vector{y};
  });
}

struct Inputs {
  DeltaShape s;
  Tensor q, k, v, g, beta, dout;
  // Keys of length one and writes of less than all keep states bounded, as the models do.
  Inputs(DeltaShape shape, int64_t N) : s(shape) {
    q = random({N, s.Hk * s.Dk}, 1), k = random({N, s.Hk * s.Dk}, 2);
    v = random({N, s.H * s.Dv}, 3), dout = random({N, s.H * s.Dv}, 4);
    g = random({N, s.H}, 5), beta = random({N, s.H}, 6);
    for (int64_t i = 0; i < g.size(); ++i) {
      g.data<float>()[i] = -0.1f * std::abs(g.data<float>()[i]);
      beta.data<float>()[i] = 1 / (1 + std::exp(-beta.data<float>()[i]));
    }
    for (int64_t i = 0; i < N * s.Hk; ++i) {
      float* key = k.data<float>() + i * s.Dk;
      float squares = 0;
      for (int64_t d = 0; d < s.Dk; ++d) squares += key[d] * key[d];
      for (int64_t d = 0; d < s.Dk; ++d) key[d] /= std::sqrt(squares);
    }
  }
  Tensor forward(Backend& backend, std::span<const StateSegment> segments) const {
    Tensor out = Tensor::empty(DType::kF32, v.shape());
    backend.delta_rule(out.data<float>(), q.data<float>(), k.data<float>(), v.data<float>(),
                       g.data<float>(), beta.data<float>(), segments, s);
    return out;
  }
};

std::vector<DeltaShape> shapes() {
  return {{.H = 2, .Hk = 1, .Dk = 128, .Dv = 128, .scale = 0.09f},
          {.H = 4, .Hk = 2, .Dk = 20, .Dv = 75, .scale = 0.2f},
          {.H = 1, .Hk = 1, .Dk = 3, .Dv = 5, .scale = 1}};
}

TEST_F(CpuRecurrence, DeltaRuleForwardAndBackward) {
  const std::vector<StateSegment> segments = {{0, 70}, {70, 1}, {71, 32}, {103, 33}};
  for (const DeltaShape& shape : shapes()) {
    const Inputs in(shape, 136);
    compare([&](Backend& backend) {
      Tensor dq = in.q.clone(), dk = in.k.clone(), dv = in.v.clone(), dg = in.g.clone(),
             dbeta = in.beta.clone();
      backend.delta_rule_backward(dq.data<float>(), dk.data<float>(), dv.data<float>(),
                                  dg.data<float>(), dbeta.data<float>(), in.dout.data<float>(),
                                  in.q.data<float>(), in.k.data<float>(), in.v.data<float>(),
                                  in.g.data<float>(), in.beta.data<float>(), segments, shape);
      return std::vector{in.forward(backend, segments), dq, dk, dv, dg, dbeta};
    });
  }
}

TEST_F(CpuRecurrence, DeltaRuleHasTheSameBitsInPieces) {
  for (const DeltaShape& shape : shapes()) {
    const int64_t N = 90;
    const Inputs in(shape, N);
    const StateSegment all{0, N};
    const Tensor whole = in.forward(*cpu, {&all, 1});
    Tensor pieces = Tensor::empty(DType::kF32, whole.shape()),
           state = Tensor::zeros(DType::kF32, {shape.H, shape.Dk, shape.Dv});
    for (int64_t begin = 0, rows = 1; begin < N; begin += rows, rows = rows * 3 % 40 + 1) {
      rows = std::min(rows, N - begin);
      const StateSegment part{begin, rows, state.data<float>()};
      const Tensor out = in.forward(*alone, {&part, 1});
      const int64_t width = out.cols();
      std::copy_n(out.data<float>() + begin * width, rows * width,
                  pieces.data<float>() + begin * width);
    }
    EXPECT_TRUE(same_bits(whole.raw(), pieces.raw(), whole.size()));
  }
}

}  // namespace
}  // namespace sllm
