// Scheduling of requests; see batch_engine.h.
#include "infer/batch_engine.h"

#include <algorithm>
#include <chrono>

#include "base/checked.h"
#include "models/registry.h"

namespace sllm {
BatchEngine::BatchEngine(Setup setup)
    : setup_(std::move(setup)),
      eos_ids_(setup_.parts.tokenizer->eos_ids()),
      runner_(setup_.model, setup_.parts.backend, setup_.options.numerics),
      pool_(config(), setup_.kv, setup_.pool_tokens),
      scoring_pool_(config(), setup_.kv, setup_.scoring_tokens),
      scorer_(runner_, setup_.pooler, scoring_pool_, setup_.options.prefill_chunk),
      prefixes_(std::min(setup_.options.prefix_cache, setup_.options.context),
                config().recurrent()),
      budget_(setup_.options.guess_always) {
  for (int32_t id : config().eos_ids)
    if (!std::ranges::count(eos_ids_, id)) eos_ids_.push_back(id);
  thread_ = std::thread([this] { loop(); });
}

BatchEngine::~BatchEngine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    interrupt_ = end_walk_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

std::vector<std::string> BatchEngine::adapters() const {
  std::vector<std::string> names;
  for (const auto& [name, adapter] : setup_.adapters) names.push_back(name);
  return names;
}

Result<const BoundAdapter*> BatchEngine::find_adapter(const std::string& name) const {
  if (name.empty() && setup_.options.adapted) return &setup_.adapters.begin()->second;
  if (name.empty()) return static_cast<const BoundAdapter*>(nullptr);
  const auto found = setup_.adapters.find(name);
  if (found != setup_.adapters.end()) return &found->second;
  return usage_error(
      "no adapter is called \"{}\"; loaded: {}", name,
      setup_.adapters.empty() ? "none" : fmt::format("{}", fmt::join(adapters(), ", ")));
}

Status BatchEngine::check_ids(const std::vector<TokenId>& ids) const {
  if (ids.empty()) return usage_error("the prompt is empty: at least one token is needed");
  for (TokenId id : ids)
    if (id < 0 || id >= config().V)
      return usage_error("token {} is not in the vocabulary of {} tokens", id, config().V);
  return ok();
}

Status BatchEngine::check_window(const std::vector<TokenId>& ids) const {
  SLLM_OK(check_ids(ids));
  if (static_cast<int64_t>(ids.size()) > options().context)
    return with_hint(
        usage_error("the prompt has {} tokens, the context {}", ids.size(), options().context),
        "Shorten the prompt or ask for a larger context");
  return ok();
}

// What a sequence may come to hold, in whole pages.
int64_t BatchEngine::pages_tokens(const Sequence& s) const {
  return round_up(s.prompt_size() + s.max_tokens(), KvView::kBlockTokens);
}

Constraints& BatchEngine::constraints_of(const Grammar& grammar) {
  return grammar.shown() ? special_constraints_ : plain_constraints_;
}

Result<Engine::RequestId> BatchEngine::submit(GenerateRequest request, EventSink on_event) {
  SLLM_OK(check_generates(config()));
  SLLM_OK(check_window(request.prompt));
  SLLM_TRY(const BoundAdapter* adapter, find_adapter(request.adapter));
  const int64_t room = options().context - static_cast<int64_t>(request.prompt.size());
  const int64_t max_tokens = std::clamp<int64_t>(request.max_tokens, 0, room);
  std::lock_guard lock(mutex_);
  // Those for whom a slot is free do not wait: they start with the next step.
  const int64_t slots = std::max<int64_t>(options().max_sequences - stats_.active, 0);
  if (static_cast<int64_t>(waiting_.size()) >= options().queue_limit + slots) {
    ++stats_.refused;
    return with_hint(make_error(ErrorCode::kLocked, "the queue is full: {} requests are waiting",
                                waiting_.size()),
                     "Try again later");
  }
  if (request.grammar)
    constraints_of(*request.grammar)
        .begin(setup_.parts.tokenizer, eos_ids_, request.grammar->shown().has_value());
  const RequestId id = next_id_++;
  auto sequence = std::make_unique<Sequence>(id, std::move(request), std::move(on_event),
                                             setup_.parts.tokenizer, eos_ids_, max_tokens);
  sequence->adapter = adapter;
  waiting_.push_back(std::move(sequence));
  ++stats_.requests;
  wake_.notify_all();
  return id;
}

void BatchEngine::cancel(RequestId id) {
  std::lock_guard lock(mutex_);
  cancelled_.insert(id);
  if (reading_.contains(id)) interrupt_ = true;  // a long prompt: do not wait for its step
  if (walking_ == id) end_walk_ = true;
  wake_.notify_all();
}

EngineStats BatchEngine::stats() const {
  std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.waiting = static_cast<int64_t>(waiting_.size());
  return stats;
}

void BatchEngine::end_all(Sequences& sequences, FinishReason reason, const std::string& error) {
  for (auto& s : sequences) s->end(reason, error);
  sequences.clear();
}

void BatchEngine::loop() {
  if (setup_.draft) setup_.draft->warm_up();
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] {
        return stopping_ || !jobs_.empty() || !waiting_.empty() || !active_.empty();
      });
      if (stopping_) break;
      if (!jobs_.empty()) job = std::move(jobs_.front()), jobs_.pop_front();
    }
    try {
      if (job) job();
      sweep_and_admit();
      if (const auto work = plan(); !work.empty()) step(work);
    } catch (const std::exception& e) {  // out of memory outside of a forward
      log(LogLevel::kError, fmt::format("engine: {}", e.what()));
      end_all(active_, FinishReason::kError, e.what());
      prefixes_.clear();
      committed_ = 0;
    }
  }
  end_all(active_, FinishReason::kCancelled);
  Sequences waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
    jobs_.clear();  // their waiters see a broken promise
  }
  end_all(waiting, FinishReason::kCancelled);
}

void BatchEngine::sweep_and_admit() {
  Sequences gone;
  {
    std::unique_lock lock(mutex_);
    const auto sweep = [&](Sequences& from, bool holds_slot) {
      for (auto& s : from) {
        const bool cancelled = cancelled_.contains(s->id);
        if (!s->finished() && !cancelled) continue;
        if (holds_slot) leave_slot(*s);
        stats_.cancelled += cancelled && !s->finished();
        gone.push_back(std::move(s));
      }
      std::erase(from, nullptr);
    };
    sweep(active_, true);
    sweep(waiting_, false);
    cancelled_.clear();
    interrupt_ = stopping_;
    while (!waiting_.empty() && static_cast<int64_t>(active_.size()) < options().max_sequences) {
      Sequence& first = *waiting_.front();
      if (committed_ + pages_tokens(first) > round_up(setup_.pool_tokens, KvView::kBlockTokens) &&
          !active_.empty())
        break;
      if (!worth_starting(first)) break;
      const auto& grammar = first.request.grammar;
      if (grammar && !constraints_of(*grammar).ready()) {
        if (!active_.empty()) break;  // they go on meanwhile
        lock.unlock();
        constraints_of(*grammar).wait();
        lock.lock();
      }
      committed_ += pages_tokens(first);
      start(first);
      active_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    stats_.active = static_cast<int64_t>(active_.size());
  }
  for (auto& s : gone) s->end(FinishReason::kCancelled);  // nothing when it had finished
  for (auto& s : active_)
    if (s->unconstrained())
      s->constrain(constraints_of(*s->request.grammar).matcher(s->request.grammar));
}

void BatchEngine::leave_slot(Sequence& s) {
  committed_ -= pages_tokens(s);
  const auto read = s.read();
  if (!s.failed()) prefixes_.keep(read_with(s), read, std::move(*s.state));
  s.state.reset();
  if (setup_.draft) setup_.draft->keep(s.draft);
}

ReadWith BatchEngine::read_with(const Sequence& s) const {
  return {s.adapter, s.state ? s.stretched : config().rope.stretches(s.length()), s.request.owner};
}

bool BatchEngine::worth_starting(const Sequence& s) const {
  if (options().prefix_cache == 0 || s.request.echo_logprobs || config().recurrent()) return true;
  const ReadWith with = read_with(s);
  const int64_t kept = prefixes_.length_of(with, s.request.prompt);
  return std::ranges::none_of(active_, [&](const auto& other) {
    if (read_with(*other) != with) return false;
    const int64_t alike = common_beginning(other->request.prompt, s.request.prompt);
    const int64_t read = other->state->length();
    return read < alike && alike - std::max(kept, read) >= KvView::kBlockTokens;
  });
}

void BatchEngine::start(Sequence& s) {
  const ReadWith with = read_with(s);
  if (!s.request.echo_logprobs) {  // which needs the rows of all of the prompt
    for (const auto& other : active_) {
      if (config().recurrent() || read_with(*other) != with) continue;
      const int64_t alike = common_beginning(other->read(), s.request.prompt);
      if (alike >= KvView::kBlockTokens && alike > prefixes_.length_of(with, s.request.prompt))
        prefixes_.keep(with, other->read(), other->state->fork());
    }
    s.state = prefixes_.find(with, s.request.prompt);
    if (s.state) stats_.cached_tokens += static_cast<uint64_t>(s.state->length());
  }
  if (!s.state) s.state.emplace(pool_);
  s.stretched = with.stretched;
}

// Everyone who decodes gets its row. The prompts share what is left of the chunk evenly, oldest
// first, so that a long prompt delays neither a short one nor those who are being answered.
std::vector<BatchEngine::Work> BatchEngine::plan() {
  std::vector<Work> work;
  int64_t prompts = 0;
  for (const auto& s : active_) {
    begin_again_if_stretched(config().rope, s->length(), *s->state, s->stretched);
    prompts += s->pending().size() > 1;
  }
  const bool reading = prompts > 0, decoding = prompts < static_cast<int64_t>(active_.size());
  int64_t budget = std::max<int64_t>(options().prefill_chunk / (decoding ? 4 : 1), 1);
  for (const auto& s : active_) {
    auto rows = static_cast<int64_t>(s->pending().size());
    if (rows > 1) {
      rows = std::min(rows, std::max<int64_t>(budget / prompts, 1));
      budget -= rows, --prompts;
    }
    if (rows > 0) work.push_back({s.get(), rows});
  }
  if (!reading) guess(work);
  return work;
}

void BatchEngine::step(const std::vector<Work>& work) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  int64_t prompt_rows = 0, rows = 0, guessed = 0;
  {
    std::lock_guard lock(mutex_);
    if (!cancelled_.empty()) return;  // came in since the sweep, which saw no prompt to interrupt
    for (const Work& w : work) {
      rows += w.rows;
      guessed += static_cast<int64_t>(w.guesses.size());
      if (!w.sequence->prefilling() && w.rows == 1) continue;
      prompt_rows += w.rows;
      reading_.insert(w.sequence->id);
    }
  }
  run(work);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double share = static_cast<double>(prompt_rows) / static_cast<double>(rows);
  if (prompt_rows == 0) budget_.measured(rows + guessed, seconds);
  std::lock_guard lock(mutex_);
  reading_.clear();
  stats_.prompt_tokens += static_cast<uint64_t>(prompt_rows);
  stats_.generated_tokens += static_cast<uint64_t>(rows - prompt_rows);
  stats_.prompt_seconds += seconds * share;
  stats_.generate_seconds += seconds * (1 - share);
}

// When a step fails, its sequences are run again one by one, and only those that fail alone end
// with an error.
void BatchEngine::run(const std::vector<Work>& work) {
  // What is kept for others gives way to those who are being answered.
  int64_t pages = 0;
  for (const Work& w : work) pages += w.rows / KvView::kBlockTokens + 2;
  while (pool_.free_tokens() < pages * KvView::kBlockTokens && prefixes_.drop_oldest()) {
  }
  std::vector<SequenceState::Snapshot> before;
  for (const Work& w : work) before.push_back(w.sequence->state->snapshot());
  try {
    std::vector<Feed> feeds;
    std::deque<std::vector<TokenId>> guessing;  // the tokens of those who guess
    for (const Work& w : work) {
      auto tokens = w.sequence->pending().first(static_cast<size_t>(w.rows));
      if (!w.guesses.empty()) {
        guessing.emplace_back(tokens.begin(), tokens.end());
        guessing.back().insert(guessing.back().end(), w.guesses.begin(), w.guesses.end());
        tokens = guessing.back();
      }
      feeds.push_back({&*w.sequence->state, tokens, w.sequence->adapter, w.sequence->length()});
    }
    const Tensor hidden = runner_.forward(feeds, &interrupt_);
    deliver(work, hidden);
    take_back_wrong_guesses(work);
  } catch (const Interrupted&) {
  } catch (const std::exception& e) {
    for (size_t i = 0; i < work.size(); ++i) work[i].sequence->state->restore(before[i]);
    if (work.size() == 1 && work[0].guesses.empty())
      return work[0].sequence->end(FinishReason::kError, e.what());
    for (const Work& w : work)
      if (!w.sequence->finished()) run({{w.sequence, w.rows}});
  }
}

// Logits are made only where they are looked at: after the last token of each sequence, and after
// every prompt token for those who asked for the echo.
void BatchEngine::deliver(const std::vector<Work>& work, const Tensor& hidden) {
  // A row whose logits decide a token, if the sequence has come to `length` tokens by then and ends
  // with what was guessed there.
  struct Taker {
    Sequence* sequence;
    int64_t length;
    TokenId last;
  };
  std::vector<Tensor> last;
  std::vector<Taker> takers;
  int64_t row = 0;
  for (const auto& [s, rows, guesses, drafted] : work) {
    const auto guessed = static_cast<int64_t>(guesses.size());
    const int64_t first = row, begin = s->state->length() - rows - guessed;
    row += rows + guessed;
    if (s->request.echo_logprobs && begin < s->prompt_size() - 1) {
      const int64_t seen = std::min(rows, s->prompt_size() - 1 - begin);
      runner_.logits(
          hidden.slice_rows(first, first + seen),
          [&, s = s](int64_t i, std::span<float> logits) { s->see_prompt_row(begin + i, logits); });
    }
    if (begin + rows < s->length()) continue;
    if (s->max_tokens() == 0) {
      s->finish_without_tokens();
      continue;
    }
    last.push_back(hidden.slice_rows(first + rows - 1, row));
    takers.push_back({s, s->length(), s->text().back()});
    for (const TokenId guess : guesses) takers.push_back({s, takers.back().length + 1, guess});
  }
  if (last.empty()) return;
  runner_.logits(concatenate_rows(last), [&](int64_t i, std::span<float> logits) {
    const auto& [s, length, token] = takers[static_cast<size_t>(i)];
    if (s->finished() || s->length() != length || s->text().back() != token) return;
    decide(*s, logits);
  });
}

void BatchEngine::decide(Sequence& s, std::span<float> logits) {
  const auto walks = [&](RequestId id) {
    std::lock_guard lock(mutex_);
    walking_ = id;
    end_walk_ = stopping_ || cancelled_.contains(id);
  };
  if (!s.request.grammar) {
    if (!s.see_last_row(logits))
      s.end(FinishReason::kError, "the model's logits are not numbers (NaN or infinity)");
    return;
  }
  walks(s.id);
  const bool decided = s.see_last_row(logits, &end_walk_);
  const bool ended = end_walk_;  // it leaves with the next sweep
  walks(0);
  if (!decided && !ended)
    s.end(FinishReason::kError, "no token that the grammar allows has a finite logit");
}

}  // namespace sllm
