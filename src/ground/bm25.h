// BM25 (Robertson and Zaragoza 2009), with rare terms weighing more than in the textbook.
#pragma once

#include <algorithm>
#include <cmath>

namespace sllm {

// Rarity of a term that `holders` of `documents` hold; never negative.
inline double inverse_document_frequency(double documents, double holders) {
  return std::log(1 + std::max(0.0, documents - holders + 0.5) / (holders + 0.5));
}

class Bm25 {
 public:
  // `relative_length`: the document's length over the mean length.
  explicit Bm25(double relative_length) : norm_(kK1 * (1 - kB + kB * relative_length)) {}
  // What `count` occurrences count for; approaches kK1 + 1.
  double saturated(double count) const { return count * (kK1 + 1) / (count + norm_); }
  double score(double rarity, double count) const { return weight(rarity) * saturated(count); }
  static double weight(double rarity) { return std::pow(rarity, kRarityPower); }

 private:
  static constexpr double kK1 = 1.2, kB = 0.5, kRarityPower = 1.3;
  double norm_;
};

}  // namespace sllm
