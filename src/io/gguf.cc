// Reading GGUF. Layout: magic, version, counts, key-value pairs, tensor directory, padding, data.
#include "io/gguf.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/checked.h"
#include "io/byte_reader.h"

namespace sllm {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are read as they lie");

// Far above any real model; they bound what a hostile header can make us do.
constexpr uint64_t kMaxKeyValues = 65536, kMaxTensors = 65536, kMaxNameBytes = 1024,
                   kMaxStringBytes = uint64_t{64} << 20, kMaxArray = uint64_t{1} << 26,
                   kMaxAlignment = uint64_t{1} << 20;

// Bytes of a scalar; strings take at least their length field.
uint64_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    default:
      return 8;
  }
}

Result<GgufType> read_type(ByteReader& in, std::string_view key) {
  SLLM_TRY(const uint32_t type, in.read<uint32_t>("a value type"));
  if (type > static_cast<uint32_t>(GgufType::kF64))
    return in.error("key \"{}\" has the unknown value type {}", key, type);
  return static_cast<GgufType>(type);
}

Result<std::string> read_name(ByteReader& in, std::string_view what) {
  SLLM_TRY(const std::string_view name, in.string(kMaxNameBytes, what));
  if (name.empty()) return in.error("{} is empty", what);
  if (!is_utf8(name) || name.find('\0') != name.npos) return in.error("{} is not UTF-8 text", what);
  return std::string(name);
}

Result<GgufValue> read_value(ByteReader& in, std::string_view key) {
  GgufValue value{};
  SLLM_TRY(value.type, read_type(in, key));
  if (value.type == GgufType::kString) {
    SLLM_TRY(const std::string_view text, in.string(kMaxStringBytes, "a string"));
    value.bytes = std::as_bytes(std::span(text.data(), text.size()));
    return value;
  }
  if (value.type != GgufType::kArray) {
    SLLM_TRY(value.bytes, in.take(element_bytes(value.type), "a value"));
    return value;
  }
  SLLM_TRY(value.element, read_type(in, key));
  if (value.element == GgufType::kArray)
    return in.error("key \"{}\" is an array of arrays, which no GGUF model uses", key);
  SLLM_TRY(const uint64_t count, in.read<uint64_t>("an array length"));
  SLLM_TRY(value.count,
           in.checked_count(count, element_bytes(value.element), kMaxArray, "array elements"));
  if (value.element != GgufType::kString) {
    SLLM_TRY(value.bytes, in.take(value.count * element_bytes(value.element), "an array"));
    return value;
  }
  ByteReader start = in;
  const uint64_t begin = in.position();
  for (uint64_t i = 0; i < value.count; ++i) SLLM_OK(in.string(kMaxStringBytes, "a string"));
  SLLM_TRY(value.bytes, start.take(in.position() - begin, "an array"));
  return value;
}

struct DirectoryEntry {
  GgufTensor tensor;
  uint64_t offset, bytes;
};

Result<DirectoryEntry> read_directory_entry(ByteReader& in) {
  DirectoryEntry entry{};
  GgufTensor& t = entry.tensor;
  SLLM_TRY(t.name, read_name(in, "a tensor name"));
  SLLM_TRY(const uint32_t rank, in.read<uint32_t>("a tensor's rank"));
  if (rank < 1 || rank > 4)
    return in.error("tensor \"{}\" has {} dimensions, expected 1 to 4", t.name, rank);
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    SLLM_TRY(const uint64_t n, in.read<uint64_t>("a dimension"));
    const auto product = n > 0 && n <= INT64_MAX
                             ? checked_mul_i64(elements, static_cast<int64_t>(n), INT64_MAX / 8)
                             : std::nullopt;
    if (!product) return in.error("tensor \"{}\" has the impossible dimension {}", t.name, n);
    elements = *product;
    t.shape.insert(t.shape.begin(), static_cast<int64_t>(n));
  }
  SLLM_TRY(const uint32_t type, in.read<uint32_t>("a tensor type"));
  const auto dtype = type <= 1000 ? dtype_from_ggml(static_cast<int>(type)) : std::nullopt;
  if (!dtype) {
    const std::string_view name = ggml_type_name(type <= 1000 ? static_cast<int>(type) : -1);
    std::vector<std::string_view> supported;
    for (int i = 0; i < kDTypeCount; ++i)
      if (const DTypeInfo& row = info(static_cast<DType>(i)); row.decode)
        supported.push_back(row.name);
    return with_hint(
        in.error("tensor \"{}\" has the ggml type {}{}, which is not supported", t.name, type,
                 name.empty() ? "" : fmt::format(" ({})", name)),
        fmt::format("Use another file of this model, such as Q4_K_M or Q8_0; supported "
                    "are {}",
                    fmt::join(supported, ", ")));
  }
  t.dtype = *dtype;
  if (t.shape.back() % info(t.dtype).block_elements != 0)
    return in.error("tensor \"{}\" has rows of {} elements, not a multiple of {}'s block of {}",
                    t.name, t.shape.back(), info(t.dtype).name, info(t.dtype).block_elements);
  entry.bytes = static_cast<uint64_t>(bytes_of(t.dtype, elements));
  SLLM_TRY(entry.offset, in.read<uint64_t>("a tensor offset"));
  return entry;
}

// Data ranges must lie in the file, be aligned and not overlap.
Status place_tensors(std::vector<DirectoryEntry>& entries, std::span<const std::byte> data,
                     uint64_t alignment, const std::string& file) {
  std::vector<const DirectoryEntry*> by_offset;
  for (DirectoryEntry& e : entries) {
    const std::string& name = e.tensor.name;
    if (e.offset % alignment != 0)
      return bad_input("{}: tensor \"{}\": offset {} is not a multiple of the alignment {}", file,
                       name, e.offset, alignment);
    if (e.offset > data.size() || e.bytes > data.size() - e.offset)
      return with_hint(
          bad_input("{}: tensor \"{}\": its {} bytes at offset {} pass the end of the data ({} "
                    "bytes)",
                    file, name, e.bytes, e.offset, data.size()),
          "The file is probably cut short: download or copy it again");
    e.tensor.data = data.subspan(e.offset, e.bytes);
    by_offset.push_back(&e);
  }
  std::ranges::sort(by_offset, {}, &DirectoryEntry::offset);
  for (size_t i = 1; i < by_offset.size(); ++i)
    if (by_offset[i]->offset < by_offset[i - 1]->offset + by_offset[i - 1]->bytes)
      return bad_input("{}: tensors \"{}\" and \"{}\" overlap at offset {}", file,
                       by_offset[i - 1]->tensor.name, by_offset[i]->tensor.name,
                       by_offset[i]->offset);
  return ok();
}

Result<uint32_t> read_version(ByteReader& in) {
  if (in.remaining() < 4) return in.error("not a GGUF file: it has only {} bytes", in.remaining());
  ByteReader start = in;
  SLLM_TRY(const uint32_t magic, in.read<uint32_t>("the magic"));
  if (magic != 0x46554747)  // "GGUF"
    return start.error("not a GGUF file: it begins with {:02x} {:02x} {:02x} {:02x}, not \"GGUF\"",
                       magic & 255, magic >> 8 & 255, magic >> 16 & 255, magic >> 24);
  SLLM_TRY(const uint32_t version, in.read<uint32_t>("the version"));
  if (version != 0 && (version & 0xffff) == 0)
    return start.error("a big-endian GGUF file, only little-endian ones are supported");
  if (version < 2 || version > 3)
    return start.error("GGUF version {}, only 2 and 3 are supported", version);
  return version;
}

}  // namespace

std::string_view name_of(GgufType type) {
  static constexpr std::string_view kNames[] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                "i32", "f32", "bool", "string", "array",
                                                "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

Result<GgufFile> GgufFile::open(const fs::path& path) {
  SLLM_TRY(GgufFile file, open_one(path));
  SLLM_TRY(const auto parts, file.integer("split.count"));
  if (parts.value_or(1) <= 1) return file;
  return open_parts(std::move(file), path);
}

Result<GgufFile> GgufFile::open_one(const fs::path& path) {
  SLLM_TRY(MappedFile file, MappedFile::open(path));
  SLLM_TRY(GgufFile gguf, parse(file.bytes(), path.string()));
  gguf.files_.push_back(std::move(file));
  return gguf;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, const std::string& name) {
  ByteReader in(bytes, name);
  GgufFile gguf;
  gguf.name_ = name;
  SLLM_TRY(gguf.version_, read_version(in));
  SLLM_TRY(const uint64_t tensors_said, in.read<uint64_t>("the number of tensors"));
  SLLM_TRY(const uint64_t pairs_said, in.read<uint64_t>("the number of metadata pairs"));
  // A tensor takes at least its name's length, rank, one dimension, type and offset; a pair its
  // key's length, one letter, a type and one byte.
  SLLM_TRY(const uint64_t tensors, in.checked_count(tensors_said, 33, kMaxTensors, "tensors"));
  SLLM_TRY(const uint64_t pairs, in.checked_count(pairs_said, 14, kMaxKeyValues, "metadata pairs"));
  for (uint64_t i = 0; i < pairs; ++i) {
    SLLM_TRY(std::string key, read_name(in, "a metadata key"));
    SLLM_TRY(const GgufValue value, read_value(in, key));
    if (!gguf.metadata_.emplace(key, value).second)
      return in.error("the metadata key \"{}\" appears twice", key);
  }
  SLLM_TRY(const auto alignment_said, gguf.integer("general.alignment"));
  const auto alignment = static_cast<uint64_t>(alignment_said.value_or(32));
  if (alignment_said && gguf.metadata_.find("general.alignment")->second.type != GgufType::kU32)
    return gguf.wrong_type("general.alignment", gguf.metadata_.find("general.alignment")->second,
                           "u32");
  if (!std::has_single_bit(alignment) || alignment > kMaxAlignment)
    return bad_input("{}: general.alignment is {}, expected a power of two up to {}", name,
                     alignment, kMaxAlignment);

  std::vector<DirectoryEntry> entries;
  std::unordered_set<std::string_view> names;
  entries.reserve(tensors);
  for (uint64_t i = 0; i < tensors; ++i) {
    SLLM_TRY(DirectoryEntry entry, read_directory_entry(in));
    entries.push_back(std::move(entry));
    if (!names.insert(entries.back().tensor.name).second)
      return in.error("the tensor \"{}\" appears twice", entries.back().tensor.name);
  }
  if (!entries.empty()) {
    const uint64_t padding = (alignment - in.position() % alignment) % alignment;
    SLLM_OK(in.take(padding, "the padding before the tensor data"));
  }
  SLLM_TRY(const auto data, in.take(in.remaining(), "the tensor data"));
  SLLM_OK(place_tensors(entries, data, alignment, name));
  for (DirectoryEntry& e : entries) gguf.tensors_.push_back(std::move(e.tensor));
  return gguf;
}

}  // namespace sllm
