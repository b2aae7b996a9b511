// From tokens as bytes to rows in the student's tokens.
#include "train/said_rows.h"

#include <algorithm>
#include <deque>

#include "data/dataset.h"
#include "data/said_tokens.h"
#include "train/reference.h"
#include "train/token_bridge.h"

namespace sllm {
namespace {

// Tokens that were heard: bytes and no more. It reads nothing.
class HeardTokens final : public Tokenizer {
 public:
  TokenId add(const std::string& bytes) {
    const auto [at, is_new] = ids_.emplace(bytes, static_cast<TokenId>(tokens_.size()));
    if (is_new) tokens_.push_back(bytes);
    if (is_new && bytes.empty()) ends_.push_back(at->second);
    return at->second;
  }
  std::vector<TokenId> encode(std::string_view, EncodeOptions) const override { return {}; }
  EncodedText encode_marked(std::string_view, std::span<const uint8_t>) const override {
    return {};
  }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const TokenId id : ids) text += token_bytes(id);
    return text;
  }
  std::string_view token_bytes(TokenId id) const override {
    return tokens_[static_cast<size_t>(id)];
  }
  std::string_view token_text(TokenId id) const override { return token_bytes(id); }
  bool is_special(TokenId id) const override { return token_bytes(id).empty(); }
  TokenId id_of(std::string_view text) const override {
    const auto at = ids_.find(std::string(text));
    return at == ids_.end() ? -1 : at->second;
  }
  int64_t vocab_size() const override { return std::ssize(tokens_); }
  TokenId bos_id() const override { return -1; }
  const std::vector<TokenId>& eos_ids() const override { return ends_; }

 private:
  std::deque<std::string> tokens_;
  std::unordered_map<std::string, TokenId> ids_;
  std::vector<TokenId> ends_;  // the one without text, if it was heard
};

// What was said of one answer, in heard tokens: itself in `sample`, `width` alternatives of each.
struct Heard {
  Sample sample;
  TeacherRows rows;
};

Heard hear(const std::vector<SaidToken>& said, size_t width, HeardTokens& tokens) {
  Heard heard;
  for (const SaidToken& token : said) {
    heard.sample.targets.push_back(tokens.add(token.bytes));
    std::vector<std::pair<TokenId, double>> all{{heard.sample.targets.back(), token.logprob}};
    for (const auto& [bytes, logprob] : token.top)
      if (bytes != token.bytes) all.emplace_back(tokens.add(bytes), logprob);
    for (size_t c = 0; c < width; ++c) {
      heard.rows.ids.push_back(c < all.size() ? all[c].first : -1);
      heard.rows.log_probs.push_back(c < all.size() ? static_cast<float>(all[c].second) : 0.0f);
    }
    heard.rows.log_rest.push_back(0);
  }
  return heard;
}

// The place of the first row that predicts the last answer: behind the last one that learns
// nothing.
size_t begin_of_last_answer(const Sample& sample) {
  size_t end = sample.targets.size();
  while (end > 0 && sample.targets[end - 1] < 0) --end;
  while (end > 0 && sample.targets[end - 1] >= 0) --end;
  return end;
}

// Whether that is the row's last answer, which was said of, and not an earlier one or a piece.
bool is_answer(const Sample& last, const Tokenizer& tokenizer, std::string_view answer) {
  std::string text;
  for (const TokenId id : last.targets)
    if (id >= 0 && !tokenizer.is_special(id)) text += tokenizer.token_bytes(id);
  const auto trimmed = [](std::string_view t) {  // as templates may
    const size_t begin = std::min(t.find_first_not_of(" \n"), t.size());
    return t.substr(begin, t.find_last_not_of(" \n") + 1 - begin);
  };
  const std::string_view said = trimmed(text);
  return !said.empty() && trimmed(answer).starts_with(said);
}

}  // namespace

Status add_said_rows(SaidRows& said, const fs::path& path, const SampleSet& samples,
                     const std::shared_ptr<const Tokenizer>& student, int64_t k,
                     int64_t vocabulary) {
  if (!student) return bad_input("{}: the model has no tokenizer to spell it in", path.string());
  SLLM_TRY(const auto examples, read_examples(path));
  std::vector<std::vector<SaidToken>> of_rows(examples.size());
  size_t width = 0;
  for (size_t row = 0; row < examples.size(); ++row) {
    const auto& extra = examples[row].extra;
    if (!extra.is_object() || !extra.contains("logprobs")) continue;
    SLLM_TRY(of_rows[row], said_tokens_from_json(extra["logprobs"]).context(examples[row].source));
    for (const SaidToken& token : of_rows[row]) width = std::max(width, token.top.size() + 1);
  }
  if (width == 0)
    return with_hint(bad_input("{}: no row has \"logprobs\"", path.string()),
                     "Make the rows with sllm distill --logprobs 20");
  const auto tokens = std::make_shared<HeardTokens>();
  std::vector<Heard> heard;
  for (const Sample& sample : samples.samples)
    heard.push_back(
        sample.row < 0 ? Heard() : hear(of_rows[static_cast<size_t>(sample.row)], width, *tokens));
  const TokenBridge bridge(student, tokens, vocabulary);
  for (size_t i = 0; i < heard.size(); ++i) {
    const Sample& sample = samples.samples[i];
    Sample last = sample;
    const size_t begin = begin_of_last_answer(sample);
    std::fill(last.targets.begin(), last.targets.begin() + static_cast<ptrdiff_t>(begin), -1);
    const std::string key = ReferenceLog::key(sample);
    if (heard[i].rows.log_rest.empty() && said.contains(key)) continue;
    if (sample.row < 0 ||
        !is_answer(last, *student, examples[static_cast<size_t>(sample.row)].answer()))
      heard[i] = {};
    TeacherRows rows;
    for (int64_t n = sample.supervised() - last.supervised(); n > 0; --n)
      TokenBridge::append_unknown(rows, k);
    const TeacherRows translated =
        bridge.translate(last, heard[i].sample, heard[i].rows, static_cast<int64_t>(width), k);
    rows.ids.insert(rows.ids.end(), translated.ids.begin(), translated.ids.end());
    rows.log_probs.insert(rows.log_probs.end(), translated.log_probs.begin(),
                          translated.log_probs.end());
    rows.log_rest.insert(rows.log_rest.end(), translated.log_rest.begin(),
                         translated.log_rest.end());
    said[key] = std::move(rows);
  }
  return ok();
}

}  // namespace sllm
