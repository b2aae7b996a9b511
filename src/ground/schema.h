// The tables of an index file, shared by its writer and its reader.
#pragma once

#include <string>

#include "ground/index.h"
#include "ground/sqlite.h"

namespace sllm {

constexpr int64_t kIndexApplicationId = 0x736c6c6d;  // "sllm"
constexpr int64_t kIndexFormat = 1;

// Names what a row of `terms` is made of. The FTS5 table keeps no copy of it ("content=''"), so
// deleting a row needs the same three strings again.
struct TermColumns {
  std::string title, heading, body;
  size_t count = 0;  // terms of all three
};
TermColumns term_columns(const Chunk& chunk);

Status create_schema(const Database& db);
// kBadInput when the file is no index of ours or of a newer format.
Status check_schema(const Database& db);

}  // namespace sllm
