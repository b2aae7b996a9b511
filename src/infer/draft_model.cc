// A smaller model's guesses; see draft_model.h.
#include "infer/draft_model.h"

#include <algorithm>
#include <chrono>

#include "base/events.h"
#include "infer/sampler.h"

namespace sllm {

DraftModel::DraftModel(Setup setup)
    : runner_(std::move(setup.model), std::move(setup.backend), setup.numerics),
      pool_(config(), setup.kv, setup.pool_tokens),
      prefixes_(setup.prefix_cache, false),
      vocabulary_(std::min(setup.vocabulary, config().V)) {}

void DraftModel::warm_up() {
  const std::vector<TokenId> text = {0};
  for (int turn = 0; turn < 2; ++turn) {
    cost_ = {};  // the first turn reads the weights from disk
    Draft draft;
    start(draft, text);
    Wish wish{&draft, text, 1};
    guess({&wish, 1}, 1);
  }
}

void DraftModel::start(Draft& draft, std::span<const TokenId> text) {
  const auto length = static_cast<int64_t>(text.size());
  draft.stretched = config().rope.stretches(length);
  draft.state = prefixes_.find({nullptr, draft.stretched, draft.owner}, text);
  if (!draft.state) draft.state.emplace(pool_);
  draft.read.assign(text.begin(), text.begin() + draft.state->length());
}

std::optional<int64_t> DraftModel::unread(Draft& draft, std::span<const TokenId> text) {
  const auto length = static_cast<int64_t>(text.size());
  if (!draft.state) start(draft, text);
  begin_again_if_stretched(config().rope, length, *draft.state, draft.stretched);
  // The last token's row is where the next guess comes from.
  const int64_t kept = std::min({common_beginning(draft.read, text), draft.state->length(),
                                 std::max<int64_t>(length - 1, 0)});
  draft.state->truncate(kept);
  draft.read.resize(static_cast<size_t>(kept));
  const auto unknown = [&](TokenId id) { return id >= config().V; };
  if (length >= config().max_context ||
      std::ranges::any_of(text.subspan(static_cast<size_t>(kept)), unknown))
    return std::nullopt;
  return length - kept;
}

void DraftModel::guess(std::span<Wish> wishes, int64_t rows, const std::atomic<bool>* interrupt) {
  std::vector<Wish*> going;
  for (Wish& w : wishes) {
    w.most = std::min(w.most, config().max_context - static_cast<int64_t>(w.text.size()));
    going.push_back(&w);
  }
  try {
    for (size_t made = 1; !going.empty(); ++made) {
      step(going, rows, interrupt);
      std::erase_if(going, [&](const Wish* w) {
        return w->guesses.size() < made || static_cast<int64_t>(made) >= w->most;
      });
    }
  } catch (const Interrupted&) {  // what was guessed so far may do
  } catch (const std::exception& e) {
    log(LogLevel::kWarning, fmt::format("the draft model failed and rests: {}", e.what()));
    prefixes_.clear();
    for (Wish& w : wishes) {
      *w.draft = Draft{std::nullopt, {}, false, w.draft->record, w.draft->owner};
      w.draft->record.give_up();
    }
  }
}

void DraftModel::step(std::span<Wish* const> wishes, int64_t rows,
                      const std::atomic<bool>* interrupt) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto share =
      static_cast<size_t>(std::max<int64_t>(rows / static_cast<int64_t>(wishes.size()), 1));
  std::vector<Feed> feeds;
  int64_t total = 0, pages = 0;
  for (const Wish* w : wishes) {
    const size_t read = w->draft->read.size(), text = w->text.size();
    const auto next =
        read < text ? w->text.subspan(read) : std::span(w->guesses).subspan(read - text);
    const auto tokens = next.first(std::min(next.size(), share));
    feeds.push_back({&*w->draft->state, tokens, nullptr, static_cast<int64_t>(text)});
    total += std::ssize(tokens);
    pages += std::ssize(tokens) / KvView::kBlockTokens + 2;
  }
  make_room(pages);
  const Tensor hidden = runner_.forward(feeds, interrupt);
  std::vector<Tensor> last;
  std::vector<Wish*> guessing;
  int64_t row = 0;
  for (size_t i = 0; i < wishes.size(); ++i) {
    const auto tokens = feeds[i].tokens;
    Wish& w = *wishes[i];
    w.draft->read.insert(w.draft->read.end(), tokens.begin(), tokens.end());
    row += std::ssize(tokens);
    if (w.draft->read.size() < w.text.size() + w.guesses.size()) continue;
    last.push_back(hidden.slice_rows(row - 1, row));
    guessing.push_back(&w);
  }
  if (!last.empty())
    runner_.logits(concatenate_rows(last), [&](int64_t i, std::span<float> logits) {
      const TokenId likeliest = argmax(logits.first(static_cast<size_t>(vocabulary_)));
      if (likeliest >= 0) guessing[static_cast<size_t>(i)]->guesses.push_back(likeliest);
    });
  cost_.measured(total, std::chrono::duration<double>(Clock::now() - start).count());
}

// What is kept for others gives way to those who are being answered.
void DraftModel::make_room(int64_t pages) {
  while (pool_.free_tokens() < pages * KvView::kBlockTokens && prefixes_.drop_oldest()) {
  }
}

void DraftModel::keep(Draft& draft) {
  if (draft.state)
    prefixes_.keep({nullptr, draft.stretched, draft.owner}, draft.read, std::move(*draft.state));
  draft.state.reset();
}

Status check_same_vocabulary(const Tokenizer& model, const Tokenizer& draft) {
  const auto differs = [](std::string what) {
    return with_hint(usage_error("the draft model has another vocabulary: {}", what),
                     "Its guesses are token numbers: use a smaller model of the same family");
  };
  const auto described = [](const Tokenizer& t, TokenId id) {
    return fmt::format("{}\"{}\"", t.is_special(id) ? "the special " : "", t.token_text(id));
  };
  const auto both = static_cast<TokenId>(std::min(model.vocab_size(), draft.vocab_size()));
  for (TokenId id = 0; id < both; ++id)
    if (model.token_text(id) != draft.token_text(id) ||
        model.is_special(id) != draft.is_special(id))
      return differs(fmt::format("its token {} is {}, the model's {}", id, described(draft, id),
                                 described(model, id)));
  const bool draft_is_longer = draft.vocab_size() > both;
  const Tokenizer& longer = draft_is_longer ? draft : model;
  for (TokenId id = both; id < static_cast<TokenId>(longer.vocab_size()); ++id)
    if (longer.is_special(id))
      return differs(fmt::format("token {} is {} in {}, and {} has only {} tokens", id,
                                 described(longer, id), draft_is_longer ? "it" : "the model",
                                 draft_is_longer ? "the model" : "it", both));
  return ok();
}

}  // namespace sllm
