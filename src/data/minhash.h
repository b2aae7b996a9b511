// Near duplicates by MinHash (Broder 1997) over character 5-grams. Hangul is taken apart into
// letters (jamo) first, so that a particle's change weighs in Korean what an ending's does in
// English.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sllm {

// The set of hashed 5-grams of the folded text (NFKD, lower case, runs of space as one), sorted.
// A shorter text is one gram; an empty one has none.
using ShingleSet = std::vector<uint32_t>;
ShingleSet shingles(std::string_view text);
double jaccard(const ShingleSet& a, const ShingleSet& b);  // 1 for two empty sets

constexpr size_t kMinHashes = 128;
using MinHash = std::array<uint32_t, kMinHashes>;
MinHash min_hash(const ShingleSet& set);

// Finds earlier texts that may be at least `threshold` similar: at the threshold, more than 99.9 %
// of them. Callers check the candidates' jaccard().
class MinHashTable {
 public:
  explicit MinHashTable(double threshold);
  // Ids whose signature shares a band with this one, each once, ascending.
  std::vector<uint32_t> candidates(const MinHash& hash) const;
  void insert(const MinHash& hash, uint32_t id);

 private:
  uint64_t band_key(const MinHash& hash, size_t band) const;
  size_t bands_, rows_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> buckets_;
};

}  // namespace sllm
