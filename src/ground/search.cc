// Index: candidates from FTS5, ranked again by BM25 over weighted fields. What plain BM25 lacks and
// each step adds to hit@5 on our measurements (bench/retrieval.py): stop terms are left out; rare
// terms weigh more (idf^1.3); Hangul counts a little by single syllables too; the passages around a
// chunk count a little, because a paragraph says "she" where the one before said the name; terms
// adjacent in the question score when adjacent in the text; chunks that hold more of the question's
// terms are preferred. Of the known questions that a chunk answers (questions.h) the nearest counts
// like text of its own.
#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "ground/bm25.h"
#include "ground/index.h"
#include "ground/questions.h"
#include "ground/schema.h"
#include "ground/terms.h"

namespace sllm {
namespace {

constexpr size_t kMaxQueryBytes = 1 << 14;
constexpr size_t kMaxQueryTerms = 48;
constexpr int64_t kCandidates = 80;

constexpr double kTitleWeight = 1.0, kHeadingWeight = 2.0;
constexpr int64_t kContext = 2;          // chunks before and behind that count
constexpr double kContextWeight = 0.15;  // of an occurrence one chunk away; half of it two away
constexpr double kPairWeight = 0.1;
constexpr double kSyllableWeight = 0.3;
constexpr double kCoveragePower = 0.1;

struct QueryTerm {
  std::string text;
  double idf = 0;
  double count = 1;  // in the query
};

struct Query {
  std::vector<QueryTerm> terms;
  std::unordered_map<std::string_view, size_t> position;  // term -> terms[]
  std::map<std::string, double> syllables;                // -> rarity
  std::vector<std::pair<size_t, size_t>> adjacent;        // neighbours in the question
  std::vector<std::pair<std::string, double>> keys;       // key terms and their weights
  double key_weight = 0;
};

// A chunk's occurrences of the query's terms.
struct Matches {
  Chunk chunk;
  int64_t document = 0;
  double length = 0;                        // terms of all fields
  std::vector<double> body, head;           // occurrences; head is weighted by field
  std::vector<double> pairs;                // per adjacent pair of the query
  std::map<std::string, double> syllables;  // occurrences of the query's
  double key_coverage = 0;
};

void index_positions(Query& query) {
  for (size_t i = 0; i < query.terms.size(); ++i) query.position[query.terms[i].text] = i;
}

class FtsIndex : public Index {
 public:
  explicit FtsIndex(Database db) : db_(std::move(db)) {}

  Result<std::vector<SearchHit>> search(std::string_view text, size_t k,
                                        KnownQuestions questions) const override {
    const std::lock_guard lock(mutex_);
    SLLM_OK(read_totals());
    text = text.substr(0, kMaxQueryBytes);
    SLLM_TRY(const Query query, parse(text));
    std::vector<SearchHit> hits;
    if ((query.terms.empty() && query.syllables.empty()) || k == 0) return hits;
    SLLM_TRY(std::vector<int64_t> ids,
             candidates(query, std::max<int64_t>(kCandidates, static_cast<int64_t>(k))));
    std::map<int64_t, double> asked;
    if (questions == KnownQuestions::kUse) {
      SLLM_TRY(asked, question_scores(db_, text));
    }
    for (const auto& [id, nearness] : asked)
      if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
    std::map<int64_t, Matches> known;
    for (const int64_t id : ids) {
      SLLM_TRY(SearchHit hit, score(query, id, known));
      if (const auto it = asked.find(id); it != asked.end()) hit.score += it->second;
      if (hit.score > 0) hits.push_back(std::move(hit));
    }
    std::ranges::stable_sort(hits, [](const SearchHit& a, const SearchHit& b) {
      return a.score != b.score ? a.score > b.score : a.chunk.id < b.chunk.id;
    });
    if (hits.size() > k) hits.resize(k);
    return hits;
  }

  Result<Chunk> chunk(int64_t id) const override {
    const std::lock_guard lock(mutex_);
    SLLM_TRY(const auto row, load(id));
    if (!row) return bad_input("the index has no chunk {}", id);
    return row->chunk;
  }

  Result<IndexStats> stats() const override {
    const std::lock_guard lock(mutex_);
    SLLM_OK(read_totals());
    IndexStats stats;
    stats.chunks = static_cast<size_t>(chunks_);
    SLLM_TRY(Statement s, db_.prepare("SELECT count(*) FROM document"));
    SLLM_OK(s.step());
    stats.documents = static_cast<size_t>(s.integer(0));
    SLLM_TRY(stats.folder, meta("folder"));
    return stats;
  }

 private:
  Result<std::string> meta(const char* key) const {
    SLLM_TRY(Statement s, db_.prepare("SELECT value FROM meta WHERE key = ?"));
    SLLM_TRY(const bool row, s.bind(1, key).step());
    return row ? s.text(0) : std::string();
  }

  // Read at each search: another process may have updated the file.
  Status read_totals() const {
    SLLM_TRY(const std::string chunks, meta("chunks"));
    SLLM_TRY(const std::string terms, meta("terms"));
    chunks_ = std::strtod(chunks.c_str(), nullptr);
    mean_length_ = std::max(1.0, std::strtod(terms.c_str(), nullptr) / std::max(1.0, chunks_));
    return ok();
  }

  Result<double> idf(std::string_view term) const {
    SLLM_TRY(Statement s, db_.prepare("SELECT doc FROM vocabulary WHERE term = ?"));
    SLLM_TRY(const bool row, s.bind(1, term).step());
    const double n = row ? static_cast<double>(s.integer(0)) : 0;
    return inverse_document_frequency(chunks_, n);
  }

  // The question's terms with their rarity; the rarest kMaxQueryTerms of a long one.
  Result<Query> parse(std::string_view text) const {
    std::vector<std::string> all = index_terms(text);
    const bool only_stops = std::ranges::all_of(all, is_stop_term);
    Query query;
    std::map<std::string, double> counts;
    for (const std::string& term : all)
      if (only_stops || !is_stop_term(term)) ++counts[term];
    for (const auto& [term, count] : counts) {
      SLLM_TRY(const double rarity, idf(term));
      query.terms.push_back({term, rarity, count});
    }
    std::ranges::stable_sort(query.terms, std::greater{}, &QueryTerm::idf);
    if (query.terms.size() > kMaxQueryTerms) query.terms.resize(kMaxQueryTerms);
    index_positions(query);
    for (size_t i = 0; i + 1 < all.size(); ++i) {
      const auto a = query.position.find(all[i]), b = query.position.find(all[i + 1]);
      if (a != query.position.end() && b != query.position.end() && a->second != b->second)
        query.adjacent.emplace_back(a->second, b->second);
    }
    for (std::string& syllable : syllables(text)) {
      if (query.syllables.size() == kMaxQueryTerms) break;
      SLLM_TRY(const double rarity, idf(syllable));
      query.syllables.emplace(std::move(syllable), rarity);
    }
    SLLM_OK(weigh_keys(text, query));
    return query;
  }

  // A pair of syllables that no document has is often only an unusual ending: it weighs half.
  Status weigh_keys(std::string_view text, Query& query) const {
    const double most = inverse_document_frequency(chunks_, 0);
    for (const std::string& key : key_terms(text)) {
      SLLM_TRY(double weight, idf(key));
      if (weight >= most && static_cast<unsigned char>(key[0]) >= 0x80) weight /= 2;
      query.keys.emplace_back(key, weight);
      query.key_weight += weight;
      if (query.keys.size() == 4 * kMaxQueryTerms) break;
    }
    return ok();
  }

  // Terms are quoted: FTS5 reads none of its operators in them.
  Result<std::vector<int64_t>> candidates(const Query& query, int64_t limit) const {
    std::string match;
    for (const QueryTerm& term : query.terms)
      match += fmt::format("{}\"{}\"", match.empty() ? "" : " OR ", term.text);
    for (const auto& [syllable, rarity] : query.syllables)
      match += fmt::format("{}\"{}\"", match.empty() ? "" : " OR ", syllable);
    SLLM_TRY(Statement s, db_.prepare("SELECT rowid FROM terms WHERE terms MATCH ? "
                                      "ORDER BY bm25(terms, 1.0, 2.0, 1.0, 0.3), rowid LIMIT ?"));
    s.bind(1, match).bind(2, limit);
    std::vector<int64_t> ids;
    for (;;) {
      SLLM_TRY(const bool row, s.step());
      if (!row) return ids;
      ids.push_back(s.integer(0));
    }
  }

  Result<std::optional<Matches>> load(int64_t id) const {
    SLLM_TRY(Statement s,
             db_.prepare("SELECT d.path, d.title, c.heading, c.text, c.begin_byte, c.end_byte, "
                         "c.document, c.terms FROM chunk c JOIN document d ON d.id = c.document "
                         "WHERE c.id = ?"));
    SLLM_TRY(const bool row, s.bind(1, id).step());
    if (!row) return std::optional<Matches>();
    Matches m;
    m.chunk = {id,
               s.text(0),
               s.text(1),
               s.text(2),
               s.text(3),
               static_cast<uint64_t>(s.integer(4)),
               static_cast<uint64_t>(s.integer(5))};
    m.document = s.integer(6);
    m.length = static_cast<double>(s.integer(7));
    return std::optional(std::move(m));
  }

  // Loads and counts a chunk once per search; nullptr when there is no such chunk.
  Result<const Matches*> matches(const Query& query, int64_t id,
                                 std::map<int64_t, Matches>& known) const {
    if (const auto it = known.find(id); it != known.end()) return &it->second;
    SLLM_TRY(auto loaded, load(id));
    if (!loaded) return static_cast<const Matches*>(nullptr);
    Matches& m = known[id] = std::move(*loaded);
    m.body.resize(query.terms.size());
    m.head.resize(query.terms.size());
    m.pairs.resize(query.adjacent.size());
    std::unordered_set<std::string> present;
    for (std::string& t : count_terms(query, m.chunk.title, kTitleWeight, m.head, nullptr))
      present.insert(std::move(t));
    for (std::string& t : count_terms(query, m.chunk.heading, kHeadingWeight, m.head, nullptr))
      present.insert(std::move(t));
    for (std::string& t : count_terms(query, m.chunk.text, 1, m.body, &m.pairs))
      present.insert(std::move(t));
    if (!query.syllables.empty())
      for (const std::string* text : {&m.chunk.heading, &m.chunk.text})
        for (const std::string& syllable : syllables(*text))
          if (query.syllables.contains(syllable)) ++m.syllables[syllable];
    double covered = 0;
    for (const auto& [key, weight] : query.keys) covered += present.contains(key) ? weight : 0;
    m.key_coverage = query.key_weight > 0 ? covered / query.key_weight : 0;
    return &m;
  }

  static std::vector<std::string> count_terms(const Query& query, std::string_view text,
                                              double weight, std::vector<double>& counts,
                                              std::vector<double>* pairs) {
    std::vector<std::string> terms = index_terms(text);
    size_t before = SIZE_MAX;
    for (const std::string& term : terms) {
      const auto it = query.position.find(term);
      const size_t at = it == query.position.end() ? SIZE_MAX : it->second;
      if (at != SIZE_MAX) counts[at] += weight;
      if (pairs && at != SIZE_MAX && before != SIZE_MAX)
        for (size_t p = 0; p < query.adjacent.size(); ++p)
          (*pairs)[p] += query.adjacent[p] == std::pair(before, at);
      before = at;
    }
    return terms;
  }

  Result<SearchHit> score(const Query& query, int64_t id, std::map<int64_t, Matches>& known) const {
    SLLM_TRY(const Matches* own, matches(query, id, known));
    if (!own)
      return with_hint(bad_input("the index names a chunk {} that it does not hold", id),
                       "Make it anew: sllm index DIR --out FILE");
    std::vector<double> tf(query.terms.size());
    for (size_t i = 0; i < tf.size(); ++i) tf[i] = own->body[i] + own->head[i];
    for (int64_t d = -kContext; d <= kContext; ++d) {
      if (d == 0) continue;
      SLLM_TRY(const Matches* near, matches(query, id + d, known));
      if (!near || near->document != own->document || near->chunk.heading != own->chunk.heading)
        continue;
      for (size_t i = 0; i < tf.size(); ++i)
        tf[i] += kContextWeight / static_cast<double>(std::abs(d)) * std::min(2.0, near->body[i]);
    }
    const Bm25 bm25(own->length / mean_length_);
    double score = 0, held = 0, total = 0;
    for (size_t i = 0; i < tf.size(); ++i) {
      const QueryTerm& term = query.terms[i];
      score += term.count * bm25.score(term.idf, tf[i]);
      total += term.idf;
      if (own->body[i] + own->head[i] > 0) held += term.idf;
    }
    for (size_t p = 0; p < query.adjacent.size(); ++p) {
      const auto [a, b] = query.adjacent[p];
      score +=
          kPairWeight * (query.terms[a].idf + query.terms[b].idf) * bm25.saturated(own->pairs[p]);
    }
    for (const auto& [syllable, n] : own->syllables)
      score += kSyllableWeight * bm25.score(query.syllables.at(syllable), n);
    // Without any term, most of the question's syllables must be there: "급" alone is not "급여".
    if (held == 0 && 2 * own->syllables.size() <= query.syllables.size()) score = 0;
    score *= std::pow(total > 0 ? std::max(held / total, 0.02) : 1, kCoveragePower);
    return SearchHit{own->chunk, score, own->key_coverage};
  }

  Database db_;
  mutable std::mutex mutex_;  // one connection
  mutable double chunks_ = 0, mean_length_ = 1;
};

}  // namespace

Result<std::shared_ptr<Index>> Index::open(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error))
    return with_hint(bad_input("{}: no such index", file.string()),
                     "Make it: sllm index DIR --out " + file.string());
  SLLM_TRY(Database db, Database::open(file, false));
  SLLM_OK(check_schema(db).context(file.string()));
  return std::shared_ptr<Index>(std::make_shared<FtsIndex>(std::move(db)));
}

}  // namespace sllm
