// Embedding: y[i] = table[ids[i]];  table [V, D], y [N, D].   dtable[ids[i]] += dy[i]
#include "ops/ops.h"

namespace sllm {

void Backend::embed(float* y, const Tensor& table, std::span<const int32_t> ids) {
  const int64_t D = table.cols();
  for (size_t i = 0; i < ids.size(); ++i)
    info(table.dtype()).decode(table.row(ids[i]), y + static_cast<int64_t>(i) * D, D);
}

void Backend::embed_backward(float* dtable, const float* dy, std::span<const int32_t> ids,
                             int64_t D) {
  for (size_t i = 0; i < ids.size(); ++i)
    for (int64_t j = 0; j < D; ++j) dtable[ids[i] * D + j] += dy[static_cast<int64_t>(i) * D + j];
}

Tensor ops::embed(Context& ctx, const Weight& table, std::span<const int32_t> ids) {
  for (int32_t id : ids)
    SLLM_CHECK(id >= 0 && id < table.N(), "embed: token {} of {}", id, table.N());
  Tensor y = Tensor::empty(DType::kF32, {static_cast<int64_t>(ids.size()), table.K()});
  ctx.backend.embed(y.data<float>(), table.tensor(), ids);
  if (ctx.recording({table.tensor().id()}))
    ctx.tape->record(y, {table.tensor().id()},
                     [&backend = ctx.backend, table = Var(table.tensor()),
                      ids = std::vector(ids.begin(), ids.end())](Tape& tape, const Tensor& dy) {
                       backend.embed_backward(tape.grad(table).data<float>(), dy.data<float>(), ids,
                                              dy.cols());
                     });
  return y;
}

}  // namespace sllm
