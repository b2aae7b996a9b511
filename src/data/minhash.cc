// MinHash signatures with multiply-shift hashing, and banded lookup.
#include "data/minhash.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "text/unicode.h"

namespace sllm {
namespace {

constexpr size_t kGram = 5;

// Final mixer of MurmurHash3, so that close inputs get unrelated hashes.
uint32_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return static_cast<uint32_t>(x >> 32);
}

std::vector<uint32_t> folded(std::string_view text) {
  const std::string_view start = text.substr(0, unicode::kMaxNormalized);
  const std::string decomposed =
      unicode::normalize(unicode::Form::kNfkd, unicode::sanitize_utf8(start));
  std::vector<uint32_t> out;
  out.reserve(decomposed.size());
  for (int32_t i = 0, n = static_cast<int32_t>(decomposed.size()); i < n;) {
    UChar32 c;
    U8_NEXT(decomposed.data(), i, n, c);
    if (c < 0) c = 0xFFFD;
    if (u_isUWhiteSpace(c)) c = ' ';
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out.push_back(static_cast<uint32_t>(u_foldCase(c, U_FOLD_CASE_DEFAULT)));
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

struct Multipliers {
  std::array<uint32_t, kMinHashes> a, b;
  Multipliers() {
    uint64_t state = 0x9e3779b97f4a7c15ULL;
    const auto next = [&] { return mix(state += 0x9e3779b97f4a7c15ULL); };
    for (size_t i = 0; i < kMinHashes; ++i) a[i] = next() | 1, b[i] = next();
  }
};

}  // namespace

ShingleSet shingles(std::string_view text) {
  const std::vector<uint32_t> letters = folded(text);
  ShingleSet set;
  if (letters.empty()) return set;
  const size_t n = std::min(letters.size(), kGram);
  for (size_t i = 0; i + n <= letters.size(); ++i) {
    uint64_t h = 0;
    for (size_t k = 0; k < n; ++k) h = h * 0x100000001b3ULL + letters[i + k] + 1;
    set.push_back(mix(h));
  }
  std::ranges::sort(set);
  set.erase(std::unique(set.begin(), set.end()), set.end());
  return set;
}

double jaccard(const ShingleSet& a, const ShingleSet& b) {
  if (a.empty() && b.empty()) return 1;
  size_t common = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    common += *x == *y;
    if (*x < *y)
      ++x;
    else if (*y < *x)
      ++y;
    else
      ++x, ++y;
  }
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

MinHash min_hash(const ShingleSet& set) {
  static const Multipliers kHash;
  MinHash out;
  out.fill(UINT32_MAX);
  for (const uint32_t x : set)
    for (size_t i = 0; i < kMinHashes; ++i) out[i] = std::min(out[i], kHash.a[i] * x + kHash.b[i]);
  return out;
}

MinHashTable::MinHashTable(double threshold) : bands_(kMinHashes), rows_(1) {
  // The widest bands (fewest false candidates) that still miss at most one in a thousand.
  for (size_t rows = 2; rows <= 16; ++rows) {
    const size_t bands = kMinHashes / rows;
    const double match = std::pow(threshold, static_cast<double>(rows));
    if (std::pow(1 - match, static_cast<double>(bands)) > 1e-3) break;
    rows_ = rows, bands_ = bands;
  }
}

uint64_t MinHashTable::band_key(const MinHash& hash, size_t band) const {
  uint64_t key = band + 1;
  for (size_t i = 0; i < rows_; ++i)
    key = (key ^ hash[band * rows_ + i]) * 0x9ddfea08eb382d69ULL, key ^= key >> 29;
  return key;
}

std::vector<uint32_t> MinHashTable::candidates(const MinHash& hash) const {
  std::vector<uint32_t> ids;
  for (size_t band = 0; band < bands_; ++band)
    if (const auto it = buckets_.find(band_key(hash, band)); it != buckets_.end())
      ids.insert(ids.end(), it->second.begin(), it->second.end());
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void MinHashTable::insert(const MinHash& hash, uint32_t id) {
  for (size_t band = 0; band < bands_; ++band) buckets_[band_key(hash, band)].push_back(id);
}

}  // namespace sllm
