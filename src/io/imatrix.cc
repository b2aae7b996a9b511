#include "io/imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/byte_reader.h"
#include "io/gguf_writer.h"

namespace sllm {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
// Far above any real model; they bound what a hostile file can make us do.
constexpr uint64_t kMaxEntries = 65536, kMaxNameBytes = 4096, kMaxColumns = uint64_t{1} << 28;

std::vector<float> floats(std::span<const std::byte> bytes) {
  std::vector<float> numbers(bytes.size() / sizeof(float));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(float));
  return numbers;
}

Status check_sums(const std::vector<float>& sums, const std::string& file,
                  const std::string& name) {
  for (const float sum : sums)
    if (!(sum >= 0 && std::isfinite(sum)))
      return bad_input("{}: \"{}\" holds {}, which is no sum of squares", file, name, sum);
  return ok();
}

Status add_entry(const GgufTensor& sums, const GgufTensor& counts, const std::string& file,
                 const std::string& name, ImportanceMatrix& matrix) {
  if (sums.dtype != DType::kF32 || counts.dtype != DType::kF32)
    return bad_input("{}: the sums and counts of \"{}\" must be F32", file, name);
  ImportanceEntry entry;
  entry.sums = floats(sums.data);
  SLLM_OK(check_sums(entry.sums, file, name));
  for (const float count : floats(counts.data)) {
    if (!(count >= 0 && count < 0x1p53f))
      return bad_input("{}: \"{}\" has the count {}", file, name, count);
    entry.counts.push_back(std::llround(count));
  }
  if (entry.sums.size() % entry.counts.size() != 0)
    return bad_input("{}: \"{}\" has {} sums for {} counts", file, name, entry.sums.size(),
                     entry.counts.size());
  matrix.entries[name] = std::move(entry);
  return ok();
}

Result<int64_t> needed_number(const GgufFile& gguf, const char* key, const std::string& file) {
  SLLM_TRY(const auto number, gguf.integer(key));
  if (!number) return bad_input("{}: the metadata key \"{}\" is missing", file, key);
  if (*number < 0 || *number > UINT32_MAX) return bad_input("{}: {} is {}", file, key, *number);
  return *number;
}

Result<ImportanceMatrix> from_gguf(const GgufFile& gguf, const std::string& file) {
  if (!is_imatrix(gguf))
    return with_hint(bad_input("{}: is a GGUF file, but holds no importance matrix", file),
                     "sllm imatrix makes one");
  ImportanceMatrix matrix;
  SLLM_TRY(auto datasets, gguf.strings("imatrix.datasets"));
  if (!datasets) return bad_input("{}: the metadata key \"imatrix.datasets\" is missing", file);
  matrix.datasets = std::move(*datasets);
  SLLM_TRY(matrix.chunks, needed_number(gguf, "imatrix.chunk_count", file));
  SLLM_TRY(matrix.chunk_size, needed_number(gguf, "imatrix.chunk_size", file));
  std::map<std::string, std::pair<const GgufTensor*, const GgufTensor*>> pairs;
  for (const GgufTensor& t : gguf.tensors()) {
    const auto stem = [&](std::string_view end) {
      return t.name.substr(0, t.name.size() - end.size());
    };
    if (t.name.ends_with(kSums)) pairs[stem(kSums)].first = &t;
    if (t.name.ends_with(kCounts)) pairs[stem(kCounts)].second = &t;
  }
  for (const auto& [name, pair] : pairs) {
    const auto& [sums, counts] = pair;
    if (!sums || !counts)
      return bad_input("{}: \"{}\" has {} without {}", file, name, sums ? "sums" : "counts",
                       sums ? "counts" : "sums");
    SLLM_OK(add_entry(*sums, *counts, file, name, matrix));
  }
  return matrix;
}

// An int32 count that cannot be negative.
Result<uint64_t> read_count(ByteReader& in, std::string_view what) {
  ByteReader start = in;
  SLLM_TRY(const int32_t count, in.read<int32_t>(what));
  if (count < 0) return start.error("{} is {}", what, count);
  return static_cast<uint64_t>(count);
}

Result<std::string> read_text(ByteReader& in, std::string_view what) {
  SLLM_TRY(const uint64_t length, read_count(in, what));
  SLLM_TRY(const uint64_t bytes, in.checked_count(length, 1, kMaxNameBytes, "bytes of text"));
  SLLM_TRY(const auto text, in.take(bytes, what));
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

Result<ImportanceMatrix> from_legacy(std::span<const std::byte> bytes, const std::string& file) {
  ByteReader in(bytes, file);
  SLLM_TRY(const uint64_t said, read_count(in, "the number of entries"));
  SLLM_TRY(const uint64_t entries, in.checked_count(said, 16, kMaxEntries, "entries"));
  if (entries == 0) return in.error("neither GGUF nor an importance matrix with entries");
  ImportanceMatrix matrix;
  for (uint64_t i = 0; i < entries; ++i) {
    SLLM_TRY(const std::string name, read_text(in, "the name of an entry"));
    if (name.empty() || !is_utf8(name)) return in.error("the name of entry {} is no text", i);
    SLLM_TRY(const uint64_t chunks, read_count(in, "the number of chunks"));
    SLLM_TRY(const uint64_t numbers, read_count(in, "the number of columns"));
    SLLM_TRY(const uint64_t columns, in.checked_count(numbers, 4, kMaxColumns, "columns"));
    if (columns == 0) return in.error("\"{}\" has no columns", name);
    SLLM_TRY(const auto sums, in.take(4 * columns, "an entry"));
    // As llama.cpp reads it: without a number of chunks the numbers are the means.
    ImportanceEntry entry{floats(sums), {std::max<int64_t>(1, static_cast<int64_t>(chunks))}};
    SLLM_OK(check_sums(entry.sums, file, name));
    if (!matrix.entries.emplace(name, std::move(entry)).second)
      return in.error("the entry \"{}\" appears twice", name);
  }
  if (in.remaining() == 0) return matrix;
  SLLM_TRY(const uint64_t chunks, read_count(in, "the number of chunks"));
  matrix.chunks = static_cast<int64_t>(chunks);
  if (in.remaining() == 0) return matrix;
  SLLM_TRY(std::string dataset, read_text(in, "the name of the data set"));
  if (!dataset.empty()) matrix.datasets.push_back(std::move(dataset));
  return matrix;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string& out, const std::string& text) {
  put(out, static_cast<int32_t>(text.size()));
  out += text;
}

std::string legacy(const ImportanceMatrix& matrix) {
  std::string out;
  put(out, static_cast<int32_t>(matrix.entries.size()));
  for (const auto& [name, entry] : matrix.entries) {
    // Rounded up, so that what was counted at all does not become 0.
    const int64_t most = *std::ranges::max_element(entry.counts);
    const auto chunks = static_cast<int32_t>((most + matrix.chunk_size - 1) / matrix.chunk_size);
    put_text(out, name);
    put(out, chunks);
    put(out, static_cast<int32_t>(entry.sums.size()));
    for (const float mean : entry.mean_squares()) put(out, mean * static_cast<float>(chunks));
  }
  put(out, static_cast<int32_t>(matrix.chunks));
  put_text(out, matrix.datasets.empty() ? "" : matrix.datasets.back());
  return out;
}

}  // namespace

std::vector<float> ImportanceEntry::mean_squares() const {
  std::vector<float> means(sums.size(), 1.0f);
  const auto width = static_cast<size_t>(columns());
  for (size_t i = 0; i < sums.size(); ++i)
    if (const int64_t count = counts[i / width]; count > 0)
      means[i] = sums[i] / static_cast<float>(count);
  return means;
}

bool is_imatrix(const GgufFile& file) {
  return std::ranges::any_of(file.tensors(),
                             [](const GgufTensor& t) { return t.name.ends_with(kSums); });
}

Result<ImportanceMatrix> parse_imatrix(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.size() < 4 || std::memcmp(bytes.data(), "GGUF", 4) != 0)
    return from_legacy(bytes, name);
  SLLM_TRY(const GgufFile gguf, GgufFile::parse(bytes, name));
  return from_gguf(gguf, name);
}

Result<ImportanceMatrix> read_imatrix(const fs::path& path) {
  SLLM_TRY(const MappedFile file, MappedFile::open(path));
  return parse_imatrix(file.bytes(), path.string());
}

Status write_imatrix(const fs::path& path, const ImportanceMatrix& matrix) {
  if (path.extension() == ".dat") {
    SLLM_CHECK(matrix.chunk_size > 0, "write_imatrix: {} needs the size of a chunk", path.string());
    return write_file_atomically(path, legacy(matrix));
  }
  GgufWriter out;
  out.add("general.type", "imatrix");
  out.add("imatrix.datasets", std::span<const std::string>(matrix.datasets));
  out.add("imatrix.chunk_count", static_cast<uint32_t>(matrix.chunks));
  out.add("imatrix.chunk_size", static_cast<uint32_t>(matrix.chunk_size));
  std::vector<Tensor> tensors;
  const auto add = [&](const std::string& name, std::span<const float> numbers, int64_t width) {
    // ggml drops a last dimension of 1.
    const int64_t rows = std::ssize(numbers) / width;
    tensors.push_back(Tensor::from(numbers, rows > 1 ? Shape{rows, width} : Shape{width}));
    out.add_tensor(name, DType::kF32, tensors.back().shape());
  };
  for (const auto& [name, entry] : matrix.entries) {
    add(name + std::string(kSums), entry.sums, entry.columns());
    const std::vector<float> counts(entry.counts.begin(), entry.counts.end());
    add(name + std::string(kCounts), counts, 1);
  }
  SLLM_OK(out.write(path, [&](size_t i) -> Result<Tensor> { return tensors[i]; }));
  return ok();
}

}  // namespace sllm
