// What the engine guesses beside its steps, and what it learns from how that came out.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "infer/batch_engine.h"

namespace sllm {
namespace {
constexpr int64_t kDecodingRows = 16;  // up to which a row costs little beside the weights
}

// Beside prompts there are no guesses: their rows are dear, and a step is long already.
void BatchEngine::guess(std::vector<Work>& work) {
  if (config().recurrent()) return;
  if (options().lookup > 0) look_up(work);
  if (setup_.draft && budget_.known()) draft(work);
}

// The last token is not guessed: it could only be followed by more than was asked for.
int64_t BatchEngine::may_guess(const Sequence& s, int64_t most) const {
  most = std::min(most, s.left() - 1);
  while (most > 0 && config().rope.stretches(s.length() + most) != s.stretched) --most;
  return std::max<int64_t>(most, 0);
}

void BatchEngine::look_up(std::vector<Work>& work) {
  std::vector<double> likelihoods;
  for (const Work& w : work) likelihoods.push_back(w.sequence->lookup.record.likelihood());
  const auto share = budget_.share(likelihoods, options().lookup,
                                   kDecodingRows - static_cast<int64_t>(work.size()));
  for (size_t i = 0; i < work.size(); ++i) {
    Sequence& s = *work[i].sequence;
    if (const int64_t most = may_guess(s, share[i]); most > 0)
      work[i].guesses = s.lookup.guess(s.text(), most);
    s.cut_to_grammar(work[i].guesses);
    if (share[i] == 0) s.lookup.record.rest();
  }
}

void BatchEngine::draft(std::vector<Work>& work) {
  DraftModel& model = *setup_.draft;
  std::vector<Work*> drafting;
  std::vector<GuessBudget::Drafting> candidates;
  int64_t rows = 0;
  double tokens = 0;  // that the step is expected to bring
  for (Work& w : work) {
    Sequence& s = *w.sequence;
    const auto guessed = static_cast<int64_t>(w.guesses.size());
    rows += 1 + guessed;
    tokens += 1 + expected_right(s.lookup.record.likelihood(), guessed);
    const int64_t most = may_guess(s, options().draft_tokens);
    if (guessed > 0 || most == 0) continue;
    const auto unread = model.unread(s.draft, s.text());
    if (!unread) continue;
    const bool trial = s.draft.record.resting();
    if (trial && !s.draft.record.tries_again(budget_.cost_of_trial(model.cost(), *unread)))
      continue;
    drafting.push_back(&w);
    candidates.push_back({s.draft.record.likelihood(), *unread, s.left(), most, trial});
  }
  const int64_t all = kDecodingRows - rows;
  if (drafting.empty() || all <= 0) return;
  const auto share = budget_.share_drafts(candidates, model.cost(), rows, tokens, all);
  const bool enough = std::accumulate(share.begin(), share.end(), int64_t{0}) < all;
  for (size_t i = 0; i < share.size(); ++i)
    if (share[i] == 0 && enough) drafting[i]->sequence->draft.record.give_up();
  // A long text is read in pieces, so that the others do not wait for it.
  ask_draft(drafting, share, options().prefill_chunk / (work.size() > 1 ? 4 : 1));
}

void BatchEngine::ask_draft(std::span<Work* const> work, std::span<const int64_t> share,
                            int64_t rows) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  std::vector<DraftModel::Wish> wishes;
  std::vector<Work*> wishing;
  for (size_t i = 0; i < work.size(); ++i) {
    if (share[i] == 0) continue;
    wishes.push_back({&work[i]->sequence->draft, work[i]->sequence->text(), share[i]});
    wishing.push_back(work[i]);
  }
  if (wishes.empty()) return;
  setup_.draft->guess(wishes, rows, &interrupt_);
  for (size_t i = 0; i < wishes.size(); ++i) {
    wishing[i]->drafted = std::ssize(wishes[i].guesses);
    wishing[i]->guesses = std::move(wishes[i].guesses);
    wishing[i]->sequence->cut_to_grammar(wishing[i]->guesses);
  }
  std::lock_guard lock(mutex_);
  stats_.generate_seconds += std::chrono::duration<double>(Clock::now() - start).count();
}

// The state has seen all guesses, and shall have seen all but the last token of the answer.
void BatchEngine::take_back_wrong_guesses(const std::vector<Work>& work) {
  uint64_t guessed = 0, accepted = 0, drafted = 0, accepted_drafts = 0;
  for (const Work& w : work) {
    if (w.guesses.empty() && w.drafted == 0) continue;
    Sequence& s = *w.sequence;
    const auto all = static_cast<int64_t>(w.guesses.size());
    const int64_t wrong = std::min(all, s.state->length() - (s.length() - 1));
    s.state->truncate(s.length() - 1);
    const auto right = static_cast<uint64_t>(all - wrong);
    if (w.drafted > 0) {
      s.draft.record.learn(w.drafted, all - wrong);
      drafted += static_cast<uint64_t>(w.drafted), accepted_drafts += right;
    } else {
      s.lookup.record.learn(all, all - wrong);
      guessed += static_cast<uint64_t>(all), accepted += right;
    }
  }
  if (guessed + drafted == 0) return;
  std::lock_guard lock(mutex_);
  stats_.guessed_tokens += guessed;
  stats_.accepted_tokens += accepted;
  stats_.drafted_tokens += drafted;
  stats_.accepted_drafts += accepted_drafts;
  stats_.generated_tokens += accepted + accepted_drafts;
}

}  // namespace sllm
