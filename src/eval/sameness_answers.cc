// Whether both sides write the same answers, always taking the likeliest token.
#include <algorithm>
#include <cmath>

#include "eval/sameness_parts.h"

namespace sllm::eval {
namespace {

using Verdict = SamenessCheck::Verdict;

// Where two answers part: how much likelier (in logits) the first side finds its token than the
// other's, and the range of its logits. Infinite where that is not told.
struct Parting {
  size_t at = 0;
  double margin = INFINITY, range = 0;
};

Parting parting_of(const Answer& a, const Answer& b) {
  Parting out;
  while (out.at < std::min(a.tokens.size(), b.tokens.size()) &&
         a.tokens[out.at].token == b.tokens[out.at].token)
    ++out.at;
  if (out.at >= a.tokens.size() || out.at >= b.tokens.size()) return out;
  const Chances &left = a.tokens[out.at], &right = b.tokens[out.at];
  out.range = std::max(left.range, right.range);
  for (const auto& [own, other] : {std::pair(&left, &right), std::pair(&right, &left)})
    if (const auto found = own->top.find(other->token); found != own->top.end())
      out.margin = std::min(out.margin, own->logprob - found->second);
  return out;
}

}  // namespace

Status compare_answers(Artefact& a, Artefact& b, const SamenessOptions& options, Sameness& out) {
  SamenessCheck check{"answers", Verdict::kSame, {}};
  if (options.answers < 1) return ok();
  const auto questions = questions_of(options, options.answers);
  SLLM_TRY(const auto left, a.answers(questions, options.answer_tokens));
  SLLM_TRY(const auto right, a.local() && b.local() ? b.local()->follow(questions, left)
                                                    : b.answers(questions, options.answer_tokens));
  double largest = 0;
  std::string first;
  for (size_t i = 0; i < questions.size(); ++i) {
    ++out.answers;
    // Ids where both sides have them: an embedding beyond the tokenizer has no text in a folder and
    // a name in a GGUF file.
    const bool ids = !left[i].ids.empty() && !right[i].ids.empty();
    const bool alike = ids ? left[i].ids == right[i].ids : left[i].text == right[i].text;
    if (alike && left[i].ended == right[i].ended) {
      ++out.answers_equal;
      continue;
    }
    const Parting parting = parting_of(left[i], right[i]);
    // Logits that differ by delta * range at most may change places when they are this near.
    if (parting.margin <= 2 * out.bound.delta * parting.range) {
      ++out.answers_tied;
      largest = std::max(largest, parting.margin);
    } else if (first.empty()) {
      const auto quoted = [](const std::string& text) {
        return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      };
      first = fmt::format("; number {} parts at its token {}{}: {} and {}", i + 1, parting.at + 1,
                          std::isfinite(parting.margin)
                              ? fmt::format(" with a margin of {:.2g}", parting.margin)
                              : std::string(),
                          quoted(left[i].text), quoted(right[i].text));
    }
  }
  check.found = fmt::format("{} of {} greedy answers of {} tokens are the same", out.answers_equal,
                            out.answers, options.answer_tokens);
  if (out.answers_tied > 0)
    check.found += fmt::format(", {} part at a near tie (margins of at most {:.2g})",
                               out.answers_tied, largest);
  check.found += first;
  if (out.answers_equal + out.answers_tied < out.answers) check.verdict = Verdict::kDiffers;
  out.checks.push_back(std::move(check));
  return ok();
}

}  // namespace sllm::eval
