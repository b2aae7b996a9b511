#include "eval/recorded.h"

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/file.h"
#include "io/byte_reader.h"

namespace sllm::eval {
namespace {

constexpr std::string_view kMagic = "_logits_";

}  // namespace

bool RecordedPredictions::recognises(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string start(kMagic.size(), '\0');
  return in.read(start.data(), static_cast<std::streamsize>(start.size())) && start == kMagic;
}

Result<RecordedPredictions> RecordedPredictions::open(const std::filesystem::path& path) {
  SLLM_TRY(MappedFile mapped, MappedFile::open(path));
  auto file = std::make_shared<const MappedFile>(std::move(mapped));
  return parse(file->bytes(), path.string(), file);
}

Result<RecordedPredictions> RecordedPredictions::parse(std::span<const std::byte> bytes,
                                                       std::string file,
                                                       std::shared_ptr<const void> owner) {
  ByteReader in(bytes, std::move(file));
  SLLM_TRY(const auto magic, in.take(kMagic.size(), "the start"));
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0)
    return in.error("does not start with \"{}\", as files of llama-perplexity do", kMagic);
  SLLM_TRY(const uint32_t window, in.read<uint32_t>("the number of tokens of a chunk"));
  SLLM_TRY(const int32_t vocabulary, in.read<int32_t>("the number of tokens"));
  SLLM_TRY(const int32_t chunks, in.read<int32_t>("the number of chunks"));
  if (window < 4 || window > 1 << 20 || vocabulary < 2 || vocabulary > 1 << 24 || chunks < 1 ||
      chunks > 1 << 24)
    return in.error("impossible sizes: {} chunks of {} tokens, {} tokens in all", chunks, window,
                    vocabulary);
  RecordedPredictions out;
  out.window_ = window, out.vocabulary_ = vocabulary, out.chunks_ = chunks;
  out.owner_ = std::move(owner);
  SLLM_TRY(out.tokens_, in.take(4 * uint64_t{window} * static_cast<uint64_t>(chunks), "the text"));
  for (int64_t c = 0; c < out.chunks_; ++c)
    for (const TokenId id : out.tokens(c))
      if (id < 0 || id >= vocabulary)
        return in.error("chunk {} holds the token {}, of {}", c, id, vocabulary);
  const int64_t rows = out.chunks_ * out.rows();
  SLLM_TRY(out.rows_, in.take(static_cast<uint64_t>(rows * out.row_bytes()), "the predictions"));
  for (int64_t i = 0; i < rows; ++i)
    if (const Row row = out.row(i / out.rows(), i % out.rows());
        !std::isfinite(row.lowest) || !(row.scale >= 0 && row.scale <= 1))
      return in.error("chunk {}, row {}: the numbers are not log-probabilities", i / out.rows(),
                      i % out.rows());
  return out;
}

std::span<const TokenId> RecordedPredictions::tokens(int64_t chunk) const {
  static_assert(sizeof(TokenId) == 4);
  const auto part = tokens_.subspan(static_cast<size_t>(4 * chunk * window_));
  return {reinterpret_cast<const TokenId*>(part.data()), static_cast<size_t>(window_)};
}

RecordedPredictions::Row RecordedPredictions::row(int64_t chunk, int64_t row) const {
  const auto part = rows_.subspan(static_cast<size_t>((chunk * rows() + row) * row_bytes()));
  Row out;
  std::memcpy(&out.scale, part.data(), 4);
  std::memcpy(&out.lowest, part.data() + 4, 4);
  out.values = {reinterpret_cast<const uint16_t*>(part.data() + 8),
                static_cast<size_t>(vocabulary_)};
  return out;
}

}  // namespace sllm::eval
