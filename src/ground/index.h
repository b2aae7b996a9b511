// The documents an answer may rest on: chunked, indexed in one SQLite file (FTS5 with our own
// terms: Latin words lightly stemmed, Hangul by syllable pairs), searched by BM25. Indexed text is
// data: no query or document is ever read as FTS5 or SQL syntax.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/events.h"
#include "base/file.h"
#include "base/result.h"

namespace sllm {

// A passage of a document, whole paragraphs where they fit.
struct Chunk {
  int64_t id = 0;
  std::string document;  // path below the indexed folder, '/' separated
  std::string title;     // of the document
  std::string heading;   // path of headings, "Setup > Network"
  std::string text;
  uint64_t begin = 0, end = 0;  // bytes of the document as read (decoded to UTF-8)
};

struct ChunkOptions {
  size_t target_characters = 900;  // a chunk closes at the paragraph that would pass this
  size_t max_characters = 1400;    // a longer paragraph is cut at sentence ends
};

struct SearchHit {
  Chunk chunk;
  double score = 0;     // higher is better; comparable within one query only
  double coverage = 0;  // 0..1: share of the question's terms, weighted by rarity, in the chunk
};

struct IndexUpdate {
  size_t documents = 0, added = 0, changed = 0, removed = 0, unchanged = 0, skipped = 0;
  size_t chunks = 0;
  std::vector<std::string> skipped_reasons;  // "bad.pdf: unsupported format"
};

struct IndexStats {
  size_t documents = 0, chunks = 0;
  std::string folder;  // that was indexed
};

// A question and a piece of the text that answers it, as it stands in the documents.
struct KnownQuestion {
  std::string question, evidence;
};

// Whether a search looks at the index's known questions. Data to learn from does not: a question
// that is itself known would always find its own passage first.
enum class KnownQuestions { kUse, kIgnore };

struct LearnedQuestions {
  size_t learned = 0, unsupported = 0;  // unsupported: no passage holds the evidence
};

// Thread-safe: searches may run together; an update is one transaction that searches see at its
// end.
class Index {
 public:
  // Opens an index for searching. Errors: kBadInput when the file is missing or no index of ours.
  static Result<std::shared_ptr<Index>> open(const fs::path& file);
  // Brings `file` (created when missing) up to date with the documents below `folder`: .md, .html,
  // .txt and their kin; a document is read again only when its bytes changed. Killed at any point,
  // the old state remains.
  static Result<IndexUpdate> update(const fs::path& file, const fs::path& folder,
                                    const ChunkOptions& options = {},
                                    const ProgressSink& progress = {});
  // Puts these in the place of the known questions of an index that is there. Later updates keep
  // them, and find their passages again. Errors: as open().
  static Result<LearnedQuestions> learn_questions(const fs::path& file,
                                                  std::span<const KnownQuestion> questions);
  virtual ~Index() = default;

  // The k best chunks, best first; none when no term of the query occurs.
  virtual Result<std::vector<SearchHit>> search(
      std::string_view query, size_t k = 5,
      KnownQuestions questions = KnownQuestions::kUse) const = 0;
  virtual Result<Chunk> chunk(int64_t id) const = 0;
  virtual Result<IndexStats> stats() const = 0;
};

}  // namespace sllm
