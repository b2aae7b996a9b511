// Whether both sides read the same tokens from the same conversations, and end at the same ones.
#include <algorithm>

#include "eval/sameness_parts.h"

namespace sllm::eval {
namespace {

using Verdict = SamenessCheck::Verdict;

std::string excerpt(std::string_view text, size_t at) {
  // Whole characters: bytes of the form 10xxxxxx continue one.
  const auto inside = [&](size_t i) { return i < text.size() && (text[i] & 0xc0) == 0x80; };
  size_t begin = at < 12 ? 0 : at - 12, end = std::min(text.size(), at + 20);
  while (inside(begin)) ++begin;
  while (inside(end)) ++end;
  return nlohmann::json(text.substr(begin, end - begin))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// What one side makes of a probe: its tokens, or why it makes none.
struct Reading {
  Result<std::vector<TokenId>> ids;
  bool same(const Reading& other) const {
    return ids.ok() == other.ids.ok() && (!ids.ok() || *ids == *other.ids);
  }
};

std::string difference(const LocalArtefact& a, const LocalArtefact& b, const Probe& probe,
                       const Reading& left, const Reading& right) {
  if (!left.ids.ok() || !right.ids.ok())
    return fmt::format("the {} template refuses it: {}", left.ids.ok() ? "second" : "first",
                       (left.ids.ok() ? right : left).ids.error().message);
  const auto text_a = a.chat_template().render(probe.messages, probe.options()),
             text_b = b.chat_template().render(probe.messages, probe.options());
  if (text_a.ok() && text_b.ok() && text_a->text != text_b->text) {
    const std::string &x = text_a->text, &y = text_b->text;
    const auto at = static_cast<size_t>(
        std::mismatch(x.begin(), x.begin() + static_cast<long>(std::min(x.size(), y.size())),
                      y.begin())
            .first -
        x.begin());
    return fmt::format("the templates write {} and {}", excerpt(x, at), excerpt(y, at));
  }
  const auto &x = *left.ids, &y = *right.ids;
  size_t at = 0;
  while (at < std::min(x.size(), y.size()) && x[at] == y[at]) ++at;
  const auto id = [at](const std::vector<TokenId>& ids, const Tokenizer& tokenizer) {
    if (at >= ids.size()) return std::string("nothing");
    const std::string_view bytes = tokenizer.token_bytes(ids[at]);
    return fmt::format("{} ({})", ids[at], excerpt(bytes, 0));
  };
  return fmt::format("token {} is {} and {}", at, id(x, a.tokenizer()), id(y, b.tokenizer()));
}

}  // namespace

Status compare_tokens(Artefact& a, Artefact& b, const SamenessOptions& options, Sameness& out) {
  LocalArtefact *left = a.local(), *right = b.local();
  const bool both = left && right;
  SamenessCheck check{"tokens", Verdict::kSame, {}};
  std::string first;
  int64_t refused = 0;
  std::vector<Probe> probes = probe_conversations(options.conversations);
  for (size_t i = 0; i < probes.size(); ++i) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while comparing");
    Probe& probe = probes[i];
    if (both) {
      const Reading x{left->encode(probe.messages, probe.options())},
          y{right->encode(probe.messages, probe.options())};
      ++out.conversations;
      refused += !x.ids.ok() && !y.ids.ok();
      if (x.same(y))
        ++out.conversations_equal;
      else if (first.empty())
        first = fmt::format("; the first that differs is number {}: {}", i + 1,
                            difference(*left, *right, probe, x, y));
      continue;
    }
    // A server reads whole conversations that wait for its answer, and takes no tools.
    if (!probe.add_generation_prompt || !probe.tools.is_null()) continue;
    if (out.conversations == options.counted) break;
    const auto x = a.prompt_tokens(probe.messages), y = b.prompt_tokens(probe.messages);
    for (const auto* side : {&x, &y})
      if (!side->ok() && stop_requested()) return side->error();
    ++out.conversations;
    refused += !x.ok() && !y.ok();
    if (x.ok() == y.ok() && (!x.ok() || *x == *y))
      ++out.conversations_equal;
    else if (first.empty())
      first = x.ok() && y.ok()
                  ? fmt::format("; the first that differs is number {}: {} tokens and {}", i + 1,
                                *x, *y)
                  : fmt::format("; number {}: {}", i + 1, (x.ok() ? y : x).error().message);
  }
  check.found = fmt::format("{} of {} conversations give the same {}{}{}", out.conversations_equal,
                            out.conversations, both ? "tokens" : "number of tokens",
                            refused ? fmt::format(" ({} refused by both)", refused) : "", first);
  if (out.conversations_equal != out.conversations) check.verdict = Verdict::kDiffers;
  out.checks.push_back(std::move(check));
  return ok();
}

void compare_ends(Artefact& a, Artefact& b, Sameness& out) {
  LocalArtefact *left = a.local(), *right = b.local();
  SamenessCheck check{"ends", Verdict::kLeftOut,
                      "a server does not say which tokens end an answer"};
  if (left && right) {
    const auto x = left->end_tokens(), y = right->end_tokens();
    check.verdict = x == y ? Verdict::kSame : Verdict::kDiffers;
    check.found = x == y ? fmt::format("answers end at the tokens {}", fmt::join(x, ", "))
                         : fmt::format("answers end at the tokens {} and at {}", fmt::join(x, ", "),
                                       fmt::join(y, ", "));
  }
  out.checks.push_back(std::move(check));
}

}  // namespace sllm::eval
