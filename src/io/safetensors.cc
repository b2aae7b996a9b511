// Safetensors: reading with the rules of the reference implementation, writing in its order.
#include "io/safetensors.h"

#include <algorithm>

#include "base/checked.h"
#include "io/byte_reader.h"
#include "io/json.h"
#include "io/safetensors_parse.h"

namespace sllm {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the reference's cap
constexpr size_t kMaxRank = 8;

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t begin, end;
};

std::optional<DType> dtype_of_name(std::string_view name) {
  for (DType t : {DType::kF32, DType::kF16, DType::kBF16, DType::kI32, DType::kI8})
    if (name == info(t).name) return t;
  return std::nullopt;
}

Result<Entry> read_entry(const std::string& name, const nlohmann::json& value,
                         const std::string& file) {
  const auto wrong = [&](std::string_view what) {
    return bad_input("{}: tensor \"{}\": {}", file, name, what);
  };
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets"))
    return wrong("expected the three fields dtype, shape and data_offsets");
  const auto &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
  if (!dtype.is_string()) return wrong("dtype is not a string");
  Entry entry{name, DType::kF32, {}, 0, 0};
  const auto known = dtype_of_name(dtype.get_ref<const std::string&>());
  if (!known)
    return wrong(fmt::format("dtype {} is not supported (F32, F16, BF16, I32 and I8 are)",
                             dtype.get_ref<const std::string&>()));
  entry.dtype = *known;
  if (!shape.is_array() || shape.size() > kMaxRank) return wrong("shape is not a short array");
  int64_t elements = 1;
  for (const auto& n : shape) {
    const auto size = n.is_number_unsigned() && n.get<uint64_t>() <= INT64_MAX
                          ? checked_mul_i64(elements, n.get<int64_t>(), INT64_MAX / 8)
                          : std::nullopt;
    if (!size) return wrong(fmt::format("shape [{}] is impossible", fmt::join(entry.shape, ", ")));
    elements = *size;
    entry.shape.push_back(n.get<int64_t>());
  }
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    return wrong("data_offsets is not a pair of numbers");
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  const auto bytes = static_cast<uint64_t>(bytes_of(entry.dtype, elements));
  if (entry.end < entry.begin || entry.end - entry.begin != bytes)
    return wrong(fmt::format("data_offsets [{}, {}] do not hold the {} bytes of its shape",
                             entry.begin, entry.end, bytes));
  return entry;
}

// The data must be covered exactly: no hole, no overlap, nothing after the last tensor.
Status check_cover(std::vector<Entry>& entries, uint64_t data_bytes, const std::string& file) {
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const Entry& e : entries) {
    if (e.begin != position)
      return bad_input("{}: tensor \"{}\" begins at {}, expected {}: {}", file, e.name, e.begin,
                       position, e.begin < position ? "tensors overlap" : "there is a hole");
    position = e.end;
  }
  if (position != data_bytes)
    return with_hint(
        bad_input("{}: the tensors take {} bytes, the file has {}", file, position, data_bytes),
        "The file is probably cut short: download or copy it again");
  return ok();
}

std::string header_of(const std::vector<SafetensorsEntry>& tensors,
                      const std::map<std::string, std::string>& metadata, uint64_t& data_bytes) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  data_bytes = 0;
  for (const SafetensorsEntry& t : tensors) {
    int64_t elements = 1;
    for (int64_t n : t.shape) elements *= n;
    const auto end = data_bytes + static_cast<uint64_t>(bytes_of(t.dtype, elements));
    header[t.name] = {
        {"dtype", info(t.dtype).name}, {"shape", t.shape}, {"data_offsets", {data_bytes, end}}};
    data_bytes = end;
  }
  std::string text = header.dump();
  text.resize(static_cast<size_t>(round_up(static_cast<int64_t>(text.size()), 8)), ' ');
  return text;
}

}  // namespace

Result<SafetensorsFile> parse_safetensors(std::span<const std::byte> bytes,
                                          std::shared_ptr<const void> owner,
                                          const std::string& file) {
  ByteReader in(bytes, file);
  SLLM_TRY(const uint64_t length, in.read<uint64_t>("the header length"));
  if (length > kMaxHeader)
    return in.error("the header length is {} bytes, at most {} are allowed", length, kMaxHeader);
  SLLM_TRY(const auto header_bytes, in.take(length, "the header"));
  const std::string_view header(reinterpret_cast<const char*>(header_bytes.data()),
                                header_bytes.size());
  if (!header.starts_with('{')) return bad_input("{}: the header does not begin with '{{'", file);
  SLLM_TRY(const nlohmann::json json, parse_json(header, file));

  SafetensorsFile out;
  std::vector<Entry> entries;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      if (value.is_null()) continue;  // as mlx writes it when there is none
      if (!value.is_object()) return bad_input("{}: __metadata__ is not an object", file);
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string())
          return bad_input("{}: __metadata__: \"{}\" is not a string", file, key);
        out.metadata[key] = text.get<std::string>();
      }
      continue;
    }
    SLLM_TRY(Entry entry, read_entry(name, value, file));
    entries.push_back(std::move(entry));
  }
  SLLM_TRY(const auto data, in.take(in.remaining(), "the tensor data"));
  SLLM_OK(check_cover(entries, data.size(), file));
  for (const Entry& e : entries) {
    const std::byte* start = data.data() + e.begin;
    Tensor tensor = Tensor::borrow(e.dtype, e.shape, start, owner);
    // Writers pad the header so that data is aligned, but need not.
    const auto alignment = static_cast<uintptr_t>(info(e.dtype).block_bytes);
    if (reinterpret_cast<uintptr_t>(start) % alignment != 0) tensor = tensor.clone();
    out.tensors.emplace(e.name, std::move(tensor));
  }
  return out;
}

Result<SafetensorsFile> read_safetensors(const fs::path& path) {
  SLLM_TRY(auto file, MappedFile::open(path));
  auto owner = std::make_shared<const MappedFile>(file);
  return parse_safetensors(owner->bytes(), owner, path.string());
}

Status write_safetensors(const fs::path& path, std::vector<SafetensorsEntry> entries,
                         const std::function<Result<Tensor>(const SafetensorsEntry&)>& tensor,
                         const std::map<std::string, std::string>& metadata) {
  for (const SafetensorsEntry& e : entries)
    SLLM_CHECK(dtype_of_name(info(e.dtype).name).has_value(), "write_safetensors: \"{}\" is {}",
               e.name, info(e.dtype).name);
  std::ranges::sort(entries, [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    const int64_t size_a = info(a.dtype).block_bytes, size_b = info(b.dtype).block_bytes;
    return size_a != size_b ? size_a > size_b : a.name < b.name;
  });
  uint64_t data_bytes = 0;
  const std::string header = header_of(entries, metadata, data_bytes);
  SLLM_TRY(auto file, AtomicFile::create(path, 8 + header.size() + data_bytes));
  const uint64_t length = header.size();
  SLLM_OK(file.write(std::as_bytes(std::span(&length, 1))));
  SLLM_OK(file.write(header));
  for (const SafetensorsEntry& e : entries) {
    SLLM_TRY(const Tensor t, tensor(e));
    SLLM_CHECK(t.dtype() == e.dtype && t.shape() == e.shape, "write_safetensors: {} is {}", e.name,
               t.to_string());
    SLLM_OK(file.write(
        std::span(static_cast<const std::byte*>(t.raw()), static_cast<size_t>(t.bytes()))));
  }
  return file.commit();
}

Status write_safetensors(const fs::path& path, const std::map<std::string, Tensor>& tensors,
                         const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors)
    entries.push_back({name, tensor.dtype(), tensor.shape()});
  return write_safetensors(
      path, std::move(entries),
      [&](const SafetensorsEntry& e) -> Result<Tensor> { return tensors.at(e.name); }, metadata);
}

}  // namespace sllm
