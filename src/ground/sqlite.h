// SQLite with errors as Results and statements that free themselves.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace sllm {

// One prepared statement. Parameters are bound, never pasted into SQL.
class Statement {
 public:
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, int64_t value);
  Statement& bind(int index, double value);
  // True: a row is there. Errors: kBadInput for a damaged database, kLocked when another process
  // writes, kResource when the disk is full.
  Result<bool> step();
  Status run();  // steps to the end and resets
  void reset();
  std::string text(int column) const;
  int64_t integer(int column) const;
  double real(int column) const;

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* s) : statement_(s, sqlite3_finalize) {}
  std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement_;
};

class Database {
 public:
  // Hardened for files of unknown origin: no functions or views of the schema are trusted.
  static Result<Database> open(const fs::path& path, bool writable);
  Result<Statement> prepare(std::string_view sql) const;
  Status execute(const std::string& sql) const;

 private:
  explicit Database(sqlite3* db) : db_(db, sqlite3_close) {}
  std::unique_ptr<sqlite3, decltype(&sqlite3_close)> db_;
};

}  // namespace sllm
