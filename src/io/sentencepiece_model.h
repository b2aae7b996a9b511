// sentencepiece's tokenizer.model: a protocol buffer (google/sentencepiece,
// src/sentencepiece_model.proto), of which the parts that tokenizing needs are read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sllm {

struct SentencePieceModel {
  enum class Type { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  enum class PieceType {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::kNormal;
  };
  std::vector<Piece> pieces;
  Type type = Type::kUnigram;
  int32_t unknown_id = 0, bos_id = 1, eos_id = 2, padding_id = -1;
  bool byte_fallback = false, space_as_suffix = false;
  std::string charsmap;  // normalizer_spec.precompiled_charsmap
  bool dummy_prefix = true, remove_extra_spaces = true, escape_spaces = true;
};

// Errors: kBadInput with the offset, when `bytes` are not such a file or break its rules.
Result<SentencePieceModel> read_sentencepiece_model(std::string_view bytes);

}  // namespace sllm
