// For the tests of this folder: random tensors, and gradients against finite differences in exact
// numerics on the reference.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "ops/ops.h"

namespace sllm {

inline Tensor random(Shape shape, uint64_t seed, float size = 1.0f) {
  Rng rng(seed);
  Tensor t = Tensor::empty(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = size * rng.normal();
  return t;
}

inline double inner(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) sum += double{a.data<float>()[i]} * b.data<float>()[i];
  return sum;
}

// The scalar <seed, f(inputs)>: its slope along a random direction by central differences must be
// the inner product of that direction with the gradient.
using Function = std::function<Tensor(Context&, std::vector<Tensor>&)>;

inline void expect_gradients(const Function& f, std::vector<Tensor> inputs,
                             double tolerance = 2e-3) {
  Backend backend;
  Tape tape;
  for (const Tensor& x : inputs) tape.watch(x);
  Context ctx{backend, Numerics::kExact, &tape};
  const Tensor y = f(ctx, inputs);
  const Tensor seed = random(y.shape(), 99);
  tape.add_grad(backend, y, seed.clone());
  tape.backward();
  const auto value = [&](std::vector<Tensor> at) {
    Context plain{backend, Numerics::kExact, nullptr};
    return inner(seed, f(plain, at));
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor direction = random(inputs[i].shape(), 100 + i);
    const float step = 1e-2f;
    auto plus = inputs, minus = inputs;
    plus[i] = inputs[i].clone(), minus[i] = inputs[i].clone();
    backend.axpy(plus[i].data<float>(), step, direction.data<float>(), direction.size());
    backend.axpy(minus[i].data<float>(), -step, direction.data<float>(), direction.size());
    const double slope = (value(plus) - value(minus)) / (2.0 * step);
    const double predicted = inner(direction, tape.grad(inputs[i]));
    EXPECT_NEAR(predicted, slope, tolerance * std::max(1.0, std::abs(slope))) << "input " << i;
    EXPECT_GT(std::abs(slope), 1e-3) << "input " << i << " has no influence";
  }
}

}  // namespace sllm
