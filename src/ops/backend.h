// Backend: one virtual per piece of arithmetic; the default body of each is the reference, its
// specification and oracle. src/cpu overrides them with threads and SIMD. Raw row-major pointers,
// all activations f32. RULE (design 3.4): what is computed for one row must not depend on how many
// rows come with it, nor on the number of threads: fixed order along K, attention in fixed chunks
// of keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "ops/numerics.h"
#include "tensor/activation.h"
#include "tensor/tensor.h"

namespace sllm {

// A weight matrix [N out, K in] in any dtype, with whatever the backend prepared from it (panels).
class Weight {
 public:
  Weight() = default;
  explicit Weight(Tensor w) : tensor_(std::move(w)) {}
  const Tensor& tensor() const { return tensor_; }
  Tensor& tensor() { return tensor_; }
  int64_t N() const { return tensor_.rows(); }
  int64_t K() const { return tensor_.cols(); }
  bool defined() const { return tensor_.defined(); }
  // The backend's own form of this weight; made on first use, shared by copies of this Weight.
  struct Prepared {
    virtual ~Prepared() = default;
  };
  std::shared_ptr<Prepared>& prepared() const { return *prepared_; }

 private:
  Tensor tensor_;
  std::shared_ptr<std::shared_ptr<Prepared>> prepared_ =
      std::make_shared<std::shared_ptr<Prepared>>();
};

// An activation matrix [M, K] on its way into matrix products. Forms other than f32 (bf16, int8
// with scales) are made once on first use and shared by all products that read it (q, k, v; gate,
// up).
class Operand {
 public:
  explicit Operand(Tensor x) : M_(x.rows()), K_(x.cols()), id_(x.id()), x_(std::move(x)) {}
  int64_t M() const { return M_; }
  int64_t K() const { return K_; }
  uint64_t id() const { return id_; }  // of the f32 tensor, also of bf16_only()
  bool has_f32() const { return x_.defined(); }
  const Tensor& f32() const {
    SLLM_CHECK(has_f32(), "operand: its f32 rows were dropped");
    return x_;
  }
  Tensor bf16_form;  // BF16 [M, K] once made
  // Int8 with a scale for each 32 and each 256 along K, in the backend's layout, once made.
  Tensor int8_form[2];
  // What a training graph keeps of this operand: its bf16 form, so that the other forms are freed
  // as soon as the forward pass is done with them.
  Operand bf16_only() const;
  Operand slice_rows(int64_t begin, int64_t end) const;

 private:
  int64_t M_, K_;
  uint64_t id_;
  Tensor x_;
};

struct AttentionShape {
  int64_t H, Hk, Dh;   // query heads, KV heads (H % Hk == 0), head width
  float scale;         // usually 1/sqrt(Dh)
  int64_t window = 0;  // key j is visible to query i iff |i-j| < window; 0: no such limit
  float softcap = 0;   // scores become softcap tanh(score / softcap); 0: they stay
  bool causal = true;  // only keys j <= i; false: the whole segment, which is then one piece

  // The keys of the query at `position` that it sees are [first_visible, end_visible) of `keys`.
  int64_t first_visible(int64_t position) const {
    return window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
  }
  int64_t end_visible(int64_t position, int64_t keys) const {
    if (causal) return std::min(position + 1, keys);
    return window > 0 ? std::min(position + window, keys) : keys;
  }
};

// Keys and values of one sequence as the attention kernel sees them: blocks of kBlockTokens tokens,
// each block [Hk][kBlockTokens][Dh] for K and for V, dtype F32, F16, BF16 or Q8_0.
struct KvView {
  static constexpr int64_t kBlockTokens = 64;
  const void* const* k = nullptr;  // k[block]
  const void* const* v = nullptr;
  DType dtype = DType::kF32;
};

// One sequence's rows in a flat batch: query rows [first_row, first_row + rows) stand at positions
// [position, position + rows). They see keys 0..own position, or all of them (AttentionShape).
struct AttentionSegment {
  int64_t first_row = 0, rows = 0, position = 0;
  KvView kv;  // inference: keys 0 .. position+rows-1, the new ones already appended
  // Training: the earlier segment of the span that ends where this one begins, and whose keys (with
  // those of the segment before it) this one sees too; -1: none, and position is 0. So texts that
  // begin alike share the rows of their beginning.
  int64_t before = -1;
};
// Training: the row that holds the key at `position` of a segment.
inline int64_t key_row(std::span<const AttentionSegment> segments, const AttentionSegment& segment,
                       int64_t position) {
  const AttentionSegment* s = &segment;
  while (position < s->position) s = &segments[static_cast<size_t>(s->before)];
  return s->first_row + position - s->position;
}

// One sequence's rows for a layer with a state of its own (short_conv, delta_rule). state is read,
// and holds the state after the last row on return; null: it starts as zeros and is forgotten
// (training, encoders).
struct StateSegment {
  int64_t first_row = 0, rows = 0;
  float* state = nullptr;
};

struct DeltaShape {
  int64_t H, Hk, Dk, Dv;  // value heads, query and key heads (H % Hk == 0), their widths
  float scale;            // of the output; usually 1/sqrt(Dk)
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual int threads() const { return 1; }

  // The rounded rows of an operand, made on first use: BF16 [M, K].
  const Tensor& bf16_form(Operand& x);

  // y[M,N] = x Wᵀ (+ y when accumulate). See Numerics for what is rounded when.
  virtual void linear(float* y, Operand& x, const Weight& w, Numerics numerics,
                      bool accumulate = false);
  // dx[M,K] = dy W (+ dx when accumulate); dy is [M,N]. kFast falls back to kBf16 here.
  virtual void linear_dx(float* dx, Operand& dy, const Weight& w, Numerics numerics,
                         bool accumulate = false);
  // dw[N,K] += dyᵀ x.  dy [M,N], x [M,K].
  virtual void linear_dw(float* dw, Operand& dy, Operand& x, Numerics numerics);

  // y[i] = table[ids[i]] decoded to f32; table [V, D] of any dtype.
  virtual void embed(float* y, const Tensor& table, std::span<const int32_t> ids);
  virtual void embed_backward(float* dtable, const float* dy, std::span<const int32_t> ids,
                              int64_t D);

  // y = x * r * w, r = 1/sqrt(mean(x²)+eps); x,y [N,D], w [D], r [N] (may be null). Zhang &
  // Sennrich 2019.
  virtual void rms_norm(float* y, float* r, const float* x, const float* w, int64_t N, int64_t D,
                        float eps);
  // dx += ..., dw += ... (dw may be null).
  virtual void rms_norm_backward(float* dx, float* dw, const float* dy, const float* x,
                                 const float* w, const float* r, int64_t N, int64_t D);

  // y = (x - mean) r w + b (b may be null); stats [N,2] = mean, r (may be null). Ba et al. 2016.
  virtual void layer_norm(float* y, float* stats, const float* x, const float* w, const float* b,
                          int64_t N, int64_t D, float eps);
  // dx += ..., dw += ..., db += ... (dw, db may be null).
  virtual void layer_norm_backward(float* dx, float* dw, float* db, const float* dy, const float* x,
                                   const float* w, const float* stats, int64_t N, int64_t D);

  // Rotate-half RoPE (HF's order) in place on the first R of the Dh columns of each head, rows
  // [N, heads*Dh]; cos, sin are [N, R/2] for the rows' positions. inverse = true applies the
  // transpose (backward). Su et al. 2021.
  virtual void rope(float* x, const float* cos, const float* sin, int64_t N, int64_t heads,
                    int64_t Dh, int64_t R, bool inverse);

  // out [N, H*Dh] from q [N, H*Dh] and each segment's KvView. Online softmax over chunks of
  // KvView::kBlockTokens keys, in order.
  virtual void attention(float* out, const float* q, std::span<const AttentionSegment> segments,
                         AttentionShape shape);
  // Training form: keys and values are the rows k,v [N, Hk*Dh] of the segment and of those before
  // it (no KvView). lse [N, H] receives log-sum-exp for the backward. Equal to `attention` bit for
  // bit on the same f32 keys.
  virtual void attention_train(float* out, float* lse, const float* q, const float* k,
                               const float* v, std::span<const AttentionSegment> segments,
                               AttentionShape shape);
  // dq, dk, dv are overwritten.
  virtual void attention_backward(float* dq, float* dk, float* dv, const float* dout,
                                  const float* q, const float* k, const float* v, const float* out,
                                  const float* lse, std::span<const AttentionSegment> segments,
                                  AttentionShape shape);

  // Depthwise causal convolution: y, x [N, C], w [C, K], b [C] (may be null). A segment's state
  // [K-1, C] is only read: the op moves it on.
  virtual void short_conv(float* y, const float* x, const float* w, const float* b,
                          std::span<const StateSegment> segments, int64_t C, int64_t K);
  // Of segments without states. dx is overwritten, dw += ..., db += ... (dw, db may be null).
  virtual void short_conv_backward(float* dx, float* dw, float* db, const float* dy, const float* x,
                                   const float* w, std::span<const StateSegment> segments,
                                   int64_t C, int64_t K);

  // out, v [N, H*Dv], q, k [N, Hk*Dk], g, beta [N, H]; a segment's state [H, Dk, Dv].
  virtual void delta_rule(float* out, const float* q, const float* k, const float* v,
                          const float* g, const float* beta, std::span<const StateSegment> segments,
                          DeltaShape shape);
  // Of segments without states; all gradients are overwritten.
  virtual void delta_rule_backward(float* dq, float* dk, float* dv, float* dg, float* dbeta,
                                   const float* dout, const float* q, const float* k,
                                   const float* v, const float* g, const float* beta,
                                   std::span<const StateSegment> segments, DeltaShape shape);

  // y = f(gate) * up, elementwise over n; up null: ones. Shazeer 2020.
  virtual void glu(float* y, const float* gate, const float* up, int64_t n, Activation f);
  // Overwrites dgate and dup (null when up is).
  virtual void glu_backward(float* dgate, float* dup, const float* dy, const float* gate,
                            const float* up, int64_t n, Activation f);
  // y[i, j] (+)= x[i, j] for i < rows, j < columns; rows are ldy and ldx apart.
  virtual void copy_columns(float* y, int64_t ldy, const float* x, int64_t ldx, int64_t rows,
                            int64_t columns, bool accumulate);

  virtual void add(float* y, const float* a, const float* b, int64_t n);  // y = a + b (may alias)
  virtual void add_bias(float* y, const float* bias, int64_t N, int64_t D);  // y[N,D] += bias[D]
  virtual void axpy(float* y, float a, const float* x, int64_t n);           // y += a x
  virtual void scale(float* x, float a, int64_t n);                          // x *= a
  virtual double sum_squares(const float* x, int64_t n);                     // fixed order

  // Conversions, to nearest even.
  virtual void to_bf16(bf16* y, const float* x, int64_t n);
  virtual void from_bf16(float* y, const bf16* x, int64_t n);

  // Cross-entropy rows: loss[i] = logsumexp(logits[i]) - logits[i][target[i]]; with dlogits
  // non-null also dlogits = (softmax - onehot) * row_weight[i], which may alias logits. logits
  // [N,V].
  virtual void cross_entropy(float* loss, float* dlogits, const float* logits,
                             std::span<const int32_t> targets, const float* row_weight, int64_t V);

  // AdamW step (Loshchilov & Hutter 2019), torch's order of operations: p *= 1 - lr*wd; m,v
  // updated; p -= lr/bc1 * m / (sqrt(v)/sqrt(bc2) + eps).  g is multiplied by grad_scale first
  // (clipping).
  struct AdamW {
    double lr, beta1, beta2, eps, weight_decay;
    float grad_scale;
    int64_t step;  // from 1
  };
  virtual void adamw(float* p, const float* g, float* m, float* v, int64_t n, const AdamW& options);
};

}  // namespace sllm
