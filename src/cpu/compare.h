// For the tests of this folder: a backend against the reference and against itself on one thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/test_data.h"

namespace sllm {

inline constexpr double kClose = 2e-6;  // two orders of f32 additions, two exponentials

class CpuOps : public testing::Test {
 protected:
  std::shared_ptr<Backend> cpu = make_cpu_backend(2), alone = make_cpu_backend(1);
  Backend reference;

  // f(backend) computes tensors; they must be close to the reference's and the same on one thread.
  template <class F>
  void compare(F f) {
    const std::vector<Tensor> expected = f(reference), two = f(*cpu), one = f(*alone);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LT(relative_error(two[i], expected[i]), kClose) << "output " << i;
      EXPECT_TRUE(same_bits(one[i].raw(), two[i].raw(), one[i].size())) << "output " << i;
    }
  }
};

}  // namespace sllm
