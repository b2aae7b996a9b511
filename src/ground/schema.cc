// Index file format 2. FTS5's "ascii" tokenizer splits our terms at spaces and changes nothing
// else: they hold only lower-case letters, digits and bytes above 0x7f.
#include "ground/schema.h"

#include <set>

#include "ground/terms.h"

namespace sllm {
namespace {

size_t append_terms(std::string_view text, std::string& out) {
  const std::vector<std::string> terms = index_terms(text);
  for (const std::string& term : terms) (out += term) += ' ';
  return terms.size();
}

}  // namespace

TermColumns term_columns(const Chunk& chunk) {
  TermColumns c;
  c.count = append_terms(chunk.title, c.title) + append_terms(chunk.heading, c.heading) +
            append_terms(chunk.text, c.body);
  std::set<std::string> distinct;
  for (const std::string* text : {&chunk.heading, &chunk.text})
    for (std::string& syllable : syllables(*text)) distinct.insert(std::move(syllable));
  for (const std::string& syllable : distinct) (c.syllables += syllable) += ' ';
  return c;
}

Status create_schema(const Database& db) {
  return db.execute(fmt::format(R"(
    PRAGMA application_id = {};
    PRAGMA user_version = {};
    CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE document(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL,
                          title TEXT NOT NULL);
    CREATE TABLE chunk(id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES document(id),
                       heading TEXT NOT NULL, text TEXT NOT NULL, begin_byte INTEGER NOT NULL,
                       end_byte INTEGER NOT NULL, terms INTEGER NOT NULL);
    CREATE INDEX chunk_document ON chunk(document);
    CREATE VIRTUAL TABLE terms USING fts5(title, heading, body, syllables, content='', tokenize='ascii');
    CREATE VIRTUAL TABLE vocabulary USING fts5vocab(terms, 'row');
  )",
                                kIndexApplicationId, kIndexFormat));
}

Result<int64_t> index_format(const Database& db) {
  const auto pragma = [&](const char* name) -> Result<int64_t> {
    SLLM_TRY(Statement s, db.prepare(fmt::format("PRAGMA {}", name)));
    SLLM_TRY(const bool row, s.step());
    return row ? s.integer(0) : 0;
  };
  SLLM_TRY(const int64_t id, pragma("application_id"));
  return id == kIndexApplicationId ? pragma("user_version") : Result<int64_t>(0);
}

Status check_schema(const Database& db) {
  SLLM_TRY(const int64_t format, index_format(db));
  if (format == 0)
    return with_hint(bad_input("not an index of sllm"), "Make one: sllm index DIR --out FILE");
  if (format != kIndexFormat)
    return with_hint(bad_input("index format {}, this program reads {}", format, kIndexFormat),
                     "Make the index anew: sllm index DIR --out FILE");
  return ok();
}

}  // namespace sllm
