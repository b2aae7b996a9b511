// Python's random.Random (MT19937 of Matsumoto & Nishimura 1998, seeded by init_by_array), because
// the harness draws its few-shot examples and bootstrap samples with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sllm::eval {

class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);
  uint32_t next_u32();
  double random();             // random(): 53 bits in [0, 1)
  uint64_t below(uint64_t n);  // _randbelow(n), n > 0
  // random.sample(range(n), k): indices in the order drawn; k <= n.
  std::vector<int64_t> sample(int64_t n, int64_t k);

 private:
  void refill();
  std::array<uint32_t, 624> state_;
  size_t at_ = 624;
};

}  // namespace sllm::eval
