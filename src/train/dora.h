// DoRA (Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation") as it is trained: one
// linear's row n is magnitude[n] V[n] / |V[n]| with V = W + scale B A. The lengths |V[n]| are held
// constant in the derivative (section 4.3 of the paper, and PEFT), so that the linear sees a gain
// magnitude / |V| alone (Lora::gain), and d magnitude = d gain / |V|.
#pragma once

#include <vector>

#include "ops/ops.h"

namespace sllm {

class DoraMagnitude {
 public:
  // `base`: W [N, K] of any type, `lora`: its update; both stay where they are and outlive this.
  // `lora.gain` is made here. `magnitude`: F32 [N], or undefined: |V[n]| as of the first derive(),
  // so that nothing changes at first.
  DoraMagnitude(const Weight& base, Lora& lora, const Tensor& magnitude);

  const Weight& magnitude() const { return magnitude_; }
  void restore(const Tensor& magnitude);  // F32 [N], copied
  // |V| and the gain anew, after A, B or the magnitude have changed.
  void derive(Backend& backend);
  // Makes the gain's gradient the magnitude's.
  void collect_gradient(Tape& tape, Backend& backend) const;

 private:
  const Weight* base_;
  Lora* lora_;
  Weight magnitude_;
  bool known_;                   // has the magnitude a value?
  std::vector<double> squares_;  // |W[n]|²
  Tensor norm_;                  // |V[n]|, F32
};

}  // namespace sllm
