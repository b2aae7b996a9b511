#include <cmath>
#include <cstring>

#include "models/qwen3_5.h"

namespace sllm {
namespace {

// [a][b] pieces of so many bytes become [b][a].
void swap(char* to, const char* from, int64_t a, int64_t b, int64_t bytes) {
  for (int64_t i = 0; i < a; ++i)
    for (int64_t j = 0; j < b; ++j)
      std::memcpy(to + (j * a + i) * bytes, from + (i * b + j) * bytes, static_cast<size_t>(bytes));
}

Tensor swap_rows(const Tensor& t, int64_t fixed, int64_t a, int64_t b, int64_t width) {
  const int64_t row = t.bytes() / t.shape()[0];
  Tensor out = t.clone();
  swap(static_cast<char*>(out.raw()) + fixed * row, static_cast<const char*>(t.raw()) + fixed * row,
       a, b, width * row);
  return out;
}

Tensor swap_columns(const Tensor& t, int64_t a, int64_t b, int64_t width) {
  const int64_t rows = t.shape()[0], row = t.bytes() / rows, piece = bytes_of(t.dtype(), width);
  Tensor out = t.clone();
  for (int64_t i = 0; i < rows; ++i)
    swap(static_cast<char*>(out.raw()) + i * row, static_cast<const char*>(t.raw()) + i * row, a, b,
         piece);
  return out;
}

Tensor mapped(const Tensor& t, double (*f)(double)) {
  Tensor out = t.dtype() == DType::kF32 ? t.clone() : t.to_f32();
  for (int64_t i = 0; i < out.size(); ++i)
    out.data<float>()[i] = static_cast<float>(f(out.data<float>()[i]));
  return out;
}

}  // namespace

GgufForm tiled_rows(const DeltaWidths& d, int64_t fixed, int64_t width) {
  if (d.H == d.Hk) return {};
  const int64_t r = d.H / d.Hk, Hk = d.Hk;
  return {[=](const Tensor& t, int64_t) { return swap_rows(t, fixed, Hk, r, width); },
          [=](const Tensor& t, int64_t) { return swap_rows(t, fixed, r, Hk, width); }};
}

GgufForm tiled_columns(const DeltaWidths& d) {
  if (d.H == d.Hk) return {};
  const int64_t r = d.H / d.Hk, Hk = d.Hk, Dv = d.Dv;
  return {[=](const Tensor& t, int64_t) { return swap_columns(t, Hk, r, Dv); },
          [=](const Tensor& t, int64_t) { return swap_columns(t, r, Hk, Dv); }, 0, Dv};
}

GgufForm tiled_convolution(const DeltaWidths& d) {
  const GgufForm rows = tiled_rows(d, 2 * d.keys(), d.Dv);
  return {[=](const Tensor& t, int64_t n) {
            const Tensor moved = rows.to_gguf ? rows.to_gguf(t, n) : t;
            return moved.reshape({t.shape()[0], t.shape()[2]});
          },
          [=](const Tensor& t, int64_t n) {
            const Tensor moved = rows.from_gguf ? rows.from_gguf(t, n) : t;
            return moved.reshape({t.shape()[0], 1, t.shape()[1]});
          }};
}

GgufForm tiled_decay(const DeltaWidths& d) {
  const GgufForm rows = tiled_rows(d, 0, 1);
  return {[=](const Tensor& t, int64_t n) {
            const Tensor moved = rows.to_gguf ? rows.to_gguf(t, n) : t;
            return mapped(moved, [](double x) { return -std::exp(x); });
          },
          [=](const Tensor& t, int64_t n) {
            const Tensor moved = rows.from_gguf ? rows.from_gguf(t, n) : t;
            return mapped(moved, [](double x) { return std::log(-x); });
          }};
}

}  // namespace sllm
