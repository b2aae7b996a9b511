// ast.literal_eval and str() for values that JSON can hold (docs.python.org/3/library/ast.html).
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "eval/python_text.h"

namespace sllm::eval {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMaxDepth = 64;

class LiteralParser {
 public:
  explicit LiteralParser(std::string_view text) : text_(text) {}

  Result<Json> parse() {
    SLLM_TRY(Json value, parse_value(0));
    skip_spaces();
    if (at_ != text_.size()) return error("expected the end");
    return value;
  }

 private:
  Error error(std::string_view what) const {
    return bad_input("not a Python literal at byte {}: {} in {:.60}", at_, what, text_);
  }
  void skip_spaces() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }
  bool take(char c) {
    skip_spaces();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<Json> parse_value(int depth) {
    if (depth > kMaxDepth) return error("nested too deeply");
    skip_spaces();
    if (at_ >= text_.size()) return error("expected a value");
    const char c = text_[at_];
    if (c == '[') return parse_sequence(']', depth);
    if (c == '(') return parse_sequence(')', depth);
    if (c == '{') return parse_dict(depth);
    if (c == '\'' || c == '"') return parse_string();
    for (const auto& [word, value] :
         {std::pair<std::string_view, Json>{"True", true}, {"False", false}, {"None", nullptr}})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return Json(value);
      }
    return parse_number();
  }

  Result<Json> parse_sequence(char close, int depth) {
    ++at_;
    Json items = Json::array();
    bool comma = false;
    while (!take(close)) {
      if (!items.empty() && !comma) return error("expected ',' or the closing bracket");
      SLLM_TRY(Json item, parse_value(depth + 1));
      items.push_back(std::move(item));
      comma = take(',');
    }
    if (close == ')' && items.size() == 1 && !comma) return Json(items[0]);
    return items;
  }

  Result<Json> parse_dict(int depth) {
    ++at_;
    Json object = Json::object();
    bool comma = true;
    while (!take('}')) {
      if (!comma) return error("expected ',' or '}'");
      SLLM_TRY(const Json key, parse_value(depth + 1));
      if (!take(':')) return error("expected ':'");
      SLLM_TRY(Json value, parse_value(depth + 1));
      object[key.is_string() ? key.get<std::string>() : python_str(key)] = std::move(value);
      comma = take(',');
    }
    return object;
  }

  Result<Json> parse_string() {
    std::string value;
    do {  // adjacent strings are one
      const char quote = text_[at_++];
      while (at_ < text_.size() && text_[at_] != quote) {
        if (text_[at_] == '\n') return error("a string does not end on its line");
        if (text_[at_] != '\\') {
          value += text_[at_++];
          continue;
        }
        SLLM_OK(parse_escape(value));
      }
      if (at_ >= text_.size()) return error("a string does not end");
      ++at_;
      skip_spaces();
    } while (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"'));
    return Json(value);
  }

  Status parse_escape(std::string& value) {
    if (at_ + 1 >= text_.size()) return error("a string does not end");
    const char c = text_[at_ + 1];
    at_ += 2;
    constexpr std::string_view kFrom = "abfnrtv0\\'\"", kTo("\a\b\f\n\r\t\v\0\\'\"", 11);
    if (c == '\n') return ok();
    if (const size_t i = kFrom.find(c); i != kFrom.npos) {
      value += kTo[i];
      return ok();
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {  // Python keeps an escape it does not know
      value += '\\';
      value += c;
      return ok();
    }
    uint32_t point = 0;
    if (at_ + digits > text_.size()) return error("a short escape");
    const auto [end, failed] =
        std::from_chars(text_.data() + at_, text_.data() + at_ + digits, point, 16);
    if (failed != std::errc{} || end != text_.data() + at_ + digits) return error("a bad escape");
    at_ += digits;
    const char32_t c32 = point;
    value += to_utf8({&c32, 1});
    return ok();
  }

  Result<Json> parse_number() {
    const size_t end = std::min(text_.find_first_not_of("+-0123456789.eE", at_), text_.size());
    std::string_view word = text_.substr(at_, end - at_);
    if (word.starts_with('+')) word.remove_prefix(1);
    const char *first = word.data(), *last = word.data() + word.size();
    int64_t integer = 0;
    if (const auto [p, failed] = std::from_chars(first, last, integer);
        failed == std::errc{} && p == last) {
      at_ = end;
      return Json(integer);
    }
    double real = 0;
    if (const auto [p, failed] = std::from_chars(first, last, real);
        word.empty() || failed != std::errc{} || p != last)
      return error("expected a value");
    at_ = end;
    return Json(real);
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::string python_repr(const Json& value) {
  if (!value.is_string()) return python_str(value);
  const auto& text = value.get_ref<const std::string&>();
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else
      out += c;
  }
  return out + quote;
}

}  // namespace

Result<Json> parse_python_literal(std::string_view text) { return LiteralParser(text).parse(); }

std::string python_str(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "None";
    case Json::value_t::boolean:
      return value.get<bool>() ? "True" : "False";
    case Json::value_t::string:
      return value.get<std::string>();
    case Json::value_t::number_float: {
      const double x = value.get<double>();
      if (std::isnan(x)) return "nan";
      if (std::isinf(x)) return x < 0 ? "-inf" : "inf";
      std::string text = fmt::format("{}", x);
      if (text.find_first_of(".e") == text.npos) text += ".0";
      return text;
    }
    case Json::value_t::array: {
      std::string out = "[";
      for (const Json& item : value) out += (out.size() > 1 ? ", " : "") + python_repr(item);
      return out + "]";
    }
    case Json::value_t::object: {
      std::string out = "{";
      for (const auto& [key, item] : value.items())
        out += (out.size() > 1 ? ", " : "") + python_repr(key) + ": " + python_repr(item);
      return out + "}";
    }
    default:
      return value.dump();
  }
}

}  // namespace sllm::eval
