// read_rows() and what stands on it: one file of any supported kind, with "file:line" in every
// error.
#include "data/read.h"

#include <algorithm>
#include <cctype>

#include "data/charset.h"
#include "data/csv.h"
#include "data/document.h"
#include "data/row.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxRowBytes = size_t{64} << 20;
constexpr size_t kTextCharacters = 2000;  // of one `text` example made from a document

// Hands rows on, and decides whether a bad one is dropped or ends the reading.
class Rows {
 public:
  Rows(const fs::path& path, const ReadOptions& options, std::vector<DroppedRow>* dropped,
       const RowSink& rows, const TextSink& texts)
      : path_(path.string()), options_(options), dropped_(dropped), rows_(rows), texts_(texts) {}

  const std::string& path() const { return path_; }
  std::string at(size_t line) const { return fmt::format("{}:{}", path_, line); }

  Status add(Json row, size_t line) {
    Status taken = rows_(std::move(row), at(line));
    if (taken.ok() || taken.error().code != ErrorCode::kBadInput) return taken;
    return bad(std::move(taken).error(), line);
  }
  Status add_text(std::string text, size_t line) { return texts_(std::move(text), at(line)); }
  Status bad(Error error, size_t line) {
    if (bad_rows_ >= options_.skip_bad) {
      if (error.hint.empty())
        error.hint = "Mend the row; `sllm data --skip-bad N` leaves up to N such rows out";
      return std::move(error).context(at(line));
    }
    ++bad_rows_;
    log(LogLevel::kWarning, fmt::format("{}: {}; row left out", at(line), error.message));
    if (dropped_) dropped_->push_back({at(line), "malformed", error.message});
    return ok();
  }

 private:
  std::string path_;
  const ReadOptions& options_;
  std::vector<DroppedRow>* dropped_;
  const RowSink& rows_;
  const TextSink& texts_;
  uint64_t bad_rows_ = 0;
};

enum class RowFormat { kJson, kJsonLines, kTable };

std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  return extension;
}

std::optional<RowFormat> row_format(const fs::path& path) {
  const std::string extension = extension_of(path);
  if (extension == ".json") return RowFormat::kJson;
  if (extension == ".jsonl" || extension == ".ndjson") return RowFormat::kJsonLines;
  if (extension == ".csv" || extension == ".tsv") return RowFormat::kTable;
  return std::nullopt;
}

Status read_jsonl(std::string_view text, Rows& rows) {
  size_t line = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view row = text.substr(start, end - start);
    start = end + 1;
    ++line;
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (row.size() > kMaxRowBytes) {
      SLLM_OK(
          rows.bad(bad_input("a row of {} bytes, more than {}", row.size(), kMaxRowBytes), line));
      continue;
    }
    auto json = parse_json(row);
    if (json.ok()) {
      SLLM_OK(rows.add(std::move(*json), line));
    } else {
      SLLM_OK(rows.bad(std::move(json).error(), line));
    }
  }
  return ok();
}

// A JSON array of rows; a row's place is told by its number, since lines say nothing there.
Status read_json_array(std::string_view text, Rows& rows) {
  SLLM_TRY(Json list, parse_json(text).context(rows.path()));
  if (!list.is_array())
    return with_hint(bad_input("{}: the file holds {}, expected an array [...] of rows",
                               rows.path(), list.type_name()),
                     "One object a line is JSONL: name the file .jsonl");
  size_t number = 0;
  for (Json& row : list) SLLM_OK(rows.add(std::move(row), ++number));
  return ok();
}

Status read_csv(std::string_view text, char separator, Rows& rows) {
  CsvReader reader(text, separator);
  CsvRow header, row;
  SLLM_TRY(const bool any, reader.next(header).context(rows.path()));
  if (!any) return bad_input("{}: the file is empty, expected a header line", rows.path());
  for (std::string& name : header.fields) {
    name.erase(0, std::min(name.find_first_not_of(' '), name.size()));
    name.erase(name.find_last_not_of(' ') + 1);
    if (std::ranges::count(header.fields, name) > 1)
      return bad_input("{}: the column \"{}\" appears twice", rows.at(header.line), name);
  }
  for (;;) {
    auto more = reader.next(row);
    if (!more.ok()) {
      SLLM_OK(rows.bad(std::move(more).error(), row.line));
      continue;
    }
    if (!*more) return ok();
    if (row.fields.size() != header.fields.size()) {
      SLLM_OK(rows.bad(bad_input("{} fields, expected {} as in the header", row.fields.size(),
                                 header.fields.size()),
                       row.line));
      continue;
    }
    Json object = Json::object();
    for (size_t i = 0; i < row.fields.size(); ++i)
      object[header.fields[i]] = std::move(row.fields[i]);
    SLLM_OK(rows.add(std::move(object), row.line));
  }
}

// Sections of a document, joined up to kTextCharacters, become `text` examples.
Status read_sections(const Document& document, Rows& rows) {
  const std::string_view text = document.text;
  size_t line = 1, counted = 0;
  const auto emit = [&](uint64_t begin, uint64_t end) {
    line += static_cast<size_t>(std::ranges::count(text.substr(counted, begin - counted), '\n'));
    counted = begin;
    return rows.add_text(std::string(text.substr(begin, end - begin)), line);
  };
  bool open = false;
  uint64_t begin = 0, end = 0;
  for (const Block& b : document.blocks) {
    if (open && (b.heading || b.end - begin > kTextCharacters)) {
      SLLM_OK(emit(begin, end));
      open = false;
    }
    if (!open) {
      // The marks in front of a heading ("## ") lie before its text, on the same line.
      const size_t newline = b.begin ? text.rfind('\n', b.begin - 1) : std::string_view::npos;
      begin = newline == std::string_view::npos ? 0 : newline + 1;
      open = true;
    }
    end = b.end;
  }
  return open ? emit(begin, end) : ok();
}

}  // namespace

Status read_rows(const fs::path& path, const ReadOptions& options, std::vector<DroppedRow>* dropped,
                 const RowSink& row_sink, const TextSink& text_sink) {
  std::error_code error;
  if (!fs::exists(path, error)) return bad_input("{}: no such file", path.string());
  const auto rows_in = row_format(path);
  const auto format = document_format(path);
  const bool document = format && text_sink;
  if (!rows_in && !document)
    return with_hint(bad_input("{}: \"{}\" is not a data file that can be read", path.string(),
                               extension_of(path)),
                     text_sink ? "Use .jsonl, .json, .csv, .tsv, .md, .html or .txt"
                               : "Use .jsonl, .json, .csv or .tsv: a document has no such rows");
  const uint64_t limit = options.max_bytes ? options.max_bytes : uint64_t{4} << 30;
  const auto tell_charset = [&](std::string_view charset) {
    if (charset != "UTF-8")
      log(LogLevel::kInfo, fmt::format("{}: read as {}", path.string(), charset));
  };
  Rows rows(path, options, dropped, row_sink, text_sink);
  if (rows_in == RowFormat::kJsonLines) {
    SLLM_TRY(const TextFile file, TextFile::open(path, limit));
    tell_charset(file.charset());
    return read_jsonl(file.text(), rows);
  }
  SLLM_TRY(const DecodedText decoded, read_text(path, limit));
  tell_charset(decoded.charset);
  if (rows_in == RowFormat::kJson) return read_json_array(decoded.text, rows);
  if (rows_in == RowFormat::kTable)
    return read_csv(decoded.text, extension_of(path) == ".tsv" ? '\t' : '\0', rows);
  return read_sections(parse_document(decoded.text, *format), rows);
}

Status each_example(const fs::path& path, const ReadOptions& options,
                    std::vector<DroppedRow>* dropped, const std::function<Status(Example)>& take) {
  const auto take_row = [&](Json row, std::string source) -> Status {
    SLLM_TRY(Example example, example_from_row(std::move(row), std::move(source), options));
    return take(std::move(example));
  };
  const auto take_text = [&](std::string text, std::string source) {
    Example e;
    e.text = std::move(text);
    e.source = std::move(source);
    return take(std::move(e));
  };
  return read_rows(path, options, dropped, take_row, take_text);
}

Result<std::vector<Example>> read_examples(const fs::path& path, const ReadOptions& options,
                                           std::vector<DroppedRow>* dropped) {
  std::vector<Example> examples;
  SLLM_OK(each_example(path, options, dropped, [&](Example example) -> Status {
    examples.push_back(std::move(example));
    return ok();
  }));
  return examples;
}

Result<std::vector<fs::path>> data_files(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    std::error_code error;
    if (!fs::is_directory(input, error)) {
      files.push_back(input);
      continue;
    }
    for (fs::recursive_directory_iterator it(input, error), end; it != end; it.increment(error)) {
      if (error) return bad_input("{}: {}", input.string(), error.message());
      if (it->is_regular_file(error) && (row_format(it->path()) || document_format(it->path())))
        files.push_back(it->path());
    }
  }
  if (files.empty()) return bad_input("no data files given");
  std::ranges::sort(files);
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

}  // namespace sllm
