#include "io/gguf_writer.h"

#include "base/checked.h"
#include "io/gguf.h"

namespace sllm {
namespace {

constexpr uint64_t kAlignment = 32;   // GGUF's default, so the file need not say it
constexpr size_t kMaxNameBytes = 64;  // ggml's GGML_MAX_NAME, its end included

uint64_t padded(uint64_t n) {
  return static_cast<uint64_t>(round_up(static_cast<int64_t>(n), kAlignment));
}
template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void append_string(std::string& out, std::string_view text) {
  append(out, static_cast<uint64_t>(text.size()));
  out.append(text);
}
uint32_t id(GgufType type) { return static_cast<uint32_t>(type); }

}  // namespace

void GgufWriter::begin(std::string_view key, uint32_t type) {
  append_string(metadata_, key);
  put(type);
  ++pairs_;
}
void GgufWriter::add(std::string_view key, std::string_view value) {
  begin(key, id(GgufType::kString));
  append_string(metadata_, value);
}
void GgufWriter::add(std::string_view key, uint32_t value) {
  begin(key, id(GgufType::kU32));
  put(value);
}
void GgufWriter::add(std::string_view key, float value) {
  begin(key, id(GgufType::kF32));
  put(value);
}
void GgufWriter::add(std::string_view key, bool value) {
  begin(key, id(GgufType::kBool));
  put(static_cast<uint8_t>(value));
}
void GgufWriter::add(std::string_view key, std::span<const std::string> values) {
  begin(key, id(GgufType::kArray));
  put(id(GgufType::kString));
  put(static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) append_string(metadata_, value);
}
void GgufWriter::add(std::string_view key, std::span<const float> values) {
  begin(key, id(GgufType::kArray));
  put(id(GgufType::kF32));
  put(static_cast<uint64_t>(values.size()));
  for (float value : values) put(value);
}
void GgufWriter::add(std::string_view key, std::span<const int32_t> values) {
  begin(key, id(GgufType::kArray));
  put(id(GgufType::kI32));
  put(static_cast<uint64_t>(values.size()));
  for (int32_t value : values) put(value);
}

void GgufWriter::add_tensor(std::string_view name, DType dtype, const Shape& shape) {
  SLLM_CHECK(name.size() < kMaxNameBytes, "GGUF tensor names have at most 63 bytes: {}", name);
  int64_t elements = 1;
  for (int64_t n : shape) elements *= n;
  Entry entry{std::string(name), dtype, shape, data_bytes_,
              static_cast<uint64_t>(bytes_of(dtype, elements))};
  data_bytes_ = padded(data_bytes_ + entry.bytes);
  entries_.push_back(std::move(entry));
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  append(out, uint32_t{3});
  append(out, static_cast<uint64_t>(entries_.size()));
  append(out, pairs_);
  out += metadata_;
  for (const Entry& e : entries_) {
    append_string(out, e.name);
    append(out, static_cast<uint32_t>(e.shape.size()));
    for (auto n = e.shape.rbegin(); n != e.shape.rend(); ++n) append(out, *n);
    append(out, static_cast<uint32_t>(info(e.dtype).ggml_id));
    append(out, e.offset);
  }
  out.resize(padded(out.size()), '\0');
  return out;
}

Status GgufWriter::write(const fs::path& path,
                         const std::function<Result<Tensor>(size_t)>& tensor) const {
  const std::string start = header();
  SLLM_TRY(auto file, AtomicFile::create(path, start.size() + data_bytes_));
  SLLM_OK(file.write(start));
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    SLLM_TRY(const Tensor t, tensor(i));
    SLLM_CHECK(t.dtype() == e.dtype && t.shape() == e.shape, "write_gguf: {} is {}", e.name,
               t.to_string());
    SLLM_OK(file.write(std::span(static_cast<const std::byte*>(t.raw()), e.bytes)));
    SLLM_OK(file.write(std::string(padded(e.bytes) - e.bytes, '\0')));
  }
  return file.commit();
}

}  // namespace sllm
