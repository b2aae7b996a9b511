// A CPU backend that shows what it multiplies: what a text's inputs look like to a model's weights.
#pragma once

#include <functional>
#include <memory>

#include "ops/backend.h"

namespace sllm {

// Called before each product y = x Wᵀ, on the thread that asks for it. x: f32 [M, K]. `w` is the
// model's own object (Model::linears()), so that its address says which weight it is.
using ProductObserver = std::function<void(const Weight& w, const Tensor& x)>;

// As make_cpu_backend; the results are the same bits.
std::shared_ptr<Backend> make_observed_backend(int threads, ProductObserver observe);

}  // namespace sllm
