// Known questions: their tables, their passages, and how a new question is compared with them.
#include "ground/questions.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "ground/bm25.h"
#include "ground/terms.h"

namespace sllm {
namespace {

constexpr int64_t kCandidates = 64;
constexpr size_t kMaxTerms = 48;

Result<bool> has_questions(const Database& db) {
  SLLM_TRY(Statement s, db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'question'"));
  return s.step();
}

std::string joined(const std::vector<std::string>& terms) {
  std::string out;
  for (const std::string& term : terms) (out += term) += ' ';
  return out;
}

// Chunks in which the evidence stands as it is; those with its terms in its order are looked at.
Result<std::vector<int64_t>> holders(const Database& db, const std::string& evidence) {
  std::vector<int64_t> ids;
  const std::vector<std::string> terms = index_terms(evidence);
  if (terms.empty()) return ids;
  SLLM_TRY(Statement s,
           db.prepare("SELECT id, text FROM chunk WHERE id IN (SELECT rowid FROM terms "
                      "WHERE terms MATCH ?) ORDER BY id"));
  s.bind(1, fmt::format("body : \"{}\"", joined(terms)));
  for (;;) {
    SLLM_TRY(const bool row, s.step());
    if (!row) return ids;
    if (s.text(1).find(evidence) != std::string::npos) ids.push_back(s.integer(0));
  }
}

struct Collection {
  double chunks = 0, mean_length = 1;  // of the documents; of the questions, in terms
};

Result<Collection> collection(const Database& db) {
  SLLM_TRY(Statement c, db.prepare("SELECT count(*) FROM chunk"));
  SLLM_OK(c.step());
  SLLM_TRY(Statement q, db.prepare("SELECT avg(terms) FROM question"));
  SLLM_OK(q.step());
  return Collection{c.real(0), std::max(1.0, q.real(0))};
}

// The rarest kMaxTerms distinct terms of a text that say something, with their rarity: how few
// chunks are asked for with them, so that a question of few counts like one of many.
Result<std::map<std::string, double>> rarities(const Database& db, std::string_view text,
                                               const Collection& all) {
  std::set<std::string> distinct;
  for (std::string& term : index_terms(text))
    if (!is_stop_term(term)) distinct.insert(std::move(term));
  std::vector<std::pair<double, std::string>> found;
  SLLM_TRY(Statement s,
           db.prepare("SELECT count(DISTINCT chunk) FROM question_chunk WHERE question IN "
                      "(SELECT rowid FROM question_terms WHERE question_terms MATCH ?)"));
  for (const std::string& term : distinct) {
    SLLM_OK(s.bind(1, fmt::format("\"{}\"", term)).step());
    const double holders = s.real(0);
    s.reset();
    if (holders > 0) found.emplace_back(inverse_document_frequency(all.chunks, holders), term);
  }
  std::ranges::sort(found, std::greater{});
  if (found.size() > kMaxTerms) found.resize(kMaxTerms);
  std::map<std::string, double> out;
  for (auto& [rarity, term] : found) out.emplace(std::move(term), rarity);
  return out;
}

}  // namespace

Status write_questions(const Database& db, std::span<const KnownQuestion> questions) {
  SLLM_OK(db.execute(R"(
    DROP TABLE IF EXISTS question_terms;
    DROP TABLE IF EXISTS question_chunk;
    DROP TABLE IF EXISTS question;
    CREATE TABLE question(id INTEGER PRIMARY KEY, text TEXT NOT NULL, evidence TEXT NOT NULL,
                          terms INTEGER NOT NULL);
    CREATE TABLE question_chunk(question INTEGER NOT NULL REFERENCES question(id),
                                chunk INTEGER NOT NULL, PRIMARY KEY(question, chunk)) WITHOUT ROWID;
    CREATE VIRTUAL TABLE question_terms USING fts5(body, content='', tokenize='ascii');
  )"));
  SLLM_TRY(Statement q, db.prepare("INSERT INTO question VALUES(?, ?, ?, ?)"));
  SLLM_TRY(Statement t, db.prepare("INSERT INTO question_terms(rowid, body) VALUES(?, ?)"));
  int64_t id = 0;
  for (const KnownQuestion& known : questions) {
    const std::vector<std::string> terms = index_terms(known.question);
    ++id;
    q.bind(1, id).bind(2, known.question).bind(3, known.evidence);
    SLLM_OK(q.bind(4, static_cast<int64_t>(terms.size())).run());
    SLLM_OK(t.bind(1, id).bind(2, joined(terms)).run());
  }
  return link_questions(db);
}

Status link_questions(const Database& db) {
  SLLM_TRY(const bool any, has_questions(db));
  if (!any) return ok();
  SLLM_OK(db.execute("DELETE FROM question_chunk"));
  std::vector<std::pair<int64_t, std::string>> all;
  SLLM_TRY(Statement s, db.prepare("SELECT id, evidence FROM question"));
  for (;;) {
    SLLM_TRY(const bool row, s.step());
    if (!row) break;
    all.emplace_back(s.integer(0), s.text(1));
  }
  SLLM_TRY(Statement link, db.prepare("INSERT INTO question_chunk VALUES(?, ?)"));
  std::map<std::string, std::vector<int64_t>> known;  // many questions share their evidence
  for (const auto& [id, evidence] : all) {
    auto it = known.find(evidence);
    if (it == known.end()) {
      SLLM_TRY(std::vector<int64_t> ids, holders(db, evidence));
      it = known.emplace(evidence, std::move(ids)).first;
    }
    for (const int64_t chunk : it->second) SLLM_OK(link.bind(1, id).bind(2, chunk).run());
  }
  return ok();
}

Result<std::map<int64_t, double>> question_scores(const Database& db, std::string_view text) {
  std::map<int64_t, double> scores;
  SLLM_TRY(const bool any, has_questions(db));
  if (!any) return scores;
  SLLM_TRY(const Collection all, collection(db));
  SLLM_TRY(const auto terms, rarities(db, text, all));
  if (terms.empty()) return scores;
  std::string match;
  for (const auto& [term, rarity] : terms)
    match += fmt::format("{}\"{}\"", match.empty() ? "" : " OR ", term);
  SLLM_TRY(
      Statement s,
      db.prepare("SELECT q.text, q.terms, l.chunk FROM (SELECT rowid AS id FROM question_terms "
                 "WHERE question_terms MATCH ? ORDER BY bm25(question_terms), rowid LIMIT ?) b "
                 "JOIN question q ON q.id = b.id JOIN question_chunk l ON l.question = q.id"));
  s.bind(1, match).bind(2, kCandidates);
  for (;;) {
    SLLM_TRY(const bool row, s.step());
    if (!row) return scores;
    std::map<std::string, double> counts;
    for (std::string& term : index_terms(s.text(0)))
      if (terms.contains(term)) ++counts[std::move(term)];
    const Bm25 bm25(s.real(1) / all.mean_length);
    double score = 0;
    for (const auto& [term, count] : counts) score += bm25.score(terms.at(term), count);
    double& best = scores[s.integer(2)];
    best = std::max(best, score);
  }
}

}  // namespace sllm
