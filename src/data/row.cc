// The accepted row formats; each is one function that moves what it understands out of the row.
#include "data/row.h"

#include <stdexcept>

#include "data/row_fields.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 128;

}  // namespace

Result<Json> parse_json(std::string_view text) {
  bool too_deep = false;
  const auto guard = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) {
      too_deep = true;
      throw std::length_error("depth");  // leaves the parser at once
    }
    return true;
  };
  try {
    return Json::parse(text, guard);
  } catch (const std::length_error&) {
    return bad_input("nested deeper than {} levels", kMaxDepth);
  } catch (const Json::parse_error& e) {
    // nlohmann's text is "[json.exception...] parse error at line 1, column 9: details".
    std::string_view what = e.what();
    const std::string_view where = text.find('\n') == std::string_view::npos ? "column " : "line ";
    if (const size_t at = what.find(where); at != std::string_view::npos) what.remove_prefix(at);
    return bad_input("{}", what);
  } catch (const Json::exception& e) {  // "[json.exception...] details"
    const std::string_view what = e.what();
    const size_t bracket = what.find("] ");
    return bad_input("{}", what.substr(bracket == std::string_view::npos ? 0 : bracket + 2));
  }
}

Result<Example> example_from_row(Json row, std::string source, const ReadOptions& options) {
  if (!row.is_object())
    return bad_input("a row is {}, expected an object {{...}}", row.type_name());
  rename_columns(row, options.columns);
  Example e;
  if (auto tools = take_field(row, {"tools"}); tools && !tools->is_null())
    e.tools = std::move(*tools);
  const auto system = take_field(row, {"system"});
  Conversation messages;
  if (has_field(row, {"messages", "conversations"})) {
    const char* field = row.contains("messages") ? "messages" : "conversations";
    SLLM_TRY(messages, messages_of(*take_field(row, {field}), field));
  } else if (has_field(row, {"instruction"}) && has_field(row, {"output", "response"})) {
    SLLM_OK(append_instruction(row, messages));
    SLLM_OK(append_side(messages, *take_field(row, {"output", "response"}), "assistant", "output"));
  } else if (has_field(row, {"prompt"}) && has_field(row, {"completion"})) {
    SLLM_OK(append_side(messages, *take_field(row, {"prompt"}), "user", "prompt"));
    SLLM_OK(append_side(messages, *take_field(row, {"completion"}), "assistant", "completion"));
  } else if (has_field(row, {"question", "Question", "Q"}) &&
             has_field(row, {"answer", "Answer", "A"})) {
    SLLM_OK(
        append_side(messages, *take_field(row, {"question", "Question", "Q"}), "user", "question"));
    SLLM_OK(
        append_side(messages, *take_field(row, {"answer", "Answer", "A"}), "assistant", "answer"));
  } else if (has_field(row, {"text"})) {
    SLLM_TRY(e.text, text_of(*take_field(row, {"text"}), "text"));
  } else {
    return with_hint(
        bad_input("no known set of columns (found: {}), expected messages | instruction and output "
                  "| prompt and completion | question and answer | text",
                  column_names(row)),
        "Rename the columns, or import the file first: sllm data FILE --column "
        "question=YOUR_COLUMN "
        "--column answer=YOUR_COLUMN");
  }
  SLLM_OK(put_system(messages, system, options.system));
  e.messages = std::move(messages);
  if (!row.empty()) e.extra = std::move(row);
  e.source = std::move(source);
  return e;
}

}  // namespace sllm
