// The searches behind the encoders: which scale (and minimum) loses least when a group of numbers
// is rounded to a few levels. All are weighted least squares: for fixed levels q the best scale has
// a closed form, so a search tries several roundings and keeps the one with the smallest error.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace sllm {

// The element farthest from zero, with its sign.
inline float largest_magnitude(const float* x, int n) {
  float best = 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  return best;
}

// 1/x, or 0 where x is zero or so small that 1/x overflows (such a scale is 0 in half precision).
inline float inverse_or_zero(float x) { return std::fabs(x) >= FLT_MIN ? 1 / x : 0; }
// The same for levels / x. Not levels * (1 / x), and the sums below in this order: weights that
// were quantised before lie on a grid, where many roundings are ties that the last bit decides; so
// they fall as in llama.cpp.
inline float levels_over(float levels, float x) {
  return std::fabs(x) >= levels * FLT_MIN ? levels / x : 0;
}

// Nearest integer, ties to even, for |x| <= 2^22: adding 1.5 * 2^23 pushes the fraction out of the
// mantissa. std::nearbyint would do, but is a call per element on the baseline ISA.
inline float round_small(float x) {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

inline int clamp_level(float x, int low, int high) {
  return static_cast<int>(
      std::clamp(round_small(x), static_cast<float>(low), static_cast<float>(high)));
}

// x ~ scale * q + minimum with q in [0, top] and minimum <= 0.
struct AffineFit {
  float scale = 0, minimum = 0;
};
// What the attempts are compared by: sum w (x - scale q - minimum)^2, or sum w |...|.
enum class FitError { kSquare, kAbsolute };
// The rounding grids (top + first + step * i) / (max - min), i in [0, tries].
struct Grids {
  float first, step;
  int tries;
};
// What llama.cpp tries where the weights of errors are known.
inline constexpr Grids kWeightedGrids{-0.9f, 0.05f, 36};
// Tries the grids and for each the closed-form scale and minimum; the grids that follow a better
// fit start from its minimum. Writes the levels into q. Formulas: weighted linear regression of x
// on q; if the intercept comes out positive it is fixed at 0 and the slope refitted.
template <int N, FitError kError = FitError::kSquare>
AffineFit fit_affine(const float* x, const float* weight, int top, Grids grids, uint8_t* q) {
  float low = x[0], high = x[0], sum_w = 0, sum_x = 0;
  for (int i = 0; i < N; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
    sum_w += weight[i];
    sum_x += weight[i] * x[i];
  }
  low = std::min(low, 0.0f);
  if (!(high - low >= FLT_MIN)) {
    std::memset(q, 0, N);
    return {0, low};
  }
  const float top_level = static_cast<float>(top);
  const auto error = [&](const float* levels, AffineFit fit) {
    float sum = 0;
    for (int i = 0; i < N; ++i) {
      const float difference = fit.scale * levels[i] + fit.minimum - x[i];
      if constexpr (kError == FitError::kSquare)
        sum += weight[i] * difference * difference;
      else
        sum += weight[i] * std::fabs(difference);
    }
    return sum;
  };
  float levels[N], best_levels[N];
  const auto round_to_grid = [&](float grid, float* out) {
    for (int i = 0; i < N; ++i)
      out[i] = std::clamp(round_small(grid * (x[i] - low)), 0.0f, top_level);
  };
  const float plain = top_level / (high - low);
  AffineFit best{1 / plain, low};
  round_to_grid(plain, best_levels);
  float best_error = error(best_levels, best);
  for (int attempt = 0; attempt <= grids.tries; ++attempt) {
    const float shift = grids.first + grids.step * static_cast<float>(attempt);
    round_to_grid((shift + top_level) / (high - low), levels);
    float sum_q = 0, sum_qq = 0, sum_xq = 0;
    for (int i = 0; i < N; ++i) {
      const float wq = weight[i] * levels[i];
      sum_q += wq;
      sum_qq += wq * levels[i];
      sum_xq += wq * x[i];
    }
    const float determinant = sum_w * sum_qq - sum_q * sum_q;
    if (!(determinant > 0)) continue;
    AffineFit fit{(sum_w * sum_xq - sum_x * sum_q) / determinant,
                  (sum_qq * sum_x - sum_q * sum_xq) / determinant};
    if (fit.minimum > 0) fit = {sum_xq / sum_qq, 0};
    const float fit_error = error(levels, fit);
    if (fit_error < best_error) {
      best_error = fit_error;
      best = fit;
      low = fit.minimum;
      std::memcpy(best_levels, levels, sizeof levels);
    }
  }
  for (int i = 0; i < N; ++i) q[i] = static_cast<uint8_t>(best_levels[i]);
  return best;
}

// A super-block of 256 numbers in kGroups groups fitted by weighted errors: what is rounded next,
// and how much each group weighs then. Writes the levels of all numbers.
template <int kGroups>
struct GroupFits {
  float scales[kGroups], minima[kGroups], weights[kGroups];  // minima as what is subtracted
  GroupFits(const float* x, const float* weight, int top, uint8_t* levels) {
    constexpr int N = 256 / kGroups;
    for (int g = 0; g < kGroups; ++g) {
      const AffineFit fit =
          fit_affine<N>(x + N * g, weight + N * g, top, kWeightedGrids, levels + N * g);
      scales[g] = fit.scale;
      minima[g] = -fit.minimum;
      weights[g] = 0;
      for (int i = N * g; i < N * g + N; ++i) weights[g] += weight[i];
    }
  }
};

// x^2 for each number: errors of large ones cost more, where nothing else is known of them.
template <int N>
void squares(const float* x, float* weight) {
  for (int i = 0; i < N; ++i) weight[i] = x[i] * x[i];
}

// x ~ scale * q with q in [-half, half - 1], minimising sum weight (x - scale q)^2. Tries the grids
// (half + i/10) / |x|max, i in [-9, 9]. Writes q + half into levels.
template <int N>
float fit_symmetric(const float* x, const float* weight, int half, int8_t* levels) {
  const float extreme = largest_magnitude(x, N);
  if (std::fabs(extreme) < 1e-15f) {
    std::memset(levels, 0, N);
    return 0;
  }
  const float lowest = static_cast<float>(-half), highest = static_cast<float>(half - 1);
  float q[N], best_scale = 0, best_gain = 0;
  // The error falls by (sum w x q)^2 / (sum w q^2): that gain is what is compared. The plain grid
  // comes first, so that a tie keeps it.
  for (int attempt = 0; attempt < 19; ++attempt) {
    const int shift = attempt == 0 ? 0 : attempt <= 9 ? attempt - 10 : attempt - 9;
    const float grid = -(static_cast<float>(half) + 0.1f * static_cast<float>(shift)) / extreme;
    float sum_xq = 0, sum_qq = 0;
    for (int i = 0; i < N; ++i) {
      q[i] = std::clamp(round_small(grid * x[i]), lowest, highest);
      sum_xq += weight[i] * x[i] * q[i];
      sum_qq += weight[i] * q[i] * q[i];
    }
    if (attempt > 0 && !(sum_qq > 0 && sum_xq * sum_xq > best_gain * sum_qq)) continue;
    best_scale = sum_qq > 0 ? sum_xq / sum_qq : 0;
    best_gain = best_scale * sum_xq;
    for (int i = 0; i < N; ++i) levels[i] = static_cast<int8_t>(q[i] + static_cast<float>(half));
  }
  return best_scale;
}

// Lowers sum weight (x - scale q)^2 by moving one number at a time to the level in [lowest,
// highest] that is best for the others' scale, in at most five passes; returns the scale. Formula:
// without number i the scale is a/b, a = sum w x q, b = sum w q^2 over the rest, so its level is x
// b / a; a move must raise (sum w x q)^2 / sum w q^2.
template <int N>
float move_levels(const float* x, const float* weight, float lowest, float highest, float* q) {
  float sum_xq = 0, sum_qq = 0;
  for (int i = 0; i < N; ++i) {
    sum_xq += weight[i] * x[i] * q[i];
    sum_qq += weight[i] * q[i] * q[i];
  }
  bool moved = true;
  for (int pass = 0; pass < 5 && moved; ++pass) {
    moved = false;
    for (int i = 0; i < N; ++i) {
      const float rest_xq = sum_xq - weight[i] * x[i] * q[i],
                  rest_qq = sum_qq - weight[i] * q[i] * q[i];
      if (!(rest_xq > 0) || !(rest_qq > 0)) continue;
      const float level = std::clamp(round_small(x[i] * rest_qq / rest_xq), lowest, highest);
      if (level == q[i]) continue;
      const float new_xq = rest_xq + weight[i] * x[i] * level,
                  new_qq = rest_qq + weight[i] * level * level;
      if (!(new_xq * new_xq * sum_qq > sum_xq * sum_xq * new_qq)) continue;
      q[i] = level;
      sum_xq = new_xq;
      sum_qq = new_qq;
      moved = true;
    }
  }
  return sum_qq > 0 ? sum_xq / sum_qq : 0;
}

// x ~ scale * q with q in [-half, half - 1], minimising sum x^2 (x - scale q)^2 by moves from the
// plain grid on. Writes q + half into levels.
template <int N>
float fit_stepwise(const float* x, int half, int8_t* levels) {
  const float extreme = largest_magnitude(x, N);
  if (std::fabs(extreme) < 1e-15f) {
    std::memset(levels, 0, N);
    return 0;
  }
  const auto top = static_cast<float>(half);
  float q[N], weight[N];
  squares<N>(x, weight);
  for (int i = 0; i < N; ++i) q[i] = std::clamp(round_small(-top / extreme * x[i]), -top, top - 1);
  const float scale = move_levels<N>(x, weight, -top, top - 1, q);
  for (int i = 0; i < N; ++i) levels[i] = static_cast<int8_t>(q[i] + top);
  return scale;
}

// x ~ scale * q with q in [0, top], for numbers that are not negative (the scales of groups),
// minimising sum weight (x - scale q)^2: of the grids (top + i/10) / max, i in [-4, 4], the one
// that loses least as it is, and moves from there on.
template <int N>
float fit_positive(const float* x, const float* weight, int top, uint8_t* levels) {
  const float highest = *std::max_element(x, x + N), top_level = static_cast<float>(top);
  if (highest < 1e-15f) {
    std::memset(levels, 0, N);
    return 0;
  }
  float q[N], best_grid = 0, best_error = 0;
  const auto round_to_grid = [&](float grid) {
    for (int i = 0; i < N; ++i) q[i] = std::clamp(round_small(grid * x[i]), 0.0f, top_level);
  };
  // The plain grid comes first, so that a tie keeps it.
  for (const int shift : {0, -4, -3, -2, -1, 1, 2, 3, 4}) {
    const float grid = (0.1f * static_cast<float>(shift) + top_level) / highest, scale = 1 / grid;
    round_to_grid(grid);
    float error = 0;
    for (int i = 0; i < N; ++i) {
      const float difference = x[i] - scale * q[i];
      error += weight[i] * difference * difference;
    }
    if (shift != 0 && !(error < best_error)) continue;
    best_error = error;
    best_grid = grid;
  }
  round_to_grid(best_grid);
  const float scale = move_levels<N>(x, weight, 0, top_level, q);
  for (int i = 0; i < N; ++i) levels[i] = static_cast<uint8_t>(q[i]);
  return scale;
}

}  // namespace sllm
