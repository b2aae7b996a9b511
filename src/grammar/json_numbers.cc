// Numbers of a JSON text between bounds: which digits may stand where.
#include <algorithm>
#include <string>

#include "grammar/json_text.h"

namespace sllm {
namespace {

using Fragment = JsonText::Fragment;

constexpr int kMaxDigits = 16;  // where no bound asks for more, so that a number ends
constexpr uint64_t kMaxNatural = 9'999'999'999'999'999;

uint64_t negated(int64_t negative) { return ~static_cast<uint64_t>(negative) + 1; }

}  // namespace

// Numbers from `low` to `high`, which have as many digits.
Fragment JsonText::digits(std::string_view low, std::string_view high) {
  const auto all = [](std::string_view text, char digit) {
    return text.find_first_not_of(digit) == text.npos;
  };
  const auto any_rest = [&](char from, char to) {
    const auto rest = static_cast<uint32_t>(low.size() - 1);
    return b_.sequence({b_.byte(static_cast<uint8_t>(from), static_cast<uint8_t>(to)),
                        b_.repeat(b_.byte('0', '9'), rest, rest)});
  };
  if (low.empty()) return b_.empty();
  const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
  char from = low[0], to = high[0];
  if (from == to) return b_.sequence({b_.literal(low.substr(0, 1)), digits(low_rest, high_rest)});
  std::vector<Fragment> ways;
  if (!all(low_rest, '0')) {
    const std::string nines(low_rest.size(), '9');
    ways.push_back(b_.sequence({b_.literal(low.substr(0, 1)), digits(low_rest, nines)}));
    ++from;
  }
  if (!all(high_rest, '9')) {
    const std::string zeros(low_rest.size(), '0');
    ways.push_back(b_.sequence({b_.literal(high.substr(0, 1)), digits(zeros, high_rest)}));
    --to;
  }
  if (from <= to) ways.push_back(any_rest(from, to));
  return b_.alternatives(ways);
}

Fragment JsonText::natural(uint64_t min, uint64_t max) {
  if (min > max) return b_.nothing();
  std::vector<Fragment> ways;
  const std::string first = std::to_string(min), last = std::to_string(max);
  for (size_t length = first.size(); length <= last.size(); ++length) {
    std::string low(length, '0'), high(length, '9');
    low[0] = '1';
    if (length == first.size()) low = first;
    if (length == last.size()) high = last;
    ways.push_back(digits(low, high));
  }
  return b_.alternatives(ways);
}

Fragment JsonText::integer(std::optional<int64_t> min, std::optional<int64_t> max) {
  const auto most = static_cast<int64_t>(kMaxNatural);
  const int64_t low = min.value_or(max && *max < -most ? INT64_MIN : -most);
  const int64_t high = max.value_or(min && *min > most ? INT64_MAX : most);
  if (low > high) return b_.nothing();
  std::vector<Fragment> ways;
  if (high >= 0)
    ways.push_back(
        natural(static_cast<uint64_t>(std::max<int64_t>(low, 0)), static_cast<uint64_t>(high)));
  if (low < 0)  // zero has no sign
    ways.push_back(
        b_.sequence({b_.literal("-"), natural(high < 0 ? negated(high) : 1, negated(low))}));
  return b_.alternatives(ways);
}

Fragment JsonText::fraction(Digits kind) {
  if (kind != Digits::kNotZero)
    return b_.sequence({b_.literal("."),
                        b_.repeat(b_.byte('0', kind == Digits::kZero ? '0' : '9'), 1, kMaxDigits)});
  std::vector<Fragment> ways;  // by the zeros in front
  for (uint32_t zeros = 0; zeros < kMaxDigits; ++zeros)
    ways.push_back(b_.sequence({b_.repeat(b_.byte('0', '0'), zeros, zeros), b_.byte('1', '9'),
                                b_.repeat(b_.byte('0', '9'), 0, kMaxDigits - 1 - zeros)}));
  return b_.sequence({b_.literal("."), b_.alternatives(ways)});
}

// From min to max, both not negative.
Fragment JsonText::magnitude(Bound min, Bound max) {
  const auto low = static_cast<uint64_t>(min.value), high = static_cast<uint64_t>(max.value);
  if (low > high || (low == high && (min.exclusive || max.exclusive))) return b_.nothing();
  const auto whole = [&](uint64_t n) { return b_.literal(std::to_string(n)); };
  if (low == high) return b_.sequence({whole(low), b_.optional(fraction(Digits::kZero))});
  std::vector<Fragment> ways;
  const Fragment behind =
      min.exclusive ? fraction(Digits::kNotZero) : b_.optional(fraction(Digits::kAny));
  ways.push_back(b_.sequence({whole(low), behind}));
  if (high - low > 1)
    ways.push_back(b_.sequence({natural(low + 1, high - 1), b_.optional(fraction(Digits::kAny))}));
  if (!max.exclusive)
    ways.push_back(b_.sequence({whole(high), b_.optional(fraction(Digits::kZero))}));
  return b_.alternatives(ways);
}

Fragment JsonText::number(std::optional<Bound> min, std::optional<Bound> max) {
  if (!min && !max)
    return shared(number_, [&] {
      const auto some = [&](uint32_t least, uint32_t most) {
        return b_.repeat(b_.byte('0', '9'), least, most);
      };
      const Fragment whole = b_.alternatives(
          {b_.literal("0"), b_.sequence({b_.byte('1', '9'), some(0, kMaxDigits - 1)})});
      const Fragment exponent =
          b_.sequence({b_.character({{'E', 'E'}, {'e', 'e'}}),
                       b_.optional(b_.character({{'+', '+'}, {'-', '-'}})), some(1, 2)});
      return b_.sequence({b_.optional(b_.literal("-")), whole, b_.optional(fraction(Digits::kAny)),
                          b_.optional(exponent)});
    });
  // A side without a bound has 16 digits at most, or one more than the other side asks for.
  const auto open = [](int64_t beside) {
    return std::max(static_cast<int64_t>(kMaxNatural), 10 * beside) + 1;
  };
  const Bound low = min.value_or(Bound{max ? -open(-std::min<int64_t>(max->value, 0)) : 0, true});
  const Bound high = max.value_or(Bound{min ? open(std::max<int64_t>(min->value, 0)) : 0, true});
  std::vector<Fragment> ways;
  if (high.value >= 0) ways.push_back(magnitude(low.value < 0 ? Bound{0, false} : low, high));
  if (low.value < 0) {
    const Bound least = high.value < 0 ? Bound{-high.value, high.exclusive} : Bound{0, true};
    const Bound most = {-low.value, low.exclusive};
    ways.push_back(b_.sequence({b_.literal("-"), magnitude(least, most)}));
  }
  return b_.alternatives(ways);
}

}  // namespace sllm
