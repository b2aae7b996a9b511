#include "models/pooler.h"

#include "io/pooling.h"
#include "models/loader.h"

namespace sllm {

Result<Pooler> Pooler::load(const ModelSource& source) {
  Pooler pooler;
  pooler.pooling_ = source.config().pooling.value_or(Pooling());
  Loader loader(source);
  for (const TensorSpec& spec : dense_tensors(source.config()))
    pooler.dense_.push_back(loader.matrix(spec.hf, spec.shape[0], spec.shape[1]));
  if (!loader.status().ok()) return loader.status().error();
  return pooler;
}

Tensor Pooler::forward(Context& ctx, const Tensor& hidden,
                       std::span<const AttentionSegment> segments) const {
  Tensor x;
  if (pooling_.rows == Pooling::Rows::kMean) {
    x = ops::mean_rows(ctx, hidden, segments);
  } else {
    std::vector<int32_t> rows;
    for (const AttentionSegment& s : segments)
      rows.push_back(static_cast<int32_t>(
          s.first_row + (pooling_.rows == Pooling::Rows::kLast ? s.rows - 1 : 0)));
    x = ops::gather_rows(ctx, hidden, rows);
  }
  for (const Weight& w : dense_) x = ops::linear(ctx, std::make_shared<Operand>(x), w);
  // A text of zeros stays zero.
  return pooling_.normalize ? ops::l2_norm(ctx, x, x.cols(), 1e-24f) : x;
}

}  // namespace sllm
