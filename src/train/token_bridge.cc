// Spelling one vocabulary in another, and rows of probabilities with it.
#include "train/token_bridge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "base/check.h"
#include "train/generate.h"

namespace sllm {
namespace {

// Stands for a special token in the text of an answer; no UTF-8 has this byte.
constexpr char kMark = '\xff';

// The learned tokens of a sample and where they lie in the text that they make.
struct Learned {
  struct Token {
    TokenId id;
    size_t begin, end;
    bool is_mark;
  };
  std::string text;
  std::vector<Token> tokens;

  Learned(const Sample& sample, const Tokenizer& tokenizer) {
    for (const TokenId id : sample.targets) {
      if (id < 0) continue;
      const std::string_view bytes = tokenizer.token_bytes(id);
      const bool is_mark = tokenizer.is_special(id) || bytes.empty();
      const size_t begin = text.size();
      if (is_mark)
        text += kMark;
      else
        text += bytes;
      tokens.push_back({id, begin, text.size(), is_mark});
    }
  }
};

using Masses = std::unordered_map<TokenId, double>;

bool says_something(const Masses& masses) {
  return std::any_of(masses.begin(), masses.end(), [](const auto& m) { return m.second > 0; });
}

// The k likeliest, and all else as the rest, which is never nothing: a divergence would be
// infinite.
void append_row(TeacherRows& rows, const Masses& masses, int64_t k) {
  constexpr double kLeast = 1e-6;
  std::vector<std::pair<TokenId, double>> kept;
  for (const auto& [id, p] : masses)
    if (p > 0) kept.emplace_back(id, p);
  const auto n = std::min<size_t>(kept.size(), static_cast<size_t>(k));
  std::partial_sort(kept.begin(), kept.begin() + static_cast<ptrdiff_t>(n), kept.end(),
                    [](const auto& a, const auto& b) {
                      return a.second != b.second ? a.second > b.second : a.first < b.first;
                    });
  kept.resize(n);
  std::sort(kept.begin(), kept.end());
  double sum = 0;
  for (const auto& [id, p] : kept) sum += p;
  const double rest = std::max(1 - sum, kLeast), all = sum + rest;
  for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
    rows.ids.push_back(i < n ? kept[i].first : -1);
    rows.log_probs.push_back(i < n ? static_cast<float>(std::log(kept[i].second / all)) : 0.0f);
  }
  rows.log_rest.push_back(static_cast<float>(std::log(rest / all)));
}

}  // namespace

void TokenBridge::append_unknown(TeacherRows& rows, int64_t k) {
  rows.ids.insert(rows.ids.end(), static_cast<size_t>(k), -1);
  rows.log_probs.insert(rows.log_probs.end(), static_cast<size_t>(k), 0.0f);
  rows.log_rest.push_back(std::numeric_limits<float>::quiet_NaN());
}

Sample TokenBridge::reworded(const Sample& theirs, const Sample& own) const {
  const Learned answer(own, *student_);
  const bool ended = !answer.tokens.empty() && answer.tokens.back().is_mark;
  std::string text;
  for (const Learned::Token& token : answer.tokens)
    if (!token.is_mark) text += student_->token_bytes(token.id);
  const auto begin = static_cast<ptrdiff_t>(answer_begin(theirs));
  Sample sample;
  sample.ids.assign(theirs.ids.begin(), theirs.ids.begin() + begin);
  for (const TokenId id : teacher_->encode(text, {.add_special = false, .parse_special = false}))
    sample.ids.push_back(id);
  if (ended) sample.ids.push_back(theirs.ids[answer_end(theirs) - 1]);
  sample.targets.assign(sample.ids.size(), -1);
  for (size_t i = static_cast<size_t>(begin); i < sample.ids.size(); ++i)
    sample.targets[i - 1] = sample.ids[i];
  return sample;
}

TokenBridge::TokenBridge(std::shared_ptr<const Tokenizer> student,
                         std::shared_ptr<const Tokenizer> teacher, int64_t vocabulary)
    : student_(std::move(student)), teacher_(std::move(teacher)) {
  for (TokenId v = 0; v < teacher_->vocab_size(); ++v) {
    begins_.push_back(spellings_.size());
    std::vector<TokenId> spelled = spell(v);
    if (std::any_of(spelled.begin(), spelled.end(), [&](TokenId id) { return id >= vocabulary; }))
      spelled.clear();
    spellings_.insert(spellings_.end(), spelled.begin(), spelled.end());
  }
  begins_.push_back(spellings_.size());
}

std::vector<TokenId> TokenBridge::spell(TokenId teacher) const {
  if (teacher_->is_special(teacher)) {
    const TokenId same = student_->id_of(teacher_->token_text(teacher));
    if (same >= 0 && student_->is_special(same)) return {same};
    const auto &mine = student_->eos_ids(), &theirs = teacher_->eos_ids();
    const bool ends = std::find(theirs.begin(), theirs.end(), teacher) != theirs.end();
    return ends && !mine.empty() ? std::vector<TokenId>{mine.front()} : std::vector<TokenId>{};
  }
  const std::string text(teacher_->token_bytes(teacher));
  std::vector<TokenId> ids = student_->encode(text, {.add_special = false, .parse_special = false});
  std::string read;
  for (const TokenId id : ids) read += student_->token_bytes(id);
  // Part of a character, or a space that an encoder puts in front of a text: no spelling.
  if (read != text) ids.clear();
  return ids;
}

std::span<const TokenId> TokenBridge::spelling(TokenId teacher) const {
  const auto v = static_cast<size_t>(teacher);
  if (teacher < 0 || v + 1 >= begins_.size()) return {};  // a row of padding
  return std::span(spellings_).subspan(begins_[v], begins_[v + 1] - begins_[v]);
}

TeacherRows TokenBridge::translate(const Sample& student, const Sample& teacher,
                                   const TeacherRows& said, int64_t said_k, int64_t k) const {
  const Learned mine(student, *student_), theirs(teacher, *teacher_);
  SLLM_CHECK(theirs.tokens.size() == said.log_rest.size(), "bridge: {} rows of {} learned tokens",
             said.log_rest.size(), theirs.tokens.size());
  const size_t common = static_cast<size_t>(
      std::mismatch(mine.text.begin(), mine.text.end(), theirs.text.begin(), theirs.text.end())
          .first -
      mine.text.begin());
  // f(token, spelling, probability) of what the teacher keeps of its row j. Where it says that the
  // answer ends as this one does, the student's own token for that is meant.
  const auto each = [&](size_t j, const TokenId& end, auto f) {
    for (int64_t c = 0; c < said_k; ++c) {
      const auto at = j * static_cast<size_t>(said_k) + static_cast<size_t>(c);
      const TokenId v = said.ids[at];
      if (v < 0) continue;
      const bool ends = end >= 0 && v == theirs.tokens[j].id;
      f(v, ends ? std::span(&end, 1) : spelling(v), std::exp(double{said.log_probs[at]}));
    }
  };
  // That the teacher's next token is its own one or, where that goes beyond byte `end`, one that
  // agrees with it up to there; 0 where none of those kept does.
  const auto probability = [&](size_t j, size_t end) {
    const Learned::Token& own = theirs.tokens[j];
    const auto text = std::string_view(theirs.text).substr(own.begin, end - own.begin);
    double p = 0;
    each(j, -1, [&](TokenId v, auto, double q) {
      if (own.end <= end ? v == own.id : teacher_->token_bytes(v).starts_with(text)) p += q;
    });
    return p;
  };

  TeacherRows rows;
  size_t j = 0;       // the teacher's token that holds the byte where the student's begins
  size_t anchor = 0;  // the student's token that began where token j does
  for (size_t i = 0; i < mine.tokens.size(); ++i) {
    const Learned::Token& token = mine.tokens[i];
    while (j < theirs.tokens.size() && theirs.tokens[j].end <= token.begin) ++j;
    if (token.begin > common || j == theirs.tokens.size()) {
      append_unknown(rows, k);
      continue;
    }
    const Learned::Token& other = theirs.tokens[j];
    const TokenId end = token.is_mark && other.is_mark ? token.id : -1;
    Masses masses;
    if (other.begin == token.begin) {
      anchor = i;
      TokenId first = -1;
      each(j, end, [&](TokenId v, std::span<const TokenId> spelled, double p) {
        if (spelled.empty()) return;
        masses[spelled[0]] += p;
        if (v == other.id) first = spelled[0];
      });
      bool known = true;
      if (other.end < token.end && token.end <= common) {
        double product = 1;
        for (size_t m = j; m < theirs.tokens.size() && theirs.tokens[m].begin < token.end; ++m)
          product *= probability(m, token.end);
        known = product > 0;
        if (known && first != token.id) {
          if (first >= 0) masses[first] = std::max(masses[first] - product, 0.0);
          masses[token.id] += product;
        }
      }
      known = known && says_something(masses);  // or nothing that it says can be spelled
      known ? append_row(rows, masses, k) : append_unknown(rows, k);
      continue;
    }
    // Inside of the teacher's token, if its spelling is what the student has said since it began.
    const size_t before = i - anchor;
    const auto begins_so = [&](std::span<const TokenId> spelled) {
      if (spelled.size() < before) return false;
      for (size_t d = 0; d < before; ++d)
        if (spelled[d] != mine.tokens[anchor + d].id) return false;
      return true;
    };
    double all = 0;
    if (mine.tokens[anchor].begin == other.begin && begins_so(spelling(other.id)))
      each(j, -1, [&](TokenId, std::span<const TokenId> spelled, double p) {
        if (!begins_so(spelled)) return;
        all += p;
        if (spelled.size() > before) masses[spelled[before]] += p;
      });
    if (all > 0 && says_something(masses)) {
      for (auto& [id, p] : masses) p /= all;
      append_row(rows, masses, k);
    } else {
      append_unknown(rows, k);
    }
  }
  return rows;
}

}  // namespace sllm
