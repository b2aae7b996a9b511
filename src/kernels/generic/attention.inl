// One chunk of keys in attention with an online softmax (Milakov & Gimelshein 2018): see
// ops/attention.cc for the formulas. Every query's numbers depend on its own keys alone: masked
// ones add exact zeros.

constexpr int64_t kChunk = 64;

// scores [rows, kChunk]: raw dot products in, exp(factor s - largest) out (capped), 0 outside [first, last)
// of the row. Updates largest and sum of each row and multiplies out [rows, ldo] by the shrinkage.
SLLM_INLINE void softmax_chunk(float* scores, float* out, int64_t ldo, float* largest, float* sum,
                               int64_t rows, const int32_t* first, const int32_t* last, int64_t Dh,
                               float factor, float softcap) {
  const float lowest = -__builtin_inff();
  if (softcap != 0) {
    for (int64_t i = 0; i < rows * kChunk; i += kLanes)
      store(scores + i, mul(set1(softcap), tanh(mul(load(scores + i), set1(factor / softcap)))));
    factor = 1;
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* s = scores + r * kChunk;
    for (int64_t j = 0; j < kChunk; ++j)
      s[j] = j >= first[r] && j < last[r] ? s[j] * factor : lowest;
    const float before = largest[r], seen = largest_of(s, kChunk);
    const float now = seen > before ? seen : before;
    if (last[r] <= first[r]) {
      for (int64_t j = 0; j < kChunk; ++j) s[j] = 0;
      continue;
    }
    F total = zero();
    for (int64_t j = 0; j < kChunk; j += kLanes) {
      const F p = exp(sub(load(s + j), set1(now)));
      store(s + j, p);
      total = add(total, p);
    }
    largest[r] = now;
    if (now != before) {
      float shrink[kLanes];
      store(shrink, exp(set1(before - now)));
      sum[r] *= shrink[0];
      scale(out + r * ldo, shrink[0], Dh);
    }
    sum[r] += reduce_add(total);
  }
}

// out [rows, Dh] attends over keys k, v [keys <= kChunk] of rows ldkv apart.
// scratch: rows * kChunk.
void attend_chunk(float* out, float* largest, float* sum, const float* q, int64_t rows,
                  const float* k, const float* v, int64_t ldkv, int64_t keys, const int32_t* first,
                  const int32_t* last, int64_t Dh, float factor, float softcap,
                  float* scratch) noexcept {
  dot_product(scratch, kChunk, q, Dh, k, ldkv, rows, keys, Dh, false);
  softmax_chunk(scratch, out, Dh, largest, sum, rows, first, last, Dh, factor, softcap);
  outer_product(out, Dh, scratch, kChunk, 1, v, ldkv, rows, Dh, keys, true);
}

// Backward of a block: s [rows, kChunk] raw scores become p; dp becomes ds = factor p (dp - D),
// times the slope of the cap.
void attention_gradient(float* s, float* dp, int64_t rows, const int32_t* first,
                        const int32_t* last, const float* lse, const float* D,
                        float factor, float softcap) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < kChunk; j += kLanes) {
      float* sj = s + r * kChunk + j;
      float* dpj = dp + r * kChunk + j;
      F score = mul(load(sj), set1(factor)), slope = set1(factor);
      if (softcap != 0) {
        const F capped = tanh(mul(load(sj), set1(factor / softcap)));
        score = mul(set1(softcap), capped);
        slope = mul(slope, sub(set1(1), mul(capped, capped)));
      }
      const F p = exp(sub(score, set1(lse[r])));
      const F ds = mul(mul(slope, p), sub(load(dpj), set1(D[r])));
      store(sj, p);
      store(dpj, ds);
      for (int64_t i = 0; i < kLanes; ++i)
        if (j + i < first[r] || j + i >= last[r]) sj[i] = dpj[i] = 0;
    }
}
