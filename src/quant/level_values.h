// The sixteen numbers that four bits stand for in the formats whose levels are not evenly spaced.
#pragma once

namespace sllm {

// IQ4_NL and IQ4_XS: ggml's kvalues_iq4nl, denser around zero, where most weights are.
inline constexpr float kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};
// MXFP4: twice the numbers of a float of 1 sign, 2 exponent and 1 mantissa bit (E2M1 of the OCP
// Microscaling Formats specification 1.0).
inline constexpr float kMxfp4Values[16] = {0,  1,  2,  3,  4,  6,  8,  12,
                                           -0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace sllm
