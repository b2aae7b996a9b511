// Exact, JSON, overlap and key-fact scores.
#include "eval/answer_metrics.h"

#include <algorithm>
#include <map>

#include "eval/python_text.h"

namespace sllm::eval {
namespace {

bool is_hangul(char32_t c) {
  return (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x1100 && c <= 0x11FF) ||
         (c >= 0x3131 && c <= 0x318E);
}

std::string without_punctuation(std::string text, std::string_view replacement) {
  std::string out;
  for (const char c : text)
    if (c > 0 && std::ispunct(c))
      out += replacement;
    else
      out += c;
  return out;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  std::u32string word;
  for (const char32_t c : to_code_points(text) + U" ") {
    if (!is_python_space(c)) {
      word += c;
    } else if (!word.empty()) {
      out.push_back(to_utf8(word));
      word.clear();
    }
  }
  return out;
}

std::vector<std::string> squad_tokens(const std::string& text) {
  std::vector<std::string> tokens = words(without_punctuation(lower(text), ""));
  std::erase_if(tokens, [](const auto& w) { return w == "a" || w == "an" || w == "the"; });
  return tokens;
}

// KorQuAD's script also drops quotation marks and brackets that Korean text uses.
std::vector<std::string> korquad_characters(const std::string& text) {
  static const std::u32string kDropped = U"《》〈〉‘’“”「」『』";
  std::vector<std::string> out;
  for (const char32_t c : to_code_points(without_punctuation(lower(text), " ")))
    if (!is_python_space(c) && kDropped.find(c) == kDropped.npos)
      out.push_back(to_utf8(std::u32string_view(&c, 1)));
  return out;
}

std::string squeeze(const std::string& text) {
  std::string out;
  for (const std::string& word : words(lower(text))) out += (out.empty() ? "" : " ") + word;
  return out;
}

}  // namespace

bool answer_equal(const std::string& answer, const std::string& expected) {
  return strip(answer) == strip(expected);
}

bool json_equal(const std::string& answer, const std::string& expected) {
  const auto parse = [](const std::string& text) {
    const auto bounded = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
      return depth < 100;
    };
    return nlohmann::json::parse(text, bounded, /*allow_exceptions=*/false);
  };
  const nlohmann::json a = parse(answer), b = parse(expected);
  return !a.is_discarded() && !b.is_discarded() && a == b;
}

double token_f1(const std::string& answer, const std::string& expected) {
  const bool korean = guess_language(expected) == "ko";
  const auto got = korean ? korquad_characters(answer) : squad_tokens(answer);
  const auto want = korean ? korquad_characters(expected) : squad_tokens(expected);
  if (got.empty() || want.empty()) return got.empty() && want.empty() ? 1 : 0;
  std::map<std::string, int64_t> counts;
  for (const auto& token : want) ++counts[token];
  double same = 0;
  for (const auto& token : got)
    if (counts[token]-- > 0) ++same;
  return 2 * same / static_cast<double>(got.size() + want.size());
}

bool holds_facts(const std::string& answer, const Json& facts) {
  const std::string text = squeeze(answer);
  const auto holds = [&](const Json& fact) {
    return fact.is_string() && text.find(squeeze(fact.get<std::string>())) != text.npos;
  };
  if (!facts.is_array()) return holds(facts);
  return std::ranges::all_of(facts, [&](const Json& fact) {
    return fact.is_array() ? std::ranges::any_of(fact, holds) : holds(fact);
  });
}

std::string guess_language(const std::string& text) {
  int64_t hangul = 0, kana = 0, han = 0, other = 0;
  for (const char32_t c : to_code_points(text)) {
    if (is_hangul(c))
      ++hangul;
    else if (c >= 0x3040 && c <= 0x30FF)
      ++kana;
    else if (c >= 0x4E00 && c <= 0x9FFF)
      ++han;
    else if ((c | 32) >= 'a' && (c | 32) <= 'z')
      ++other;
  }
  // A Hangul syllable says about as much as two or three Latin letters.
  if (hangul > 0 && 3 * hangul >= other) return "ko";
  if (kana > 0 && 3 * (kana + han) >= other) return "ja";
  if (han > 0 && 3 * han >= other) return "zh";
  return "en";
}

}  // namespace sllm::eval
