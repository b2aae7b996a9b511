// How fast a matrix product is, per format and numerics: sllm_linear_bench [M [threads [N K]]].
// Prints one line a case: the product alone, best of several, in GOP/s (2 M N K).
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "base/rng.h"
#include "cpu/cpu_backend.h"
#include "kernels/table.h"

using namespace sllm;

namespace {

// One thread is timed by its processor time, which other programs disturb less than the clock's.
bool by_processor_time = false;

double now() {
  timespec t;
  clock_gettime(by_processor_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds(auto&& f) {
  double best = 1e9;
  double spent = 0;
  for (int i = 0; i < 30 && spent < 0.5; ++i) {
    const double start = now();
    f();
    const double took = now() - start;
    best = std::min(best, took);
    spent += took;
  }
  return best;
}

Tensor random(Shape shape, DType type) {
  Rng rng(1);
  Tensor x = Tensor::empty(DType::kF32, shape), t = Tensor::empty(type, shape);
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = rng.normal();
  info(type).encode(x.data<float>(), t.raw(), x.size());
  return t;
}

void measure(Backend& backend, int64_t M, int64_t N, int64_t K) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                     DType::kQ5_0, DType::kQ5_1, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
                     DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4}) {
    if (K % info(type).block_elements != 0) continue;
    const Weight w(random({N, K}, type));
    const Tensor rows = random({M, K}, DType::kF32);
    Tensor y = Tensor::empty(DType::kF32, {M, N}), dx = Tensor::empty(DType::kF32, {M, K});
    const double work = 2e-9 * static_cast<double>(M * N * K);
    std::string line = fmt::format("{:5} {}x{}x{}", info(type).name, M, N, K);
    for (Numerics numerics : {Numerics::kExact, Numerics::kBf16, Numerics::kFast}) {
      const double s = seconds([&] {
        Operand x(rows);
        backend.linear(y.data<float>(), x, w, numerics);
      });
      line += fmt::format("  {} {:6.0f} ({:.1f} GB/s)", name(numerics), work / s,
                          1e-9 * static_cast<double>(w.tensor().bytes()) / s);
      if (numerics == Numerics::kFast) continue;
      const double back = seconds([&] {
        Operand dy(y);
        backend.linear_dx(dx.data<float>(), dy, w, numerics);
      });
      line += fmt::format(" dx {:6.0f}", work / back);
    }
    fmt::print("{}\n", line);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, int64_t otherwise) {
    return argc > i ? std::atoll(argv[i]) : otherwise;
  };
  const auto backend = make_cpu_backend(static_cast<int>(number(2, 0)));
  by_processor_time = backend->threads() == 1;
  fmt::print("GOP/s, {} threads, {}\n", backend->threads(), kernels::active().value()->name);
  if (argc > 4) {
    measure(*backend, number(1, 512), number(3, 896), number(4, 4864));
  } else {
    measure(*backend, number(1, 512), 576, 1536);
    measure(*backend, number(1, 512), 896, 4864);
  }
}
