// Counts of pairs are kept up to date word by word: a merge touches only the words that hold its
// pair, and the next pair comes from a heap whose entries are checked when they come up.
#include "text/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include "text/byte_level.h"
#include "text/tokenizer_spec.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using Symbol = uint32_t;
using Pair = uint64_t;  // left << 32 | right: in the order in which ties are broken

constexpr Pair pair_of(Symbol left, Symbol right) { return Pair{left} << 32 | right; }
constexpr Symbol left_of(Pair pair) { return static_cast<Symbol>(pair >> 32); }
constexpr Symbol right_of(Pair pair) { return static_cast<Symbol>(pair); }

// A pair that may become a token, and the words that held it when it was counted.
struct Candidate {
  uint64_t count;
  Pair pair;
  std::vector<uint32_t> words;
};
// priority_queue takes the greatest first.
struct ComesLater {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.count != b.count ? a.count < b.count : a.pair > b.pair;
  }
};

class BpeTrainer {
 public:
  BpeTrainer(const BpeTraining& training, const ProgressSink& progress)
      : training_(training), progress_(progress) {}

  Result<TrainedBpe> train(const WordCounts& words) {
    SLLM_OK(add_first_tokens());
    read_words(words);
    count_pairs();
    SLLM_OK(merge_pairs());
    for (size_t w = 0; w < counts_.size(); ++w) result_.words_as_tokens += counts_[w] * lengths_[w];
    return std::move(result_);
  }

 private:
  Symbol id_of(const std::string& token) {
    const auto [at, fresh] = ids_.try_emplace(token, static_cast<Symbol>(result_.tokens.size()));
    if (fresh) result_.tokens.push_back(token);
    return at->second;
  }

  Status add_first_tokens() {
    for (const std::string& token : training_.first_tokens) id_of(token);
    std::vector<std::pair<char32_t, uint8_t>> alphabet;
    for (int byte = 0; byte < 256; ++byte) {
      const char raw = static_cast<char>(byte);
      const std::string shown = token_text_of_bytes({&raw, 1});
      alphabet.emplace_back(unicode::decode(shown.data()).code, static_cast<uint8_t>(byte));
    }
    std::ranges::sort(alphabet);
    for (const auto& [code, byte] : alphabet) {
      std::string shown;
      unicode::append_utf8(shown, code);
      symbol_of_byte_[byte] = id_of(shown);
    }
    if (result_.tokens.size() > training_.vocab_size)
      return usage_error(
          "a vocabulary of {} tokens has no room for 256 bytes and {} special tokens; expected {} "
          "or more",
          training_.vocab_size, training_.first_tokens.size(), result_.tokens.size());
    return ok();
  }

  void read_words(const WordCounts& words) {
    const std::vector<WordCount> sorted = words.sorted();
    for (const auto& [word, count] : sorted) {
      begins_.push_back(symbols_.size());
      lengths_.push_back(static_cast<uint32_t>(word.size()));
      counts_.push_back(count);
      for (const char byte : word) symbols_.push_back(symbol_of_byte_[static_cast<uint8_t>(byte)]);
    }
  }

  // At first only bytes stand side by side, so a table of their pairs will do.
  void count_pairs() {
    std::vector<Candidate> pairs(256 * 256);
    std::vector<size_t> byte_of(result_.tokens.size());
    for (size_t byte = 0; byte < 256; ++byte) byte_of[symbol_of_byte_[byte]] = byte;
    for (uint32_t w = 0; w < counts_.size(); ++w)
      for (size_t i = begins_[w]; i + 1 < begins_[w] + lengths_[w]; ++i) {
        Candidate& c = pairs[byte_of[symbols_[i]] * 256 + byte_of[symbols_[i + 1]]];
        c.pair = pair_of(symbols_[i], symbols_[i + 1]);
        c.count += counts_[w];
        if (c.words.empty() || c.words.back() != w) c.words.push_back(w);
      }
    for (Candidate& c : pairs) {
      if (c.count == 0) continue;
      pair_counts_[c.pair] = static_cast<int64_t>(c.count);
      queue_.push(std::move(c));
    }
  }

  Candidate pop() {
    Candidate top = std::move(const_cast<Candidate&>(queue_.top()));  // it leaves the queue at once
    queue_.pop();
    return top;
  }

  Status merge_pairs() {
    while (result_.tokens.size() < training_.vocab_size && !queue_.empty()) {
      Candidate best = pop();
      const int64_t count = pair_counts_[best.pair];
      if (count != static_cast<int64_t>(best.count)) {  // merges have taken some away since
        best.count = static_cast<uint64_t>(std::max<int64_t>(count, 0));
        queue_.push(std::move(best));
        continue;
      }
      if (best.count < std::max<uint64_t>(training_.min_frequency, 1)) break;
      const std::string &left = result_.tokens[left_of(best.pair)],
                        &right = result_.tokens[right_of(best.pair)];
      if (left.size() + right.size() > kMaxTokenBytes) continue;  // no reader would take it
      result_.merges.emplace_back(left, right);
      merge(best, id_of(left + right));
      if (result_.merges.size() % 64 == 0) SLLM_OK(report());
    }
    return report();
  }

  void merge(const Candidate& best, Symbol merged) {
    fresh_ = {};
    for (const uint32_t w : best.words) merge_in_word(w, best.pair, merged);
    for (auto& [pair, words] : fresh_)
      if (const int64_t count = pair_counts_[pair]; count > 0)
        queue_.push({static_cast<uint64_t>(count), pair, std::move(words)});
  }

  void merge_in_word(uint32_t w, Pair pair, Symbol merged) {
    const Symbol left = left_of(pair), right = right_of(pair);
    const auto count = static_cast<int64_t>(counts_[w]);
    const auto lose = [&](Symbol a, Symbol b) { pair_counts_[pair_of(a, b)] -= count; };
    const auto gain = [&](Symbol a, Symbol b) {
      pair_counts_[pair_of(a, b)] += count;
      std::vector<uint32_t>& words = fresh_[pair_of(a, b)];
      if (words.empty() || words.back() != w) words.push_back(w);
    };
    Symbol* const word = symbols_.data() + begins_[w];
    const size_t length = lengths_[w];
    size_t out = 0;
    for (size_t i = 0; i < length;) {
      if (i + 1 == length || word[i] != left || word[i + 1] != right) {
        word[out++] = word[i++];
        continue;
      }
      if (out > 0) lose(word[out - 1], left), gain(word[out - 1], merged);
      if (i + 2 < length) lose(right, word[i + 2]), gain(merged, word[i + 2]);
      word[out++] = merged;
      i += 2;
    }
    lengths_[w] = static_cast<uint32_t>(out);
  }

  Status report() const {
    if (progress_)
      progress_({"merging", "tokens", result_.tokens.size(), training_.vocab_size, {}});
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while merging");
    return ok();
  }

  const BpeTraining& training_;
  const ProgressSink& progress_;
  TrainedBpe result_;
  std::unordered_map<std::string, Symbol> ids_;
  std::array<Symbol, 256> symbol_of_byte_{};
  // The words, one behind the other; each shrinks in its place.
  std::vector<Symbol> symbols_;
  std::vector<size_t> begins_;
  std::vector<uint32_t> lengths_;
  std::vector<uint64_t> counts_;
  std::unordered_map<Pair, int64_t> pair_counts_;
  std::priority_queue<Candidate, std::vector<Candidate>, ComesLater> queue_;
  std::unordered_map<Pair, std::vector<uint32_t>> fresh_;  // what a merge has brought side by side
};

}  // namespace

Result<TrainedBpe> train_bpe(const WordCounts& words, const BpeTraining& training,
                             const ProgressSink& progress) {
  return BpeTrainer(training, progress).train(words);
}

}  // namespace sllm
