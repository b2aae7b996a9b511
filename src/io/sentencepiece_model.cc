// Wire format: https://protobuf.dev/programming-guides/encoding/. Every length is checked against
// what is left of the message it lies in.
#include "io/sentencepiece_model.h"

#include <cstring>
#include <functional>

#include "io/byte_reader.h"

namespace sllm {
namespace {

constexpr size_t kMaxPieces = size_t{1} << 22, kMaxPieceBytes = size_t{1} << 16;

struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of wire types 0 and 5
  std::string_view bytes;  // of wire type 2
  bool flag() const { return value != 0; }
  float number32() const {
    const auto bits = static_cast<uint32_t>(value);
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
  }
};

class Message {
 public:
  Message(std::string_view bytes, size_t offset) : bytes_(bytes), offset_(offset) {}

  // Calls field(f, offset of its bytes) for each field.
  Status each(const std::function<Status(const Field&, size_t)>& field) {
    while (at_ < bytes_.size()) {
      SLLM_TRY(const uint64_t key, varint());
      Field f;
      f.number = key >> 3;
      size_t start = at_;
      if ((key & 7) == 0) {
        SLLM_TRY(f.value, varint());
      } else if ((key & 7) == 2) {
        SLLM_TRY(const uint64_t length, varint());
        start = at_;
        SLLM_TRY(f.bytes, take(length));
      } else if ((key & 7) == 5 || (key & 7) == 1) {
        SLLM_TRY(const std::string_view raw, take((key & 7) == 5 ? 4 : 8));
        std::memcpy(&f.value, raw.data(), raw.size());
      } else {
        return bad_input("offset {}: {} is not a wire type of a protocol buffer", offset_ + start,
                         key & 7);
      }
      SLLM_OK(field(f, offset_ + start));
    }
    return ok();
  }

 private:
  Result<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) break;
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return bad_input("offset {}: a number does not end", offset_ + at_);
  }
  Result<std::string_view> take(uint64_t length) {
    if (length > bytes_.size() - at_)
      return bad_input("offset {}: {} bytes are announced, {} are left", offset_ + at_, length,
                       bytes_.size() - at_);
    const std::string_view taken = bytes_.substr(at_, length);
    at_ += length;
    return taken;
  }

  std::string_view bytes_;
  size_t offset_, at_ = 0;
};

Result<SentencePieceModel::Piece> read_piece(std::string_view bytes, size_t offset) {
  SentencePieceModel::Piece piece;
  SLLM_OK(Message(bytes, offset).each([&](const Field& f, size_t) {
    if (f.number == 1) piece.text = f.bytes;
    if (f.number == 2) piece.score = f.number32();
    if (f.number == 3) piece.type = static_cast<SentencePieceModel::PieceType>(f.value);
    return ok();
  }));
  if (piece.text.empty() || piece.text.size() > kMaxPieceBytes || !is_utf8(piece.text))
    return bad_input("offset {}: a piece is {}", offset,
                     piece.text.empty()    ? "empty"
                     : is_utf8(piece.text) ? "too long"
                                           : "not UTF-8");
  if (piece.type < SentencePieceModel::PieceType::kNormal ||
      piece.type > SentencePieceModel::PieceType::kByte)
    return bad_input("offset {}: the type of the piece \"{}\" is unknown", offset, piece.text);
  if (piece.score != piece.score)
    return bad_input("offset {}: the score of the piece \"{}\" is not a number", offset,
                     piece.text);
  return piece;
}

Status read_trainer(std::string_view bytes, size_t offset, SentencePieceModel& model) {
  return Message(bytes, offset).each([&](const Field& f, size_t) {
    const auto id = static_cast<int32_t>(f.value);
    if (f.number == 3) model.type = static_cast<SentencePieceModel::Type>(f.value);
    if (f.number == 24) model.space_as_suffix = f.flag();
    if (f.number == 35) model.byte_fallback = f.flag();
    if (f.number == 40) model.unknown_id = id;
    if (f.number == 41) model.bos_id = id;
    if (f.number == 42) model.eos_id = id;
    if (f.number == 43) model.padding_id = id;
    return ok();
  });
}

Status read_normalizer(std::string_view bytes, size_t offset, SentencePieceModel& model) {
  return Message(bytes, offset).each([&](const Field& f, size_t) {
    if (f.number == 2) model.charsmap = f.bytes;
    if (f.number == 3) model.dummy_prefix = f.flag();
    if (f.number == 4) model.remove_extra_spaces = f.flag();
    if (f.number == 5) model.escape_spaces = f.flag();
    return ok();
  });
}

}  // namespace

Result<SentencePieceModel> read_sentencepiece_model(std::string_view bytes) {
  SentencePieceModel model;
  SLLM_OK(Message(bytes, 0).each([&](const Field& f, size_t offset) -> Status {
    if (f.number == 1) {
      if (model.pieces.size() == kMaxPieces)
        return bad_input("there are more than {} pieces", kMaxPieces);
      SLLM_TRY(auto piece, read_piece(f.bytes, offset));
      model.pieces.push_back(std::move(piece));
    }
    if (f.number == 2) SLLM_OK(read_trainer(f.bytes, offset, model));
    if (f.number == 3) SLLM_OK(read_normalizer(f.bytes, offset, model));
    return ok();
  }));
  if (model.pieces.empty()) return bad_input("it holds no pieces");
  if (model.type != SentencePieceModel::Type::kUnigram &&
      model.type != SentencePieceModel::Type::kBpe)
    return bad_input("its model_type is {}; unigram (1) and BPE (2) are supported",
                     static_cast<int>(model.type));
  const auto n = static_cast<int64_t>(model.pieces.size());
  for (const int32_t id : {model.unknown_id, model.bos_id, model.eos_id, model.padding_id})
    if (id < -1 || id >= n) return bad_input("the special id {} is not one of {} pieces", id, n);
  if (model.unknown_id < 0) return bad_input("it has no unknown piece");
  return model;
}

}  // namespace sllm
