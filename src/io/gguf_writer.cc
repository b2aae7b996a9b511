#include "io/gguf_writer.h"

#include "base/checked.h"
#include "io/gguf.h"
#include "io/gguf_split.h"

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
void GgufWriter::add(std::string_view key, uint16_t value) {
  begin(key, id(GgufType::kU16));
  put(value);
}
void GgufWriter::add(std::string_view key, int32_t value) {
  begin(key, id(GgufType::kI32));
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

void GgufWriter::add(std::string_view key, const std::vector<bool>& values) {
  begin(key, 9);
  put(uint32_t{7});
  put(uint64_t{values.size()});
  for (const bool value : values) put(uint8_t{value});
}

void GgufWriter::add(std::string_view key, std::span<const std::byte> values) {
  begin(key, id(GgufType::kArray));
  put(id(GgufType::kU8));
  put(static_cast<uint64_t>(values.size()));
  metadata_.append(reinterpret_cast<const char*>(values.data()), values.size());
}

void GgufWriter::add_tensor(std::string_view name, DType dtype, const Shape& shape) {
  SLLM_CHECK(name.size() < kMaxNameBytes, "GGUF tensor names have at most 63 bytes: {}", name);
  int64_t elements = 1;
  for (int64_t n : shape) elements *= n;
  entries_.push_back(
      {std::string(name), dtype, shape, static_cast<uint64_t>(bytes_of(dtype, elements))});
}

std::string GgufWriter::header() const { return header({0, entries_.size()}); }

std::string GgufWriter::header(Range entries) const {
  std::string out = "GGUF";
  append(out, uint32_t{3});
  append(out, static_cast<uint64_t>(entries.second - entries.first));
  append(out, pairs_);
  out += metadata_;
  uint64_t offset = 0;
  for (size_t i = entries.first; i < entries.second; ++i) {
    const Entry& e = entries_[i];
    append_string(out, e.name);
    append(out, static_cast<uint32_t>(e.shape.size()));
    for (auto n = e.shape.rbegin(); n != e.shape.rend(); ++n) append(out, *n);
    append(out, static_cast<uint32_t>(info(e.dtype).ggml_id));
    append(out, offset);
    offset += padded(e.bytes);
  }
  out.resize(padded(out.size()), '\0');
  return out;
}

// As gguf-split --split-max-size cuts: a new file before the tensor that would pass the size.
std::vector<GgufWriter::Range> GgufWriter::parts(uint64_t max_bytes) const {
  std::vector<Range> parts = {{0, 0}};
  uint64_t bytes = 0;
  for (const Entry& e : entries_) {
    bytes += padded(e.bytes);
    auto& [first, last] = parts.back();
    if (max_bytes > 0 && bytes > max_bytes && first < last) {
      bytes = padded(e.bytes);
      parts.push_back({last, last});
    }
    ++parts.back().second;
  }
  return parts;
}

Result<fs::path> GgufWriter::write(const fs::path& path,
                                   const std::function<Result<Tensor>(size_t)>& tensor,
                                   uint64_t max_bytes) const {
  const std::vector<Range> ranges = parts(max_bytes);
  const auto count = static_cast<int64_t>(ranges.size());
  if (count > UINT16_MAX)
    return usage_error("{}: would be {} files; let each be larger", path.string(), count);
  const auto path_of = [&](int64_t part) {
    return count == 1
               ? path
               : gguf_part_path((path.parent_path() / path.stem()).string(), part + 1, count);
  };
  std::vector<AtomicFile> files;
  for (int64_t part = 0; part < count; ++part) {
    const Range range = ranges[static_cast<size_t>(part)];
    std::string start = header(range);
    if (count > 1) {
      GgufWriter keys = part == 0 ? *this : GgufWriter();
      keys.entries_ = entries_;
      keys.add("split.no", static_cast<uint16_t>(part));
      keys.add("split.count", static_cast<uint16_t>(count));
      keys.add("split.tensors.count", static_cast<int32_t>(entries_.size()));
      start = keys.header(range);
    }
    uint64_t bytes = start.size();
    for (size_t i = range.first; i < range.second; ++i) bytes += padded(entries_[i].bytes);
    SLLM_TRY(auto file, AtomicFile::create(path_of(part), bytes));
    SLLM_OK(file.write(start));
    for (size_t i = range.first; i < range.second; ++i) {
      const Entry& e = entries_[i];
      SLLM_TRY(const Tensor t, tensor(i));
      SLLM_CHECK(t.dtype() == e.dtype && t.shape() == e.shape, "write_gguf: {} is {}", e.name,
                 t.to_string());
      SLLM_OK(file.write(std::span(static_cast<const std::byte*>(t.raw()), e.bytes)));
      SLLM_OK(file.write(std::string(padded(e.bytes) - e.bytes, '\0')));
    }
    files.push_back(std::move(file));
  }
  // The first, by which the model is opened, appears last.
  for (auto file = files.rbegin(); file != files.rend(); ++file) SLLM_OK(file->commit());
  return path_of(0);
}

}  // namespace sllm
