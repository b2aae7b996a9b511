// The tokenizer: added tokens are found first, the text between is normalized, cut into words and
// merged (the order of Hugging Face's tokenizers library).
#include "text/tokenizer.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "base/check.h"
#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/byte_level.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_spec.h"
#include "text/unicode.h"

namespace sllm {
namespace {

// One run of encode(): where tokens go and which special tokens count.
struct Target {
  std::vector<TokenId>& ids;
  std::vector<size_t>* ends = nullptr;  // wanted or not
  bool parse_special = true;
  std::span<const uint8_t> plain;  // empty: special tokens count everywhere

  void add(TokenId id, size_t end) {
    ids.push_back(id);
    if (ends) ends->push_back(end);
  }
  bool allows(const AddedToken& token, size_t from, size_t to) const {
    if (!token.special) return true;
    if (!parse_special) return false;
    return plain.empty() ||
           std::ranges::none_of(plain.subspan(from, to - from), [](uint8_t p) { return p != 0; });
  }
};

class BpeTokenizer final : public Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> build(TokenizerSpec spec) {
    auto t = std::make_shared<BpeTokenizer>();
    SLLM_TRY(t->model_, BpeModel::build(spec));
    SLLM_TRY(t->pre_tokenizer_, PreTokenizer::build(spec.pre_tokenizer));
    t->fill_tables(spec);
    t->spec_ = std::move(spec);
    t->spec_.merges = {};  // in model_ now
    for (size_t id = 0; id < t->spec_.tokens.size(); ++id)
      if (!t->spec_.tokens[id].empty())
        t->ids_.emplace(t->spec_.tokens[id], static_cast<TokenId>(id));
    return std::shared_ptr<const Tokenizer>(std::move(t));
  }

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override {
    std::string repaired;
    if (!unicode::valid_utf8(text)) text = repaired = unicode::sanitize_utf8(text);
    std::vector<TokenId> ids;
    if (options.add_special) ids = spec_.prefix;
    Target target{ids, nullptr, options.parse_special, {}};
    encode_raw(text, target);
    if (options.add_special) ids.insert(ids.end(), spec_.suffix.begin(), spec_.suffix.end());
    return ids;
  }

  EncodedText encode_marked(std::string_view text, std::span<const uint8_t> plain) const override {
    SLLM_CHECK(plain.size() == text.size(), "{} marks for {} bytes", plain.size(), text.size());
    SLLM_CHECK(unicode::valid_utf8(text), "encode_marked: not UTF-8");
    EncodedText encoded;
    Target target{encoded.ids, &encoded.ends, true, plain};
    encode_raw(text, target);
    return encoded;
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::string text;
    for (const TokenId id : ids)
      if (!(skip_special && is_special(id))) text += token_bytes(id);
    return text;
  }
  std::string_view token_bytes(TokenId id) const override {
    return known(id) ? std::string_view(bytes_[static_cast<size_t>(id)]) : std::string_view();
  }
  std::string_view token_text(TokenId id) const override {
    return known(id) ? std::string_view(spec_.tokens[static_cast<size_t>(id)]) : std::string_view();
  }
  bool is_special(TokenId id) const override {
    return known(id) && special_[static_cast<size_t>(id)];
  }
  TokenId id_of(std::string_view token_text) const override {
    const auto it = ids_.find(token_text);
    return it == ids_.end() ? -1 : it->second;
  }
  int64_t vocab_size() const override { return static_cast<int64_t>(spec_.tokens.size()); }
  TokenId bos_id() const override { return spec_.bos; }
  const std::vector<TokenId>& eos_ids() const override { return spec_.eos; }

 private:
  bool known(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < spec_.tokens.size(); }

  void fill_tables(const TokenizerSpec& spec) {
    bytes_.reserve(spec.tokens.size());
    for (const std::string& text : spec.tokens)
      bytes_.push_back(bytes_of_token_text(text).value_or(text));
    special_.assign(spec.tokens.size(), false);
    std::vector<AddedToken> raw, normalized;
    for (AddedToken token : spec.added) {
      special_[static_cast<size_t>(token.id)] = token.special;
      if (token.normalized)
        for (const unicode::Form form : spec.normalizers)
          token.text = unicode::normalize(form, token.text);
      (token.normalized ? normalized : raw).push_back(std::move(token));
    }
    raw_tokens_ = AddedTokenMatcher(std::move(raw));
    normalized_tokens_ = AddedTokenMatcher(std::move(normalized));
  }

  // Splits `text` at the matcher's tokens; the text between goes to between(from, to).
  template <class Allowed, class Add, class Between>
  static void split_at(const AddedTokenMatcher& matcher, std::string_view text, Allowed&& allowed,
                       Add&& add, Between&& between) {
    size_t from = 0;
    while (!matcher.empty() && from < text.size()) {
      const AddedTokenMatcher::Match match = matcher.next(text, from, allowed);
      if (!match.token) break;
      if (from < match.from) between(from, match.from);
      add(match.token->id, match.to);
      from = match.to;
    }
    if (from < text.size()) between(from, text.size());
  }

  void encode_raw(std::string_view text, Target& target) const {
    split_at(
        raw_tokens_, text,
        [&](const AddedToken& t, size_t from, size_t to) { return target.allows(t, from, to); },
        [&](TokenId id, size_t end) { target.add(id, end); },
        [&](size_t from, size_t to) {
          encode_unnormalized(text.substr(from, to - from), from, target);
        });
  }

  void encode_unnormalized(std::string_view text, size_t offset, Target& target) const {
    std::string normalized;
    std::vector<size_t> ends, step_ends;  // of each byte in `text`; empty: nothing has changed
    for (const unicode::Form form : spec_.normalizers) {
      if (unicode::is_normalized(form, text)) continue;
      normalized = unicode::normalize(form, text, target.ends ? &step_ends : nullptr);
      if (!ends.empty())
        for (size_t& end : step_ends) end = ends[end - 1];
      ends.swap(step_ends);
      text = normalized;
    }
    const auto source_end = [&](size_t end) {
      return offset + (ends.empty() || end == 0 ? end : ends[end - 1]);
    };
    split_at(
        normalized_tokens_, text,
        [&](const AddedToken& t, size_t from, size_t to) {
          return target.allows(t, source_end(from), source_end(to));
        },
        [&](TokenId id, size_t end) { target.add(id, source_end(end)); },
        [&](size_t from, size_t to) {
          pre_tokenizer_.split(text.substr(from, to - from),
                               [&](std::string_view word, size_t word_end) {
                                 add_word(word, from + word_end, source_end, target);
                               });
        });
  }

  template <class SourceEnd>
  void add_word(std::string_view word, size_t word_end, const SourceEnd& source_end,
                Target& target) const {
    const size_t before = target.ids.size();
    model_.encode(word, target.ids);
    if (!target.ends) return;
    // A prefix space or a byte without a token shifts the middle of a word; its end stays exact.
    size_t end = word_end - std::min(word_end, word.size());
    for (size_t i = before; i < target.ids.size(); ++i) {
      end = std::min(end + token_bytes(target.ids[i]).size(), word_end);
      target.ends->push_back(source_end(i + 1 == target.ids.size() ? word_end : end));
    }
  }

  TokenizerSpec spec_;
  BpeModel model_;
  PreTokenizer pre_tokenizer_;
  AddedTokenMatcher raw_tokens_, normalized_tokens_;
  std::vector<std::string> bytes_;
  std::vector<bool> special_;
  std::unordered_map<std::string_view, TokenId> ids_;  // views into spec_.tokens
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const TokenizerSource& source) {
  if (source.gguf) {
    SLLM_TRY(TokenizerSpec spec, read_tokenizer_gguf(*source.gguf));
    return BpeTokenizer::build(std::move(spec)).context("tokenizer.ggml");
  }
  if (source.tokenizer_json.empty())
    return with_hint(bad_input("the model has no tokenizer"),
                     "Put its tokenizer.json beside its config.json");
  SLLM_TRY(TokenizerSpec spec,
           read_tokenizer_json(source.tokenizer_json, source.tokenizer_config_json));
  return BpeTokenizer::build(std::move(spec)).context("tokenizer.json");
}

std::string StreamDecoder::push(TokenId id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  pending_ += tokenizer_->token_bytes(id);
  // What may still become a character: a lead byte near the end with too few bytes behind it.
  size_t keep = 0;
  for (size_t back = 1; back <= 3 && back <= pending_.size(); ++back) {
    const auto byte = static_cast<uint8_t>(pending_[pending_.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    if (length > back) keep = back;
    break;
  }
  std::string complete = pending_.substr(0, pending_.size() - keep);
  pending_.erase(0, pending_.size() - keep);
  return unicode::sanitize_utf8(complete);
}

std::string StreamDecoder::finish() { return unicode::sanitize_utf8(std::exchange(pending_, {})); }

}  // namespace sllm
