#include "text/unigram_trainer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <unordered_set>

#include "text/repeated_substrings.h"
#include "text/unicode.h"
#include "text/unigram_lattice.h"

namespace sllm {
namespace {

constexpr size_t kShards = 16;  // sums run over the words of each, then over these: in an order
                                // that the number of threads does not change
constexpr int kRoundsOfEm = 2;  // between two rounds of pruning
constexpr double kLeastExpected = .5;  // pieces that are expected more rarely are dropped
constexpr double kSpare = 1.1;         // pruning ends with so many times the pieces that are wanted
constexpr double kScoreStep = 1e-4;    // between characters that only coverage keeps

// The logarithmic derivative of the gamma function (Abramowitz and Stegun 6.3.5, 6.3.18).
double digamma(double x) {
  double sum = 0;
  for (; x < 7; ++x) sum -= 1 / x;
  const double y = 1 / (x * x);
  return sum + std::log(x) - 0.5 / x -
         y * (1. / 12 - y * (1. / 120 - y * (1. / 252 - y * (1. / 240 - y / 132))));
}

class UnigramTrainer {
 public:
  UnigramTrainer(const UnigramTraining& training, ThreadPool& pool, const ProgressSink& progress)
      : training_(training), pool_(pool), progress_(progress) {}

  Result<TrainedUnigram> train(const WordCounts& words) {
    choose_characters(words);
    SLLM_OK(check_room());
    cut_at_uncovered(words);
    seed();
    SLLM_OK(report());
    for (;;) {
      for (int round = 0; round < kRoundsOfEm; ++round) {
        maximise(expected_counts());
        SLLM_OK(report());
      }
      const auto enough = static_cast<size_t>(kSpare * static_cast<double>(wanted_));
      if (pieces_.size() <= enough) break;
      prune(enough);
      SLLM_OK(report());
    }
    return finish();
  }

 private:
  // The most frequent characters that make up `coverage` of the text.
  void choose_characters(const WordCounts& words) {
    std::map<std::string_view, uint64_t> counts;
    uint64_t all = 0, covered = 0;
    for (const auto& [word, count] : words_ = words.sorted())
      for (size_t at = 0; at < word.size();) {
        const size_t length = unicode::decode(word.data() + at).length;
        counts[word.substr(at, length)] += count;
        all += count;
        at += length;
      }
    std::vector<std::pair<std::string_view, uint64_t>> sorted(counts.begin(), counts.end());
    std::ranges::stable_sort(sorted, std::greater(),
                             &std::pair<std::string_view, uint64_t>::second);
    for (const auto& [character, count] : sorted) {
      if (static_cast<double>(covered) >= training_.coverage * static_cast<double>(all)) break;
      covered += count;
      characters_.emplace_back(character, count);
    }
  }

  Status check_room() {
    const size_t fixed = training_.first_tokens.size() + (training_.byte_fallback ? 256 : 0);
    if (training_.vocab_size < fixed + characters_.size())
      return usage_error(
          "a vocabulary of {} tokens has no room for {} different characters and {} other tokens "
          "that it must hold; expected {} or more, or less coverage",
          training_.vocab_size, characters_.size(), fixed, fixed + characters_.size());
    wanted_ = training_.vocab_size - fixed;
    return ok();
  }

  // What stands between characters that no piece will hold is a word of its own.
  void cut_at_uncovered(const WordCounts& words) {
    std::unordered_set<std::string_view> covered;
    for (const auto& [character, count] : characters_) covered.insert(character);
    for (const auto& [word, count] : words.sorted()) {
      size_t begin = 0;
      for (size_t at = 0; at < word.size();) {
        const size_t length = unicode::decode(word.data() + at).length;
        if (!covered.contains(word.substr(at, length))) {
          covered_.add(word.substr(begin, at - begin), count);
          begin = at + length;
        }
        at += length;
      }
      covered_.add(word.substr(begin), count);
    }
    words_ = covered_.sorted();
  }

  // Characters, and the repeated substrings that cover most of the text.
  void seed() {
    std::vector<RepeatedSubstring> found = repeated_substrings(words_, training_.longest);
    const auto covers_more = [](const RepeatedSubstring& a, const RepeatedSubstring& b) {
      const uint64_t x = a.count * a.characters, y = b.count * b.characters;
      return x != y ? x > y : a.text < b.text;
    };
    const size_t room = training_.seeds - std::min(training_.seeds, characters_.size());
    if (found.size() > room) {
      std::ranges::nth_element(found, found.begin() + static_cast<ptrdiff_t>(room), covers_more);
      found.resize(room);
    }
    std::ranges::sort(found, {}, &RepeatedSubstring::text);
    double sum = 0;
    for (const auto& [character, count] : characters_)
      pieces_.add(character, static_cast<double>(count));
    for (const RepeatedSubstring& s : found)
      pieces_.add(s.text, static_cast<double>(s.count * s.characters));
    for (const double score : pieces_.scores) sum += score;
    for (double& score : pieces_.scores) score = std::log(score / sum);
    seeded_ = pieces_.size();
  }

  // Calls work(shard, word, lattice) for every word, each shard's in order; and returns the shards'
  // sums, which `work` adds up in sums[shard].
  template <class Work>
  std::vector<double> sum_over_words(Work&& work) {
    const ByteTrie trie = pieces_.trie();
    std::vector<std::vector<double>> sums(kShards);
    std::atomic<size_t> next{0};
    pool_.run([&](int) {
      UnigramLattice lattice(pieces_, trie);
      for (size_t shard; (shard = next.fetch_add(1)) < kShards;) {
        sums[shard].assign(pieces_.size(), 0);
        const size_t from = words_.size() * shard / kShards;
        const size_t to = words_.size() * (shard + 1) / kShards;
        for (size_t w = from; w < to; ++w) work(words_[w], lattice, sums[shard]);
      }
    });
    for (size_t shard = 1; shard < kShards; ++shard)
      for (size_t i = 0; i < pieces_.size(); ++i) sums[0][i] += sums[shard][i];
    return std::move(sums[0]);
  }

  std::vector<double> expected_counts() {
    return sum_over_words(
        [](const WordCount& w, UnigramLattice& lattice, std::vector<double>& sum) {
          lattice.add_expected(w.word, static_cast<double>(w.count), sum);
        });
  }
  std::vector<double> counts_in_best_cuts() {
    return sum_over_words(
        [](const WordCount& w, UnigramLattice& lattice, std::vector<double>& sum) {
          for (const int32_t piece : lattice.best_cut(w.word))
            if (piece != UnigramLattice::kUnknown)
              sum[static_cast<size_t>(piece)] += static_cast<double>(w.count);
        });
  }

  // Not log(count / sum) but the mean of log p under a sparse prior (Liang et al. 2009,
  // "Variational Inference for PCFGs"): rare pieces become rarer.
  void maximise(const std::vector<double>& expected) {
    UnigramPieces kept;
    double sum = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (expected[i] < kLeastExpected) continue;
      kept.add(pieces_.texts[i], expected[i]);
      sum += expected[i];
    }
    if (kept.size() == 0) return;  // so short a text that nothing is expected half a time
    const double log_sum = digamma(sum);
    for (double& score : kept.scores) score = digamma(score) - log_sum;
    pieces_ = std::move(kept);
  }

  // For each piece, the pieces that would stand in its place; empty: nothing else can.
  std::vector<std::vector<int32_t>> alternatives() {
    const ByteTrie trie = pieces_.trie();
    std::vector<std::vector<int32_t>> instead(pieces_.size());
    pool_.parallel_for(static_cast<int64_t>(pieces_.size()), 1024, [&](int64_t from, int64_t to) {
      UnigramLattice lattice(pieces_, trie);
      for (int64_t i = from; i < to; ++i)
        instead[static_cast<size_t>(i)] =
            lattice.best_cut(pieces_.texts[static_cast<size_t>(i)], static_cast<int32_t>(i));
    });
    return instead;
  }

  // Drops the pieces without which the likelihood of the likeliest cuts falls least.
  void prune(size_t enough) {
    const std::vector<double> counts = counts_in_best_cuts();
    const std::vector<std::vector<int32_t>> instead = alternatives();
    double sum = 0;
    for (const double count : counts) sum += count;
    struct Candidate {
      double loss;
      size_t piece;
    };
    std::vector<bool> keep(pieces_.size(), false);
    std::vector<Candidate> candidates;
    size_t kept = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (instead[i].empty()) {
        keep[i] = true;
        ++kept;
        continue;
      }
      if (counts[i] == 0) continue;  // no cut would miss it
      const double log_other =
          std::log(sum + counts[i] * static_cast<double>(instead[i].size() - 1));
      double other = 0;
      for (const int32_t piece : instead[i]) {
        const double there = piece < 0 ? 0 : counts[static_cast<size_t>(piece)];
        other += std::log(there + counts[i]) - log_other;
      }
      candidates.push_back({counts[i] / sum * (std::log(counts[i] / sum) - other), i});
    }
    const auto share = training_.kept_each_time * static_cast<double>(pieces_.size());
    const size_t target = std::max(enough, static_cast<size_t>(share));
    std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
      return a.loss != b.loss ? a.loss > b.loss : a.piece < b.piece;
    });
    for (const Candidate& c : candidates) {
      if (kept >= target) break;
      keep[c.piece] = true;
      ++kept;
    }
    UnigramPieces left;
    for (size_t i = 0; i < pieces_.size(); ++i)
      if (keep[i]) left.add(pieces_.texts[i], pieces_.scores[i]);
    pieces_ = std::move(left);
  }

  // The characters, and the likeliest other pieces as long as there is room.
  TrainedUnigram finish() const {
    std::map<std::string_view, double> scores;
    for (size_t i = 0; i < pieces_.size(); ++i) scores[pieces_.texts[i]] = pieces_.scores[i];
    const double least = std::ranges::min(pieces_.scores);
    std::vector<std::pair<double, std::string_view>> chosen;
    size_t missing = 0;
    for (const auto& [character, count] : characters_) {
      const auto known = scores.find(character);
      if (known == scores.end()) {
        chosen.emplace_back(least + kScoreStep * static_cast<double>(missing++), character);
      } else {
        chosen.emplace_back(known->second, character);
        scores.erase(known);
      }
    }
    const auto likelier = [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    };
    std::vector<std::pair<double, std::string_view>> others;
    for (const auto& [text, score] : scores) others.emplace_back(score, text);
    std::ranges::sort(others, likelier);
    others.resize(std::min(others.size(), wanted_ - chosen.size()));
    chosen.insert(chosen.end(), others.begin(), others.end());
    std::ranges::sort(chosen, likelier);

    TrainedUnigram trained;
    for (const std::string& token : training_.first_tokens) {
      trained.tokens.push_back(token);
      trained.scores.push_back(0);
    }
    // So unlikely that no text which looks like the name of a byte becomes one.
    for (int byte = 0; training_.byte_fallback && byte < 256; ++byte) {
      trained.tokens.push_back(fmt::format("<0x{:02X}>", byte));
      trained.scores.push_back(least - 100);
    }
    for (const auto& [score, text] : chosen) {
      trained.tokens.emplace_back(text);
      trained.scores.push_back(score);
    }
    return trained;
  }

  Status report() const {
    const size_t now = pieces_.size();
    if (progress_)
      progress_({"pruning", "pieces", seeded_ - now, seeded_ > wanted_ ? seeded_ - wanted_ : 0,
                 fmt::format("{} left", now)});
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while pruning");
    return ok();
  }

  const UnigramTraining& training_;
  ThreadPool& pool_;
  const ProgressSink& progress_;
  std::vector<std::pair<std::string, uint64_t>> characters_;  // that pieces must cover
  WordCounts covered_;
  std::vector<WordCount> words_;  // of covered_
  UnigramPieces pieces_;          // views into characters_ and covered_
  size_t wanted_ = 0, seeded_ = 0;
};

}  // namespace

Result<TrainedUnigram> train_unigram(const WordCounts& words, const UnigramTraining& training,
                                     ThreadPool& pool, const ProgressSink& progress) {
  return UnigramTrainer(training, pool, progress).train(words);
}

}  // namespace sllm
