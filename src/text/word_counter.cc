#include "text/word_counter.h"

#include <algorithm>
#include <atomic>

#include "base/check.h"
#include "text/word_table.h"

namespace sllm {
namespace {

constexpr size_t kWaitingBytes = size_t{4} << 20;  // for each thread
constexpr size_t kFirstSlots = size_t{1} << 12;

}  // namespace

void WordCounts::insert(std::string_view word, uint64_t hash, uint64_t count) {
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (; slots_[at].count > 0; at = (at + 1) & mask) {
    Slot& slot = slots_[at];
    if (slot.tag != tag || this->word(slot) != word) continue;
    slot.count += count;
    return;
  }
  slots_[at] = {text_.size(), count, static_cast<uint32_t>(word.size()), tag};
  text_ += word;
  ++used_;
}

void WordCounts::grow() {
  std::vector<Slot> old(std::max(kFirstSlots, 2 * slots_.size()));
  std::swap(old, slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.count == 0) continue;
    size_t at = hash_bytes(word(slot)) & mask;
    while (slots_[at].count > 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

void WordCounts::add(std::string_view word, uint64_t count) {
  if (word.empty() || count == 0) return;
  SLLM_CHECK(word.size() <= UINT32_MAX, "a word of {} bytes", word.size());
  if (4 * (used_ + 1) > 3 * slots_.size()) grow();
  insert(word, hash_bytes(word), count);
  total_ += count;
  bytes_ += count * word.size();
}

void WordCounts::add_all(const WordCounts& other) {
  for (const Slot& slot : other.slots_)
    if (slot.count > 0) add(other.word(slot), slot.count);
}

std::vector<WordCount> WordCounts::sorted() const {
  std::vector<WordCount> words;
  words.reserve(used_);
  for (const Slot& slot : slots_)
    if (slot.count > 0) words.push_back({word(slot), slot.count});
  std::ranges::sort(words, {}, &WordCount::word);
  return words;
}

Result<WordCounter> WordCounter::build(const std::vector<NormalizerStep>& normalizers,
                                       const std::vector<PreTokenizerStep>& pre_tokenizer,
                                       ThreadPool& pool) {
  WordCounter counter(pool);
  SLLM_TRY(counter.normalizer_, Normalizer::build(normalizers));
  SLLM_TRY(counter.pre_tokenizer_, PreTokenizer::build(pre_tokenizer));
  counter.counted_.resize(static_cast<size_t>(pool.size()));
  return counter;
}

void WordCounter::count(std::string_view text, WordCounts& counts) const {
  TextBudget budget(text.size(), normalizer_.step_count() + pre_tokenizer_.step_count());
  Normalizer::Buffers buffers;
  const Piece piece = normalizer_.apply({text, 0, nullptr, &budget}, false, buffers);
  pre_tokenizer_.split(piece, false, [&](const Piece& word) { counts.add(word.text, 1); });
}

Status WordCounter::count_waiting() {
  std::atomic<size_t> next{0};
  try {
    pool_->run([&](int thread) {
      WordCounts& counts = counted_[static_cast<size_t>(thread)];
      for (size_t i; (i = next.fetch_add(1)) < ends_.size();) {
        const size_t from = i ? ends_[i - 1] : 0;
        count(std::string_view(waiting_).substr(from, ends_[i] - from), counts);
      }
    });
  } catch (const ResultError& e) {
    return Error(e.error);
  }
  waiting_.clear();
  ends_.clear();
  return ok();
}

Status WordCounter::add(std::string_view text) {
  text_bytes_ += text.size();
  waiting_ += text;
  ends_.push_back(waiting_.size());
  return waiting_.size() < kWaitingBytes * counted_.size() ? ok() : count_waiting();
}

Result<WordCounts> WordCounter::finish() {
  SLLM_OK(count_waiting());
  WordCounts all = std::move(counted_[0]);
  for (size_t i = 1; i < counted_.size(); ++i) {
    all.add_all(counted_[i]);
    counted_[i] = {};
  }
  counted_[0] = {};
  return all;
}

}  // namespace sllm
