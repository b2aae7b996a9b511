// Lengths of the rows of V = W + s B A without forming it:
//   |V[n]|² = |W[n]|² + s Σ_r B[n, r] (2 (A Wᵀ)[r, n] + s (B (A Aᵀ))[n, r])
// |W[n]|² stays and is summed once, in double; the rest costs as much as R rows of activations, and
// its f32 rounding is small beside |W[n]|² unless the adapter makes a row vanish.
#include "train/dora.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/dora.h"

namespace sllm {

DoraMagnitude::DoraMagnitude(const Weight& base, Lora& lora, const Tensor& magnitude)
    : base_(&base), lora_(&lora), known_(magnitude.defined()) {
  const int64_t N = base.N(), K = base.K();
  magnitude_ = Weight(known_ ? magnitude.to_f32() : Tensor::zeros(DType::kF32, {N}));
  norm_ = Tensor::empty(DType::kF32, {N});
  lora.gain = Tensor::empty(DType::kF32, {N});
  std::vector<float> row(static_cast<size_t>(K));
  for (int64_t n = 0; n < N; ++n) {
    info(base.tensor().dtype()).decode(base.tensor().row(n), row.data(), K);
    double sum = 0;
    for (const float w : row) sum += double{w} * w;
    squares_.push_back(sum);
  }
}

void DoraMagnitude::restore(const Tensor& magnitude) {
  std::memcpy(magnitude_.tensor().raw(), magnitude.raw(), static_cast<size_t>(magnitude.bytes()));
  known_ = true;
}

void DoraMagnitude::derive(Backend& backend) {
  const int64_t N = base_->N(), R = lora_->A.N();
  const double s = lora_->scale;
  Operand A(lora_->A.tensor()), B(lora_->B.tensor());
  Tensor along = Tensor::empty(DType::kF32, {R, N}), gram = Tensor::empty(DType::kF32, {R, R}),
         turned = Tensor::empty(DType::kF32, {N, R});
  backend.linear(along.data<float>(), A, *base_, Numerics::kExact);
  backend.linear(gram.data<float>(), A, lora_->A, Numerics::kExact);
  backend.linear(turned.data<float>(), B, Weight(gram), Numerics::kExact);
  const float *b = B.f32().data<float>(), *t = turned.data<float>();
  for (int64_t n = 0; n < N; ++n, b += R, t += R) {
    double sum = 0;
    for (int64_t r = 0; r < R; ++r) sum += b[r] * (2.0 * along.data<float>()[r * N + n] + s * t[r]);
    const double square = std::max(squares_[static_cast<size_t>(n)] + s * sum, 0.0);
    norm_.data<float>()[n] = static_cast<float>(std::sqrt(square));
  }
  float* m = magnitude_.tensor().data<float>();
  if (!known_) std::memcpy(m, norm_.raw(), static_cast<size_t>(norm_.bytes()));
  known_ = true;
  for (int64_t n = 0; n < N; ++n)
    lora_->gain.data<float>()[n] = dora_gain(m[n], norm_.data<float>()[n]);
}

void DoraMagnitude::collect_gradient(Tape& tape, Backend& backend) const {
  Tensor d = tape.take_grad(lora_->gain.id());
  if (!d.defined()) return;
  for (int64_t n = 0; n < d.size(); ++n) {
    const float norm = norm_.data<float>()[n];
    d.data<float>()[n] = norm > 0 ? d.data<float>()[n] / norm : 0;
  }
  tape.add_grad(backend, magnitude_.tensor(), std::move(d));
}

}  // namespace sllm
