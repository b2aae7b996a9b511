// Block formats to bf16 by way of f32.
constexpr auto q8_0_to_bf16 = decode_q8_0<uint16_t>;
constexpr auto q4_0_to_bf16 = decode_q4_0<uint16_t>;
constexpr auto q4_1_to_bf16 = decode_q4_1<uint16_t>;
constexpr auto q5_0_to_bf16 = decode_q5_0<uint16_t>;
constexpr auto q5_1_to_bf16 = decode_q5_1<uint16_t>;
constexpr auto q4_k_to_bf16 = decode_q4_k<uint16_t>;
constexpr auto q5_k_to_bf16 = decode_q5_k<uint16_t>;
constexpr auto q6_k_to_bf16 = decode_q6_k<uint16_t>;
