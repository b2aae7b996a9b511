#include "io/json.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "io/byte_reader.h"

namespace sllm {
namespace {

constexpr size_t kMaxDepth = 128;

// Builds the document while refusing what nlohmann's own builder accepts: depth without limit and
// duplicate keys (the last would silently win, and two readers of one file could see two models).
class StrictBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  using Json = nlohmann::json;

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (stack_.back()->contains(name)) {
      problem_ = fmt::format("the key \"{}\" appears twice", name);
      return false;
    }
    slot_ = &(*stack_.back())[name];
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    // "[json.exception...] parse error at line 1, column 2: syntax error ..." -> the last part
    const std::string text = e.what();
    const size_t colon = text.find(": ");
    problem_ = colon == text.npos ? text : text.substr(colon + 2);
    position_ = position;
    return false;
  }

  Json root;
  const std::string& problem() const { return problem_; }
  std::optional<size_t> position() const { return position_; }

 private:
  Json* place(Json value) {
    if (stack_.empty()) return &(root = std::move(value));
    if (stack_.back()->is_array()) {
      stack_.back()->push_back(std::move(value));
      return &stack_.back()->back();
    }
    return &(*slot_ = std::move(value));
  }
  bool add(Json value) { return place(std::move(value)) != nullptr; }
  bool open(Json container) {
    if (stack_.size() >= kMaxDepth) {
      problem_ = fmt::format("nested deeper than {} levels", kMaxDepth);
      return false;
    }
    stack_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  std::vector<Json*> stack_;
  Json* slot_ = nullptr;
  std::string problem_;
  std::optional<size_t> position_;
};

std::string line_and_column(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = 1 + std::ranges::count(before, '\n');
  const size_t start = before.rfind('\n');
  const size_t column = before.size() - (start == before.npos ? 0 : start + 1);
  return fmt::format("line {}, column {}", line, column);
}

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text, const std::string& file) {
  if (!is_utf8(text)) return bad_input("{}: is not UTF-8 text", file);
  StrictBuilder builder;
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder.root);
  if (builder.position())
    return bad_input("{}: {}: not valid JSON: {}", file, line_and_column(text, *builder.position()),
                     builder.problem());
  return bad_input("{}: {}", file, builder.problem());
}

const nlohmann::json* JsonFields::find(const char* key) const {
  if (!object_.is_object()) return nullptr;
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

Error JsonFields::wrong_type(const char* key, std::string_view wanted) const {
  return bad_input("{}: \"{}\" is {}, expected {}", file_, key, find(key)->type_name(), wanted);
}

Result<std::optional<int64_t>> JsonFields::integer(const char* key) const {
  const auto* value = find(key);
  if (!value) return std::optional<int64_t>();
  const bool fits = value->is_number_integer() &&
                    !(value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX);
  if (!fits) return wrong_type(key, "a whole number");
  return std::optional(value->get<int64_t>());
}

Result<std::optional<double>> JsonFields::number(const char* key) const {
  const auto* value = find(key);
  if (!value) return std::optional<double>();
  if (!value->is_number()) return wrong_type(key, "a number");
  return std::optional(value->get<double>());
}

Result<std::optional<bool>> JsonFields::boolean(const char* key) const {
  const auto* value = find(key);
  if (!value) return std::optional<bool>();
  if (!value->is_boolean()) return wrong_type(key, "true or false");
  return std::optional(value->get<bool>());
}

Result<std::optional<std::string>> JsonFields::string(const char* key) const {
  const auto* value = find(key);
  if (!value) return std::optional<std::string>();
  if (!value->is_string()) return wrong_type(key, "a string");
  return std::optional(value->get<std::string>());
}

Result<int64_t> JsonFields::need_integer(const char* key) const {
  SLLM_TRY(const auto value, integer(key));
  if (!value) return bad_input("{}: \"{}\" is missing", file_, key);
  return *value;
}

}  // namespace sllm
