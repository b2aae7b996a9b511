// A level without int8 products.
int64_t int8_x_bytes(int64_t, int64_t) noexcept { return 0; }
void int8_pack_x(void*, const float*, int64_t, int64_t) noexcept {}
constexpr int64_t int8_scratch = 0;
