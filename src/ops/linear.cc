// Matrix products. y = x Wᵀ + b + scale (x Aᵀ) Bᵀ;  x [M, K], W [N, K], A [R, K], B [N, R].
//   dx = dy W + dh A,  dh = scale dy B;   dW += dyᵀ x;  db += Σ_m dy;  dA += dhᵀ x;  dB += scale
//   dyᵀ h
// With a gain g [N] (DoRA), y = g z + b where z is the rest of it: dg += Σ_m dy z, and g dy stands
// for dy everywhere but in db.
// The low-rank product is bracketed as (x Aᵀ) Bᵀ: R (K + N) multiplications a row, not N K.
#include <algorithm>
#include <cmath>

#include "ops/columns.h"
#include "ops/ops.h"

namespace sllm {
namespace {

constexpr int64_t kLanes = 16;

// Σ_k a[k] b[k] in a fixed order: sixteen interleaved sums, then those from the first to the last.
float dot(const float* a, const float* b, int64_t n) {
  float lanes[kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes)
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] += a[k + i] * b[k + i];
  for (int64_t i = 0; k + i < n; ++i) lanes[i] += a[k + i] * b[k + i];
  float sum = 0;
  for (float lane : lanes) sum += lane;
  return sum;
}

void round_to_bf16(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = to_float(to_bf16(x[i]));
}

// One int8 per number and one scale per block, decoded again: what kFast multiplies.
void round_to_int8(float* x, int64_t n, int64_t block) {
  for (int64_t b = 0; b < n; b += block) {
    float largest = 0;
    for (int64_t i = b; i < b + block; ++i) largest = std::max(largest, std::abs(x[i]));
    const float scale = largest / 127, inverse = scale > 0 ? 1 / scale : 0;
    for (int64_t i = b; i < b + block; ++i) x[i] = std::nearbyint(x[i] * inverse) * scale;
  }
}

// The activations as a product sees them, in f32.
Tensor seen(Backend& backend, Operand& x, Numerics numerics) {
  if (numerics == Numerics::kExact) return x.f32();
  return backend.bf16_form(x).to_f32();
}

void decode_row(float* row, const Weight& w, int64_t n, Numerics numerics) {
  info(w.tensor().dtype()).decode(w.tensor().row(n), row, w.K());
  if (numerics == Numerics::kBf16) round_to_bf16(row, w.K());
}

}  // namespace

Operand Operand::slice_rows(int64_t begin, int64_t end) const {
  if (begin == 0 && end == M_) return *this;
  const Tensor& whole = has_f32() ? x_ : bf16_form;
  Operand part(whole.reshape({M_, K_}).slice_rows(begin, end));
  if (bf16_form.defined()) part.bf16_form = bf16_form.reshape({M_, K_}).slice_rows(begin, end);
  for (int i = 0; i < 2; ++i)
    if (int8_form[i].defined()) part.int8_form[i] = int8_form[i].slice_rows(begin, end);
  if (!has_f32()) part.x_ = Tensor();
  return part;
}

Operand Operand::bf16_only() const {
  SLLM_CHECK(bf16_form.defined(), "operand: there is no bf16 form");
  Operand kept = *this;
  kept.x_ = kept.int8_form[0] = kept.int8_form[1] = Tensor();
  return kept;
}

const Tensor& Backend::bf16_form(Operand& x) {
  if (!x.bf16_form.defined()) {
    Tensor rounded = Tensor::empty(DType::kBF16, {x.M(), x.K()});
    to_bf16(rounded.data<bf16>(), x.f32().data<float>(), rounded.size());
    x.bf16_form = std::move(rounded);
  }
  return x.bf16_form;
}

void Backend::linear(float* y, Operand& x, const Weight& w, Numerics numerics, bool accumulate) {
  const int64_t M = x.M(), N = w.N(), K = w.K();
  numerics = for_weight(numerics, w.tensor().dtype());
  const bool int8 = numerics == Numerics::kFast;
  Tensor rows = int8 ? x.f32().clone() : seen(*this, x, numerics);
  if (int8) round_to_int8(rows.data<float>(), M * K, info(w.tensor().dtype()).block_elements);
  std::vector<float> weight(static_cast<size_t>(K));
  for (int64_t n = 0; n < N; ++n) {
    decode_row(weight.data(), w, n, numerics);
    for (int64_t m = 0; m < M; ++m) {
      const float sum = dot(rows.data<float>() + m * K, weight.data(), K);
      y[m * N + n] = accumulate ? y[m * N + n] + sum : sum;
    }
  }
}

void Backend::linear_dx(float* dx, Operand& dy, const Weight& w, Numerics numerics,
                        bool accumulate) {
  if (numerics == Numerics::kFast) numerics = Numerics::kBf16;
  const int64_t M = dy.M(), N = w.N(), K = w.K();
  const Tensor rows = seen(*this, dy, numerics);
  const float* d = rows.data<float>();
  std::vector<float> weight(static_cast<size_t>(K));
  // In double: N may be a vocabulary, over which a chain of f32 sums loses a digit.
  std::vector<double> sums(static_cast<size_t>(M * K));
  for (int64_t n = 0; n < N; ++n) {
    decode_row(weight.data(), w, n, numerics);
    for (int64_t m = 0; m < M; ++m)
      for (int64_t k = 0; k < K; ++k) sums[m * K + k] += double{d[m * N + n]} * weight[k];
  }
  for (int64_t i = 0; i < M * K; ++i) {
    const auto sum = static_cast<float>(sums[i]);
    dx[i] = accumulate ? dx[i] + sum : sum;
  }
}

void Backend::linear_dw(float* dw, Operand& dy, Operand& x, Numerics numerics) {
  if (numerics == Numerics::kFast) numerics = Numerics::kBf16;
  const int64_t M = dy.M(), N = dy.K(), K = x.K();
  const Tensor d = seen(*this, dy, numerics), rows = seen(*this, x, numerics);
  for (int64_t m = 0; m < M; ++m)
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k)
        dw[n * K + k] += d.data<float>()[m * N + n] * rows.data<float>()[m * K + k];
}

void Backend::add_bias(float* y, const float* bias, int64_t N, int64_t D) {
  for (int64_t i = 0; i < N; ++i)
    for (int64_t j = 0; j < D; ++j) y[i * D + j] += bias[j];
}

namespace ops {
namespace {

// Consecutive rows of one adapter, and h = scale x Aᵀ [rows, R], which its backward reads again.
struct LowRank {
  LoraRows where;
  std::shared_ptr<Operand> h;
  Saved before_gain;  // z, where the gain is learned
};

std::vector<LowRank> join(std::span<const LoraRows> lora) {
  std::vector<LowRank> joined;
  for (const LoraRows& part : lora) {
    if (!part.lora || part.rows == 0) continue;
    if (!joined.empty()) {
      LoraRows& last = joined.back().where;
      if (last.lora == part.lora && last.first_row + last.rows == part.first_row) {
        last.rows += part.rows;
        continue;
      }
    }
    joined.push_back({part, nullptr, {}});
  }
  return joined;
}

// Rows whose adapter has a gain get their bias after it (add_low_rank), all others here.
void add_bias(Context& ctx, float* y, const Tensor& bias, int64_t M,
              std::span<const LowRank> parts) {
  const int64_t N = bias.size();
  int64_t done = 0;
  for (const auto& [where, h, z] : parts) {
    if (!where.lora->gain.defined()) continue;
    ctx.backend.add_bias(y + done * N, bias.data<float>(), where.first_row - done, N);
    done = where.first_row + where.rows;
  }
  ctx.backend.add_bias(y + done * N, bias.data<float>(), M - done, N);
}

void add_low_rank(Context& ctx, Tensor& y, Operand& x, const Tensor* bias, LowRank& part) {
  const auto& [first, rows, lora] = part.where;
  const int64_t N = y.cols();
  float* out = y.data<float>() + first * N;
  Operand some = x.slice_rows(first, first + rows);
  // What is trained is multiplied in bf16 also where the rest is in int8.
  const Numerics numerics =
      ctx.tape && ctx.numerics == Numerics::kFast ? Numerics::kBf16 : ctx.numerics;
  Tensor h = Tensor::empty(DType::kF32, {rows, lora->A.N()});
  ctx.backend.linear(h.data<float>(), some, lora->A, numerics);
  ctx.backend.scale(h.data<float>(), lora->scale, h.size());
  part.h = std::make_shared<Operand>(std::move(h));
  ctx.backend.linear(out, *part.h, lora->B, numerics, /*accumulate=*/true);
  if (!lora->gain.defined()) return;
  if (ctx.recording({lora->gain.id()})) {
    const Tensor z = y.slice_rows(first, first + rows);
    part.before_gain = Saved(ctx, ctx.numerics == Numerics::kExact ? z.clone() : z);
  }
  scale_columns(ctx.backend, out, out, lora->gain.data<float>(), rows, N);
  if (bias) ctx.backend.add_bias(out, bias->data<float>(), rows, N);
}

// dy becomes the gradient of what the gains multiply.
void gain_backward(Backend& backend, Tape& tape, Tensor& dy, std::span<const LowRank> parts) {
  const int64_t N = dy.cols();
  for (const LowRank& part : parts) {
    const auto& [first, rows, lora] = part.where;
    const Tensor& gain = lora->gain;
    if (!gain.defined()) continue;
    float* d = dy.data<float>() + first * N;
    if (tape.needs(gain.id()))
      add_column_dots(backend, tape.grad(gain).data<float>(), d,
                      part.before_gain.f32(backend).data<float>(), rows, N);
    scale_columns(backend, d, d, gain.data<float>(), rows, N);
  }
}

void low_rank_backward(Context& ctx, Tape& tape, Operand& dy, Operand& x, const Var* dx,
                       const LowRank& part) {
  const auto& [first, rows, lora] = part.where;
  const Tensor &A = lora->A.tensor(), &B = lora->B.tensor();
  Operand some_dy = dy.slice_rows(first, first + rows);
  if (tape.needs(B.id()))
    ctx.backend.linear_dw(tape.grad(B).data<float>(), some_dy, *part.h, ctx.numerics);
  Tensor dh = Tensor::empty(DType::kF32, {rows, lora->A.N()});
  ctx.backend.linear_dx(dh.data<float>(), some_dy, lora->B, ctx.numerics);
  ctx.backend.scale(dh.data<float>(), lora->scale, dh.size());
  Operand dh_operand(std::move(dh));
  if (tape.needs(A.id())) {
    Operand some_x = x.slice_rows(first, first + rows);
    ctx.backend.linear_dw(tape.grad(A).data<float>(), dh_operand, some_x, ctx.numerics);
  }
  if (dx)
    ctx.backend.linear_dx(tape.grad(*dx).data<float>() + first * x.K(), dh_operand, lora->A,
                          ctx.numerics, /*accumulate=*/true);
}

void bias_backward(Backend& backend, Tape& tape, const Tensor& bias, const Tensor& dy) {
  float* sum = tape.grad(bias).data<float>();
  for (int64_t m = 0; m < dy.rows(); ++m)
    backend.axpy(sum, 1.0f, dy.data<float>() + m * dy.cols(), dy.cols());
}

}  // namespace

Tensor linear(Context& ctx, const std::shared_ptr<Operand>& x, const Weight& w, const Tensor* bias,
              std::span<const LoraRows> lora) {
  SLLM_CHECK(x->K() == w.K(), "linear: rows of {} do not fit weight {}", x->K(),
             w.tensor().to_string());
  const int64_t M = x->M(), N = w.N();
  Tensor y = Tensor::empty(DType::kF32, {M, N});
  ctx.backend.linear(y.data<float>(), *x, w, ctx.numerics);
  std::vector<LowRank> parts = join(lora);
  if (bias) add_bias(ctx, y.data<float>(), *bias, M, parts);
  for (LowRank& part : parts) add_low_rank(ctx, y, *x, bias, part);
  if (!ctx.tape) return y;

  std::vector<uint64_t> inputs = {x->id(), w.tensor().id(), bias ? bias->id() : 0};
  for (const LowRank& part : parts) {
    const Lora& lora = *part.where.lora;
    inputs.insert(inputs.end(), {lora.A.tensor().id(), lora.B.tensor().id(), lora.gain.id()});
  }
  if (std::none_of(inputs.begin(), inputs.end(), [&](auto id) { return ctx.tape->needs(id); }))
    return y;
  const bool reads_x = ctx.tape->needs(w.tensor().id()) || !parts.empty();
  const auto kept = [&](const std::shared_ptr<Operand>& operand) {
    if (ctx.numerics == Numerics::kExact) return operand;
    ctx.backend.bf16_form(*operand);
    return std::make_shared<Operand>(operand->bf16_only());
  };
  for (LowRank& part : parts) part.h = kept(part.h);
  ctx.tape->record(
      y, inputs,
      [ctx, x = reads_x ? kept(x) : nullptr, input = Var(x->id(), {M, x->K()}), w,
       bias = bias ? *bias : Tensor(), parts = std::move(parts)](Tape& tape, const Tensor& dy) {
        Context context = ctx;
        if (tape.needs(bias.id())) bias_backward(ctx.backend, tape, bias, dy);
        Tensor dz = dy;  // nothing else reads it
        gain_backward(ctx.backend, tape, dz, parts);
        Operand d(std::move(dz));
        const bool wants_dx = tape.needs(input.id);
        if (wants_dx) {
          const auto dx = tape.share(input);
          ctx.backend.linear_dx(dx.data, d, w, ctx.numerics, dx.accumulate);
        }
        if (tape.needs(w.tensor().id()))
          ctx.backend.linear_dw(tape.grad(w.tensor()).data<float>(), d, *x, ctx.numerics);
        for (const LowRank& part : parts)
          low_rank_backward(context, tape, d, *x, wants_dx ? &input : nullptr, part);
      });
  return y;
}

}  // namespace ops
}  // namespace sllm
