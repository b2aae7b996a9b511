// M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980: rules as data.
#include <array>
#include <span>

#include "ground/terms.h"

namespace sllm {
namespace {

struct Rule {
  std::string_view suffix, replacement;
};

class Stemmer {
 public:
  explicit Stemmer(std::string& word) : w_(word) {}

  void run() {
    plural();
    past_and_progressive();
    if (ends("y") && has_vowel(w_.size() - 1)) w_.back() = 'i';
    replace_first(kStep2, 0);
    replace_first(kStep3, 0);
    strip_endings();
    final_e();
  }

 private:
  static constexpr std::array<Rule, 20> kStep2 = {
      {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
       {"izer", "ize"},    {"abli", "able"},   {"alli", "al"},     {"entli", "ent"},
       {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
       {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
       {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"}}};
  static constexpr std::array<Rule, 7> kStep3 = {{{"icate", "ic"},
                                                  {"ative", ""},
                                                  {"alize", "al"},
                                                  {"iciti", "ic"},
                                                  {"ical", "ic"},
                                                  {"ful", ""},
                                                  {"ness", ""}}};
  static constexpr std::array<std::string_view, 19> kStep4 = {
      "al",  "ance", "ence", "er",  "ic",  "able", "ible", "ant", "ement", "ment",
      "ent", "ion",  "ou",   "ism", "ate", "iti",  "ous",  "ive", "ize"};

  bool ends(std::string_view s) const { return w_.ends_with(s); }
  bool consonant(size_t i) const {
    const char c = w_[i];
    if (c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u') return false;
    return c != 'y' || i == 0 || !consonant_before_y(i);
  }
  bool consonant_before_y(size_t i) const { return consonant(i - 1); }
  // m of [C](VC)^m[V] over the first n letters.
  int measure(size_t n) const {
    int m = 0;
    bool vowel = false;
    for (size_t i = 0; i < n; ++i) {
      const bool c = consonant(i);
      m += c && vowel;
      vowel = !c;
    }
    return m;
  }
  bool has_vowel(size_t n) const {
    for (size_t i = 0; i < n; ++i)
      if (!consonant(i)) return true;
    return false;
  }
  bool double_consonant() const {
    const size_t n = w_.size();
    return n > 1 && w_[n - 1] == w_[n - 2] && consonant(n - 1);
  }
  // *o: consonant, vowel, consonant that is not w, x or y.
  bool short_end(size_t n) const {
    if (n < 3 || !consonant(n - 3) || consonant(n - 2) || !consonant(n - 1)) return false;
    return w_[n - 1] != 'w' && w_[n - 1] != 'x' && w_[n - 1] != 'y';
  }

  void plural() {
    if (ends("sses") || ends("ies"))
      w_.resize(w_.size() - 2);
    else if (ends("s") && !ends("ss"))
      w_.pop_back();
  }
  void past_and_progressive() {
    if (ends("eed")) {
      if (measure(w_.size() - 3) > 0) w_.pop_back();
      return;
    }
    const size_t cut = ends("ed") ? 2 : ends("ing") ? 3 : 0;
    if (!cut || !has_vowel(w_.size() - cut)) return;
    w_.resize(w_.size() - cut);
    if (ends("at") || ends("bl") || ends("iz"))
      w_ += 'e';
    else if (double_consonant() && !ends("l") && !ends("s") && !ends("z"))
      w_.pop_back();
    else if (measure(w_.size()) == 1 && short_end(w_.size()))
      w_ += 'e';
  }
  void replace_first(std::span<const Rule> rules, int above) {
    for (const Rule& r : rules) {
      if (!ends(r.suffix)) continue;
      const size_t stem = w_.size() - r.suffix.size();
      if (measure(stem) > above) w_.replace(stem, std::string::npos, r.replacement);
      return;
    }
  }
  void strip_endings() {
    std::string_view longest;
    for (const std::string_view s : kStep4)
      if (ends(s) && s.size() > longest.size()) longest = s;
    if (longest.empty()) return;
    const size_t stem = w_.size() - longest.size();
    if (measure(stem) <= 1) return;
    if (longest == "ion" && (stem == 0 || (w_[stem - 1] != 's' && w_[stem - 1] != 't'))) return;
    w_.resize(stem);
  }
  void final_e() {
    if (ends("e")) {
      const size_t stem = w_.size() - 1;
      const int m = measure(stem);
      if (m > 1 || (m == 1 && !short_end(stem))) w_.pop_back();
    }
    if (ends("l") && double_consonant() && measure(w_.size()) > 1) w_.pop_back();
  }

  std::string& w_;
};

}  // namespace

std::string porter_stem(std::string word) {
  if (word.size() > 2 && word.size() <= 64) Stemmer(word).run();
  return word;
}

}  // namespace sllm
