// Index::update: brings an index up to date with a folder, in one transaction.
#include <algorithm>
#include <map>

#include "base/sha256.h"
#include "data/charset.h"
#include "data/document.h"
#include "ground/chunker.h"
#include "ground/index.h"
#include "ground/questions.h"
#include "ground/schema.h"
#include "ground/terms.h"

namespace sllm {
namespace {

constexpr uint64_t kMaxDocumentBytes = uint64_t{64} << 20;

struct Known {
  int64_t id = 0;
  std::string sha256;
};

using KnownDocuments = std::map<std::string, Known>;  // by path

class Updater {
 public:
  Updater(const Database& db, const fs::path& folder, const ChunkOptions& options,
          const ProgressSink& progress)
      : db_(db), folder_(folder), options_(options), progress_(progress) {}

  Result<IndexUpdate> run() {
    SLLM_OK(forget_other_settings());
    SLLM_TRY(KnownDocuments known, known_documents());
    SLLM_TRY(const std::vector<fs::path> files, documents_below(folder_));
    result_.documents = files.size();
    for (size_t i = 0; i < files.size(); ++i) {
      if (const int signal = stop_requested())
        return make_error(static_cast<ErrorCode>(128 + signal), "stopped; the index is as before");
      const std::string path = files[i].lexically_relative(folder_).generic_string();
      const auto old = known.find(path);
      SLLM_OK(update_one(files[i], path, old == known.end() ? Known{} : old->second));
      if (old != known.end()) known.erase(old);
      if (progress_) progress_({"indexing", "documents", i + 1, files.size(), {}});
    }
    for (const auto& [path, document] : known) {
      SLLM_OK(remove(document.id));
      ++result_.removed;
    }
    SLLM_OK(set_meta("folder", fs::absolute(folder_).lexically_normal().string()));
    SLLM_TRY(Statement count, db_.prepare("SELECT count(*), total(terms) FROM chunk"));
    SLLM_OK(count.step());
    result_.chunks = static_cast<size_t>(count.integer(0));
    SLLM_OK(set_meta("chunks", std::to_string(count.integer(0))));
    SLLM_OK(set_meta("terms", std::to_string(count.integer(1))));
    SLLM_OK(link_questions(db_));
    return std::move(result_);
  }

 private:
  static Result<std::vector<fs::path>> documents_below(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) return bad_input("{}: not a folder", folder.string());
    std::vector<fs::path> files;
    for (fs::recursive_directory_iterator
             it(folder, fs::directory_options::skip_permission_denied, error),
         end;
         !error && it != end; it.increment(error)) {
      if (it->path().filename().string().starts_with(".")) {
        it.disable_recursion_pending();
        continue;
      }
      if (document_format(it->path()) && it->is_regular_file(error)) files.push_back(it->path());
    }
    if (error) return bad_input("{}: {}", folder.string(), error.message());
    if (files.empty())
      return with_hint(bad_input("{}: holds no document that can be read", folder.string()),
                       "Names that are read end in " + document_endings());
    std::ranges::sort(files);
    return files;
  }

  // Chunks made under other settings, or terms of another version, are all made again.
  Status forget_other_settings() {
    const std::string settings = fmt::format("terms {} chunks {} {}", kTermsVersion,
                                             options_.target_characters, options_.max_characters);
    SLLM_TRY(Statement s, db_.prepare("SELECT value FROM meta WHERE key = 'settings'"));
    SLLM_TRY(const bool row, s.step());
    if (row && s.text(0) == settings) return ok();
    s.reset();
    SLLM_OK(
        db_.execute("DELETE FROM chunk; DELETE FROM document; "
                    "INSERT INTO terms(terms) VALUES('delete-all')"));
    return set_meta("settings", settings);
  }

  Status set_meta(const char* key, const std::string& value) {
    SLLM_TRY(Statement s, db_.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)"));
    return s.bind(1, key).bind(2, value).run();
  }

  Result<KnownDocuments> known_documents() {
    KnownDocuments known;
    SLLM_TRY(Statement s, db_.prepare("SELECT path, id, sha256 FROM document"));
    for (;;) {
      SLLM_TRY(const bool row, s.step());
      if (!row) return known;
      known[s.text(0)] = {s.integer(1), s.text(2)};
    }
  }

  Status update_one(const fs::path& file, const std::string& path, const Known& old) {
    auto bytes = read_file(file, kMaxDocumentBytes);
    if (!bytes.ok()) return skip(path, old, bytes.error());
    const std::string sha256 = sha256_hex(*bytes);
    if (sha256 == old.sha256) {
      ++result_.unchanged;
      return ok();
    }
    auto decoded = decode_text(*bytes);
    if (!decoded.ok()) return skip(path, old, decoded.error());
    if (old.id) SLLM_OK(remove(old.id));
    ++(old.id ? result_.changed : result_.added);
    Document document = parse_document(std::move(decoded->text), *document_format(file));
    if (document.title.empty()) document.title = file.stem().string();
    return insert(document, path, sha256);
  }

  // A document that cannot be read is left out, and its old text too: it is not what lies there.
  Status skip(const std::string& path, const Known& old, const Error& error) {
    ++result_.skipped;
    result_.skipped_reasons.push_back(fmt::format("{}: {}", path, error.message));
    return old.id ? remove(old.id) : ok();
  }

  Status insert(const Document& document, const std::string& path, const std::string& sha256) {
    SLLM_TRY(Statement d, db_.prepare("INSERT INTO document(path, sha256, title) VALUES(?,?,?) "
                                      "RETURNING id"));
    d.bind(1, path).bind(2, sha256).bind(3, document.title);
    SLLM_OK(d.step());
    const int64_t id = d.integer(0);
    SLLM_OK(d.run());
    SLLM_TRY(Statement c, db_.prepare("INSERT INTO chunk(document, heading, text, begin_byte, "
                                      "end_byte, terms) VALUES(?,?,?,?,?,?) RETURNING id"));
    SLLM_TRY(Statement t, db_.prepare("INSERT INTO terms(rowid, title, heading, body, "
                                      "syllables) VALUES(?,?,?,?,?)"));
    for (const Chunk& chunk : chunk_document(document, path, options_)) {
      const TermColumns terms = term_columns(chunk);
      c.bind(1, id).bind(2, chunk.heading).bind(3, chunk.text);
      c.bind(4, static_cast<int64_t>(chunk.begin)).bind(5, static_cast<int64_t>(chunk.end));
      c.bind(6, static_cast<int64_t>(terms.count));
      SLLM_OK(c.step());
      const int64_t rowid = c.integer(0);
      SLLM_OK(c.run());
      t.bind(1, rowid).bind(2, terms.title).bind(3, terms.heading).bind(4, terms.body);
      SLLM_OK(t.bind(5, terms.syllables).run());
    }
    return ok();
  }

  Status remove(int64_t document) {
    SLLM_TRY(Statement s, db_.prepare("SELECT c.id, d.title, c.heading, c.text FROM chunk c JOIN "
                                      "document d ON d.id = c.document WHERE d.id = ?"));
    SLLM_TRY(Statement t, db_.prepare("INSERT INTO terms(terms, rowid, title, heading, body, "
                                      "syllables) VALUES('delete', ?, ?, ?, ?, ?)"));
    s.bind(1, document);
    for (;;) {
      SLLM_TRY(const bool row, s.step());
      if (!row) break;
      Chunk chunk;
      chunk.title = s.text(1), chunk.heading = s.text(2), chunk.text = s.text(3);
      const TermColumns terms = term_columns(chunk);
      SLLM_OK(t.bind(1, s.integer(0))
                  .bind(2, terms.title)
                  .bind(3, terms.heading)
                  .bind(4, terms.body)
                  .bind(5, terms.syllables)
                  .run());
    }
    SLLM_TRY(Statement c, db_.prepare("DELETE FROM chunk WHERE document = ?"));
    SLLM_OK(c.bind(1, document).run());
    SLLM_TRY(Statement d, db_.prepare("DELETE FROM document WHERE id = ?"));
    return d.bind(1, document).run();
  }

  const Database& db_;
  const fs::path& folder_;
  const ChunkOptions& options_;
  const ProgressSink& progress_;
  IndexUpdate result_;
};

// An index of ours in another format is made anew; any other file is left for the error message.
Status discard_other_format(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return ok();
  SLLM_TRY(const Database db, Database::open(file, false));
  const auto format = index_format(db);
  if (format.ok() && *format != 0 && *format != kIndexFormat) fs::remove(file, error);
  return ok();
}

Result<IndexUpdate> update_open(const Database& db, const fs::path& folder,
                                const ChunkOptions& options, const ProgressSink& progress,
                                bool fresh) {
  SLLM_OK(db.execute("BEGIN IMMEDIATE"));
  if (fresh) {
    SLLM_OK(create_schema(db));
  } else {
    SLLM_OK(check_schema(db));
  }
  SLLM_TRY(IndexUpdate update, Updater(db, folder, options, progress).run());
  SLLM_OK(db.execute("COMMIT"));
  return update;  // on an error above, closing the database rolls back
}

}  // namespace

Result<IndexUpdate> Index::update(const fs::path& file, const fs::path& folder,
                                  const ChunkOptions& options, const ProgressSink& progress) {
  if (options.target_characters < 50 || options.max_characters < options.target_characters)
    return usage_error("chunks of {} to {} characters, expected at least 50 and a larger maximum",
                       options.target_characters, options.max_characters);
  std::error_code error;
  SLLM_OK(discard_other_format(file));
  const bool fresh = !fs::exists(file, error) || fs::file_size(file, error) == 0;
  SLLM_TRY(const Database db, Database::open(file, true));
  auto result = update_open(db, folder, options, progress, fresh);
  if (!result.ok() && fresh) fs::remove(file, error);
  return std::move(result).context(file.string());
}

Result<LearnedQuestions> Index::learn_questions(const fs::path& file,
                                                std::span<const KnownQuestion> questions) {
  SLLM_TRY([[maybe_unused]] const auto index, open(file));  // says what is wrong with the file
  const auto learn = [&]() -> Result<LearnedQuestions> {
    SLLM_TRY(const Database db, Database::open(file, true));
    SLLM_OK(db.execute("BEGIN IMMEDIATE"));
    SLLM_OK(write_questions(db, questions));
    SLLM_TRY(Statement s, db.prepare("SELECT count(DISTINCT question) FROM question_chunk"));
    SLLM_OK(s.step());
    const auto learned = static_cast<size_t>(s.integer(0));
    s.reset();
    SLLM_OK(db.execute("COMMIT"));
    return LearnedQuestions{learned, questions.size() - learned};
  };
  return learn().context(file.string());
}

}  // namespace sllm
