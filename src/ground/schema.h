// The tables of an index file, shared by its writer and its reader.
#pragma once

#include <string>

#include "ground/index.h"
#include "ground/sqlite.h"

namespace sllm {

constexpr int64_t kIndexApplicationId = 0x736c6c6d;  // "sllm"
constexpr int64_t kIndexFormat = 2;

// What a row of `terms` is made of. The FTS5 table keeps no copy of it ("content=''"), so
// deleting a row needs the same strings again.
struct TermColumns {
  std::string title, heading, body;
  std::string syllables;  // of heading and body, each once
  size_t count = 0;       // terms of title, heading and body
};
TermColumns term_columns(const Chunk& chunk);

// The format of an index of ours; 0 for any other file.
Result<int64_t> index_format(const Database& db);

Status create_schema(const Database& db);
// kBadInput when the file is no index of ours or of a newer format.
Status check_schema(const Database& db);

}  // namespace sllm
