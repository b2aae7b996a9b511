// Readers for evaluation data: decompression by libarchive, JSON rows, delimited tables.
#include "eval/documents.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "data/row.h"

namespace sllm::eval {

Result<std::string> read_decompressed(const fs::path& path, uint64_t limit) {
  std::error_code error;
  if (!fs::is_regular_file(path, error))
    return bad_input("{}: no such file; expected a data file", path.string());
  if (fs::file_size(path, error) == 0) return std::string();
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  if (archive_read_open_filename(reader.get(), path.c_str(), 1 << 16) != ARCHIVE_OK ||
      archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK)
    return bad_input("{}: cannot be read: {}", path.string(), archive_error_string(reader.get()));
  std::string text;
  std::vector<char> buffer(1 << 16);
  for (;;) {
    const la_ssize_t n = archive_read_data(reader.get(), buffer.data(), buffer.size());
    if (n < 0)
      return bad_input("{}: cannot be decompressed: {}", path.string(),
                       archive_error_string(reader.get()));
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > limit)
      return bad_input("{}: larger than {} bytes once decompressed", path.string(), limit);
  }
}

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_mark(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return text;
}

Result<Json> parse_json(std::string_view text, const std::string& where) {
  return sllm::parse_json(text).context(where + ": not JSON");
}

}  // namespace

Result<std::vector<Json>> parse_json_rows(std::string_view text, const std::string& source,
                                          const std::string& field) {
  text = without_mark(text);
  std::vector<Json> rows;
  const auto add = [&](Json row, const std::string& where) -> Status {
    if (!row.is_object())
      return bad_input("{}: expected a JSON object, found {}", where, row.type_name());
    rows.push_back(std::move(row));
    return ok();
  };
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool lines = first != text.npos && text[first] == '{' && field.empty();
  if (!lines) {
    if (first == text.npos) return rows;
    SLLM_TRY(Json document, parse_json(text, source));
    if (!field.empty()) {
      if (!document.is_object() || !document.contains(field))
        return bad_input("{}: has no field \"{}\"", source, field);
      document = Json(document[field]);
    }
    if (!document.is_array())
      return bad_input("{}: expected an array of objects, found {}", source, document.type_name());
    for (size_t i = 0; i < document.size(); ++i)
      SLLM_OK(add(std::move(document[i]), fmt::format("{}: item {}", source, i + 1)));
    return rows;
  }
  size_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (row.find_first_not_of(" \t\r") == row.npos) continue;
    const std::string where = fmt::format("{}:{}", source, line);
    auto parsed = parse_json(row, where);
    // A single pretty-printed object also begins with '{'.
    if (!parsed.ok() && line == 1 && rows.empty()) {
      auto whole = parse_json(text, source);
      if (!whole.ok()) return std::move(parsed).error();
      Json document = std::move(whole).value();
      if (document.is_object() && document.contains("data") && document["data"].is_array())
        return parse_json_rows(document["data"].dump(), source);
      SLLM_OK(add(std::move(document), where));
      return rows;
    }
    SLLM_TRY(Json value, std::move(parsed));
    SLLM_OK(add(std::move(value), where));
  }
  return rows;
}

namespace {

using Table = std::vector<std::vector<std::string>>;

Result<Table> split_table(std::string_view text, const std::string& source, char delimiter) {
  Table table;
  std::vector<std::string> row;
  std::string cell;
  bool quoted = false, any = false;
  size_t line = 1, opened = 0;
  const auto end_row = [&] {
    if (!any && cell.empty() && row.empty()) return;  // blank line
    row.push_back(std::move(cell));
    table.push_back(std::move(row));
    row.clear(), cell.clear(), any = false;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    line += c == '\n';
    if (quoted) {
      if (c != '"')
        cell += c;
      else if (i + 1 < text.size() && text[i + 1] == '"')
        cell += text[++i];
      else
        quoted = false;
    } else if (c == '"' && cell.empty()) {
      quoted = any = true, opened = line;
    } else if (c == delimiter) {
      row.push_back(std::move(cell));
      cell.clear(), any = true;
    } else if (c == '\n') {
      end_row();
    } else if (c != '\r' || (i + 1 < text.size() && text[i + 1] != '\n')) {
      cell += c;
    }
  }
  if (quoted)
    return bad_input("{}:{}: a quoted cell does not end; expected a closing \"", source, opened);
  end_row();
  return table;
}

// The narrowest type that holds every non-empty cell of a column.
enum class CellType { kInteger, kNumber, kBoolean, kText };

template <class T>
bool parses_as(const std::string& cell) {
  T value;
  const char* end = cell.data() + cell.size();
  const auto [p, failed] = std::from_chars(cell.data(), end, value);
  return failed == std::errc{} && p == end;
}

CellType type_of_column(const Table& table, size_t first_row, size_t column) {
  bool integer = true, number = true, boolean = true, any = false;
  for (size_t r = first_row; r < table.size(); ++r) {
    const std::string& cell = table[r][column];
    if (cell.empty()) {
      integer = boolean = false;  // pandas turns a column with gaps into floats
      continue;
    }
    any = true;
    integer = integer && parses_as<int64_t>(cell);
    number = number && parses_as<double>(cell);
    boolean = boolean && (cell == "True" || cell == "False");
  }
  if (!any) return CellType::kText;
  return integer   ? CellType::kInteger
         : boolean ? CellType::kBoolean
         : number  ? CellType::kNumber
                   : CellType::kText;
}

Json to_cell(const std::string& cell, CellType type) {
  if (cell.empty()) return nullptr;
  switch (type) {
    case CellType::kInteger:
      return std::strtoll(cell.c_str(), nullptr, 10);
    case CellType::kNumber:
      return std::strtod(cell.c_str(), nullptr);
    case CellType::kBoolean:
      return cell == "True";
    case CellType::kText:
      break;
  }
  return cell;
}

}  // namespace

Result<std::vector<Json>> parse_table(std::string_view text, const std::string& source,
                                      const TableOptions& options) {
  SLLM_TRY(const Table table, split_table(without_mark(text), source, options.delimiter));
  std::vector<Json> rows;
  const bool named = !options.column_names.empty();
  if (table.empty()) return rows;
  const std::vector<std::string>& names = named ? options.column_names : table[0];
  const size_t first = named ? 0 : 1;
  for (size_t r = first; r < table.size(); ++r)
    if (table[r].size() != names.size())
      return bad_input("{}: row {} has {} cells; expected {} as in the header", source, r + 1,
                       table[r].size(), names.size());
  std::vector<CellType> types;
  for (size_t c = 0; c < names.size(); ++c) types.push_back(type_of_column(table, first, c));
  for (size_t r = first; r < table.size(); ++r) {
    Json row = Json::object();
    for (size_t c = 0; c < names.size(); ++c) row[names[c]] = to_cell(table[r][c], types[c]);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sllm::eval
