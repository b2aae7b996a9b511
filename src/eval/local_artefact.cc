// A model on this machine, asked row by row rather than through an engine: a comparison needs every
// logit.
#include <algorithm>

#include "eval/artefact.h"
#include "eval/logit_rows.h"
#include "infer/sampler.h"
#include "infer/state_type.h"
#include "io/adapter.h"
#include "models/registry.h"
#include "text/unicode.h"

namespace sllm::eval {
namespace {

constexpr int64_t kRows = 256;  // of one forward

int64_t block_tokens(size_t tokens) {
  return (static_cast<int64_t>(tokens) / KvView::kBlockTokens + 1) * KvView::kBlockTokens;
}

}  // namespace

std::string token_name(std::string_view bytes) {
  if (unicode::valid_utf8(bytes)) return std::string(bytes);
  std::string escaped = "bytes:";
  for (const char byte : bytes) escaped += fmt::format("\\x{:02x}", static_cast<uint8_t>(byte));
  return escaped;
}

Result<std::unique_ptr<LocalArtefact>> LocalArtefact::open(const fs::path& path,
                                                           const fs::path& adapter,
                                                           std::shared_ptr<Backend> backend,
                                                           Numerics numerics) {
  auto out = std::make_unique<LocalArtefact>();
  out->name_ = path.string() + (adapter.empty() ? "" : " + " + adapter.string());
  out->numerics_ = numerics;
  SLLM_TRY(out->source_, open_model(path));
  SLLM_OK(check_generates(out->source_->config()).context(path.string()));
  SLLM_TRY(out->tokenizer_, Tokenizer::of(*out->source_));
  SLLM_TRY(out->template_, ChatTemplate::of(*out->source_, *out->tokenizer_));
  SLLM_TRY(std::shared_ptr<Model> model, Model::load(out->source_));
  if (!adapter.empty()) {
    SLLM_TRY(out->adapter_, read_adapter(adapter, out->source_->config()));
    SLLM_TRY(out->bound_, model->bind(*out->adapter_).context(adapter.string()));
  }
  out->runner_ = std::make_unique<Runner>(std::move(model), std::move(backend), numerics);
  return out;
}

std::string LocalArtefact::kind() const {
  return source_->format() + (adapter_ ? " with an adapter" : "");
}

std::vector<TokenId> LocalArtefact::end_tokens() const {
  std::vector<TokenId> ends = tokenizer_->eos_ids();
  const auto& more = source_->config().eos_ids;
  ends.insert(ends.end(), more.begin(), more.end());
  std::ranges::sort(ends);
  ends.erase(std::ranges::unique(ends).begin(), ends.end());
  return ends;
}

Result<std::vector<TokenId>> LocalArtefact::encode(const Conversation& messages,
                                                   const RenderOptions& options) const {
  SLLM_TRY(auto encoded, encode_conversation(*template_, *tokenizer_, messages, options));
  return std::move(encoded.ids);
}

Result<int64_t> LocalArtefact::prompt_tokens(const Conversation& messages) {
  SLLM_TRY(const auto ids, encode(messages, {.add_generation_prompt = true}));
  return static_cast<int64_t>(ids.size());
}

Tensor LocalArtefact::hidden(const std::vector<TokenId>& ids) {
  StatePool pool(source_->config(), state_type(numerics_, *source_), block_tokens(ids.size()));
  SequenceState state(pool);
  const Feed feed{&state, ids, adapter_ ? &bound_ : nullptr};
  std::vector<Tensor> parts;
  runner_->run({&feed, 1}, kRows,
               [&](size_t, int64_t, const Tensor& rows) { parts.push_back(rows); });
  return concatenate_rows(parts);
}

Chances LocalArtefact::chances_of(std::span<const float> logits, TokenId id) const {
  const LogitRow row(logits);
  Chances out;
  out.token = token_name(tokenizer_->token_bytes(id));
  out.logprob = row.log_probability(static_cast<size_t>(id));
  out.range = logits[static_cast<size_t>(row.best)] - *std::ranges::min_element(logits);
  for (const auto& [other, logprob] : token_logprob(logits, id, kTopTokens).top)
    out.top.emplace(token_name(tokenizer_->token_bytes(other)), logprob);
  return out;
}

Result<std::vector<Chances>> LocalArtefact::chances(const ApiPrompt& prompt) {
  const std::vector<TokenId> ids =
      prompt.ids.empty() ? tokenizer_->encode(prompt.text, {.add_special = true}) : prompt.ids;
  std::vector<Chances> out;
  if (ids.size() < 2) return out;
  const Tensor all = hidden(ids);
  runner_->logits(all.slice_rows(0, all.rows() - 1), [&](int64_t row, std::span<float> logits) {
    out.push_back(chances_of(logits, ids[static_cast<size_t>(row) + 1]));
  });
  return out;
}

Result<std::vector<Answer>> LocalArtefact::follow(const std::vector<Conversation>& questions,
                                                  const std::vector<Answer>& lead) {
  std::vector<Answer> out;
  for (size_t i = 0; i < questions.size(); ++i) {
    SLLM_TRY(std::vector<TokenId> ids, encode(questions[i], {.add_generation_prompt = true}));
    const auto before = static_cast<int64_t>(ids.size());
    const std::vector<TokenId>& led = lead[i].ids;
    Answer answer;
    if (!led.empty()) {
      for (const TokenId id : led)
        if (id >= source_->config().V) return bad_input("{}: has no token {}", name_, id);
      ids.insert(ids.end(), led.begin(), led.end() - 1);
      const Tensor all = hidden(ids);
      bool parted = false;
      runner_->logits(all.slice_rows(before - 1, all.rows()),
                      [&](int64_t row, std::span<float> logits) {
                        if (parted) return;
                        const TokenId next = std::max(argmax(logits), 0);
                        answer.ids.push_back(next);
                        answer.tokens.push_back(chances_of(logits, next));
                        parted = next != led[static_cast<size_t>(row)];
                      });
      answer.ended = std::ranges::binary_search(end_tokens(), answer.ids.back());
      StreamDecoder decoder(tokenizer_);
      for (const TokenId id : std::span(answer.ids).first(answer.ids.size() - answer.ended))
        answer.text += decoder.push(id);
      answer.text += decoder.finish();
    }
    out.push_back(std::move(answer));
  }
  return out;
}

Result<std::vector<Answer>> LocalArtefact::answers(const std::vector<Conversation>& questions,
                                                   int64_t tokens) {
  std::vector<std::vector<TokenId>> texts;  // prompts, then the answers
  int64_t room = 0;
  for (const Conversation& question : questions) {
    SLLM_TRY(auto ids, encode(question, {.add_generation_prompt = true}));
    room += block_tokens(ids.size() + static_cast<size_t>(tokens));
    texts.push_back(std::move(ids));
  }
  StatePool pool(source_->config(), state_type(numerics_, *source_), room);
  struct Writer {
    size_t answer;
    SequenceState state;
    StreamDecoder decoder;
    bool stretched = false;
    Tensor hidden;  // of the last row
  };
  std::vector<Writer> writers;
  for (size_t i = 0; i < texts.size(); ++i)
    writers.push_back({i, SequenceState(pool), StreamDecoder(tokenizer_)});
  const auto read = [&] {
    std::vector<Feed> feeds;
    for (Writer& w : writers) {
      const std::vector<TokenId>& text = texts[w.answer];
      begin_again_if_stretched(source_->config().rope, std::ssize(text), w.state, w.stretched);
      feeds.push_back({&w.state, std::span(text).subspan(static_cast<size_t>(w.state.length())),
                       adapter_ ? &bound_ : nullptr});
    }
    runner_->run(feeds, kRows, [&](size_t i, int64_t, const Tensor& rows) {
      writers[i].hidden = rows.slice_rows(rows.rows() - 1, rows.rows());
    });
  };
  read();
  const std::vector<TokenId> ends = end_tokens();
  std::vector<Answer> out(texts.size());
  for (int64_t step = 0; step < tokens && !writers.empty(); ++step) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while comparing");
    std::vector<Tensor> rows;
    for (const Writer& w : writers) rows.push_back(w.hidden);
    runner_->logits(concatenate_rows(rows), [&](int64_t row, std::span<float> logits) {
      Writer& w = writers[static_cast<size_t>(row)];
      const TokenId next = argmax(logits);
      if (next < 0) throw ResultError(bad_input("{}: computes no finite numbers", name_));
      Answer& answer = out[w.answer];
      answer.ended = std::ranges::binary_search(ends, next);
      answer.tokens.push_back(chances_of(logits, next));
      answer.ids.push_back(next);
      answer.text += answer.ended ? w.decoder.finish() : w.decoder.push(next);
      texts[w.answer].push_back(next);
    });
    std::erase_if(writers, [&](const Writer& w) { return out[w.answer].ended; });
    if (step + 1 < tokens && !writers.empty()) read();
  }
  for (Writer& w : writers) out[w.answer].text += w.decoder.finish();
  return out;
}

}  // namespace sllm::eval
