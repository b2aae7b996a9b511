// How often each word occurs in the texts that a vocabulary is trained on. Only the different words
// are held, so the texts may be larger than memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace sllm {

struct WordCount {
  std::string_view word;
  uint64_t count = 0;
};

// Words and their counts in two flat arrays: an entry takes its bytes and 24 more.
class WordCounts {
 public:
  void add(std::string_view word, uint64_t count);
  size_t size() const { return used_; }
  uint64_t total() const { return total_; }        // of all words, repeated ones too
  uint64_t total_bytes() const { return bytes_; }  // likewise
  // In the order of their bytes; views into this object.
  std::vector<WordCount> sorted() const;
  void add_all(const WordCounts& other);

 private:
  struct Slot {
    uint64_t from = 0;
    uint64_t count = 0;  // 0: free
    uint32_t size = 0;
    uint32_t tag = 0;  // upper half of the hash
  };
  void insert(std::string_view word, uint64_t hash, uint64_t count);
  void grow();
  std::string_view word(const Slot& slot) const {
    return std::string_view(text_).substr(slot.from, slot.size);
  }
  std::vector<Slot> slots_;
  std::string text_;
  size_t used_ = 0;
  uint64_t total_ = 0, bytes_ = 0;
};

class WordCounter {
 public:
  // Errors: those of Normalizer::build and PreTokenizer::build.
  static Result<WordCounter> build(const std::vector<NormalizerStep>& normalizers,
                                   const std::vector<PreTokenizerStep>& pre_tokenizer,
                                   ThreadPool& pool);
  // Counts the words of one text (valid UTF-8), sooner or later: texts are counted together, by all
  // threads. Errors: kBadInput for a text on which a pattern does not end.
  Status add(std::string_view text);
  // The counts of all texts, the same for any number of threads.
  Result<WordCounts> finish();
  uint64_t text_bytes() const { return text_bytes_; }

 private:
  explicit WordCounter(ThreadPool& pool) : pool_(&pool) {}
  Status count_waiting();
  void count(std::string_view text, WordCounts& counts) const;

  ThreadPool* pool_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::string waiting_;
  std::vector<size_t> ends_;         // of the texts in waiting_
  std::vector<WordCounts> counted_;  // by thread
  uint64_t text_bytes_ = 0;
};

}  // namespace sllm
