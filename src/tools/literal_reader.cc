#include "tools/literal_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace sllm {
namespace {

using Outcome = ArgumentsReader::Outcome;

constexpr std::string_view kGemmaQuote = "<|\"|>";
constexpr size_t kMaxWord = 256;  // bytes of a number or a bare name

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_byte(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
         c == '+' || c == '.' || c == '$' || (static_cast<uint8_t>(c) & 0x80) != 0;
}

// RFC 8259's numbers, of those that a double can hold.
bool is_number(const std::string& text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t from = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at > from;
  };
  if (text.starts_with('-')) ++at;
  const bool zero = at < text.size() && text[at] == '0';
  const size_t from = at;
  if (!digits() || (zero && at - from > 1)) return false;
  if (at < text.size() && text[at] == '.' && (++at, !digits())) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    if (++at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (!digits()) return false;
  }
  return at == text.size() && std::isfinite(std::strtod(text.c_str(), nullptr));
}

// A byte of a string as JSON writes it.
void append_escaped(std::string& json, char c) {
  switch (c) {
    case '"':
      json += "\\\"";
      return;
    case '\\':
      json += "\\\\";
      return;
    case '\n':
      json += "\\n";
      return;
    case '\r':
      json += "\\r";
      return;
    case '\t':
      json += "\\t";
      return;
    default:
      if (static_cast<uint8_t>(c) < 0x20)
        json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      else
        json += c;
  }
}

}  // namespace

Outcome LiteralReader::read(char byte, std::string& json) {
  if (!quote_.empty())
    return quote_ == kGemmaQuote ? in_gemma_string(byte, json) : in_string(byte, json);
  if (held_.empty() && (!word_.empty() || is_word_byte(byte))) return word(byte, json);
  return structure(byte, json);
}

Outcome LiteralReader::structure(char byte, std::string& json) {
  if (!held_.empty() || (form_ == ArgumentsForm::kGemma && byte == kGemmaQuote[0])) {
    held_ += byte;
    if (!kGemmaQuote.starts_with(held_)) return Outcome::kWrong;
    if (held_.size() < kGemmaQuote.size()) return Outcome::kMore;
    held_.clear();
    quote_ = kGemmaQuote;
    return begin_string(json);
  }
  if (is_space(byte)) return Outcome::kMore;
  const bool value = expect_ == Expect::kValue || expect_ == Expect::kFirstValue;
  switch (byte) {
    case '{':
    case '[':
    case '(':
      return value ? open(byte, json) : Outcome::kWrong;
    case '}':
    case ']':
    case ')':
      return close(byte, json);
    case '\'':
      if (form_ != ArgumentsForm::kPython) return Outcome::kWrong;
      [[fallthrough]];
    case '"':
      quote_ = byte;
      return begin_string(json);
    case ',':
      if (expect_ != Expect::kComma) return Outcome::kWrong;
      json += ", ";
      expect_ = levels_.back().colon ? Expect::kKey : Expect::kValue;
      return Outcome::kMore;
    default:
      if (expect_ != Expect::kColon || byte != levels_.back().colon) return Outcome::kWrong;
      json += ": ";
      expect_ = Expect::kValue;
      return Outcome::kMore;
  }
}

Outcome LiteralReader::open(char byte, std::string& json) {
  const bool arguments = levels_.empty() && begin_ == Begin::kArguments;
  const char first = form_ == ArgumentsForm::kPython ? '(' : '{';
  if (arguments ? byte != first : byte == '(' && form_ != ArgumentsForm::kPython)
    return Outcome::kWrong;
  if (levels_.size() >= kMaxArgumentsDepth) return Outcome::kWrong;
  if (byte == '{')
    levels_.push_back({'}', ':'});
  else if (byte == '[')
    levels_.push_back({']', '\0'});
  else
    levels_.push_back({')', arguments ? '=' : '\0'});  // Python's tuples are lists
  expect_ = levels_.back().colon ? Expect::kFirstKey : Expect::kFirstValue;
  json += levels_.back().colon ? '{' : '[';
  return Outcome::kMore;
}

Outcome LiteralReader::close(char byte, std::string& json) {
  const bool may =
      expect_ == Expect::kComma || expect_ == Expect::kFirstKey || expect_ == Expect::kFirstValue;
  if (!may || levels_.empty() || byte != levels_.back().close) return Outcome::kWrong;
  json += levels_.back().colon ? '}' : ']';
  levels_.pop_back();
  return value_ended();
}

Outcome LiteralReader::value_ended() {
  expect_ = Expect::kComma;
  return levels_.empty() ? Outcome::kDone : Outcome::kMore;
}

Outcome LiteralReader::word(char byte, std::string& json) {
  if (is_word_byte(byte)) {
    if (levels_.empty() && begin_ == Begin::kArguments) return Outcome::kWrong;
    const bool may = at_key() || expect_ == Expect::kValue || expect_ == Expect::kFirstValue;
    word_ += byte;
    return may && word_.size() <= kMaxWord ? Outcome::kMore : Outcome::kWrong;
  }
  const Outcome ended = end_word(json);
  if (ended == Outcome::kDone) return is_space(byte) ? Outcome::kDone : Outcome::kWrong;
  return ended == Outcome::kMore ? structure(byte, json) : ended;
}

Outcome LiteralReader::end_word(std::string& json) {
  const std::string word = std::exchange(word_, "");
  if (at_key()) {
    const bool bare = form_ == ArgumentsForm::kGemma || levels_.back().colon == '=';
    if (!bare) return Outcome::kWrong;
    json += '"' + word + '"';
    expect_ = Expect::kColon;
    return Outcome::kMore;
  }
  if (word == "true" || word == "True")
    json += "true";
  else if (word == "false" || word == "False")
    json += "false";
  else if (word == "null" || word == "None")
    json += "null";
  else if (is_number(word))
    json += word;
  else
    return Outcome::kWrong;
  return value_ended();
}

Outcome LiteralReader::begin_string(std::string& json) {
  const bool key = at_key() && !(levels_.back().colon == '=');
  if (!key && expect_ != Expect::kValue && expect_ != Expect::kFirstValue) return Outcome::kWrong;
  if (levels_.empty() && begin_ == Begin::kArguments) return Outcome::kWrong;
  json += '"';
  return Outcome::kMore;
}

Outcome LiteralReader::end_string(std::string& json) {
  json += '"';
  quote_.clear();
  if (!at_key()) return value_ended();
  expect_ = Expect::kColon;
  return Outcome::kMore;
}

Outcome LiteralReader::in_string(char byte, std::string& json) {
  if (!held_.empty()) return escape(byte, json);
  if (half_ && byte != '\\') return Outcome::kWrong;
  if (byte == quote_[0]) return end_string(json);
  if (byte == '\\')
    held_ = byte;
  else
    append_escaped(json, byte);
  return Outcome::kMore;
}

// JSON's escapes as they are; of Python's others \' and \xHH; the rest is, as in Python, no escape.
Outcome LiteralReader::escape(char byte, std::string& json) {
  held_ += byte;
  const char kind = held_[1];
  if (kind == 'u' || (kind == 'x' && form_ == ArgumentsForm::kPython)) {
    const std::string_view digits = std::string_view(held_).substr(2);
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos) return Outcome::kWrong;
    if (digits.size() < (kind == 'u' ? 4u : 2u)) return Outcome::kMore;
    const unsigned long code = std::stoul(std::string(digits), nullptr, 16);
    const bool high = code >= 0xD800 && code < 0xDC00, low = code >= 0xDC00 && code < 0xE000;
    if (half_ != low) return Outcome::kWrong;  // halves of a surrogate pair stand together
    half_ = high;
    json += kind == 'u' ? held_ : "\\u00" + std::string(digits);
  } else if (half_) {
    return Outcome::kWrong;
  } else if (std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos) {
    json += held_;
  } else if (form_ != ArgumentsForm::kPython) {
    return Outcome::kWrong;
  } else {
    if (kind != '\'') json += "\\\\";
    append_escaped(json, kind);
  }
  held_.clear();
  return Outcome::kMore;
}

Outcome LiteralReader::in_gemma_string(char byte, std::string& json) {
  held_ += byte;
  if (held_ == kGemmaQuote) {
    held_.clear();
    return end_string(json);
  }
  // Of what cannot become the quote any more, the longest end that still can is kept.
  while (!kGemmaQuote.starts_with(held_)) {
    append_escaped(json, held_.front());
    held_.erase(0, 1);
  }
  return Outcome::kMore;
}

}  // namespace sllm
