// The tokenizer: added tokens are found first, the text between is normalized, cut into words, and
// these become tokens (the order of Hugging Face's tokenizers library).
#include "text/tokenizer.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_spec.h"
#include "text/unicode.h"
#include "text/unigram_model.h"
#include "text/wordpiece_model.h"

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

Result<std::unique_ptr<WordModel>> build_model(const TokenizerSpec& spec) {
  if (spec.kind == ModelKind::kUnigram) {
    SLLM_TRY(UnigramModel model, UnigramModel::build(spec));
    return std::unique_ptr<WordModel>(std::make_unique<UnigramModel>(std::move(model)));
  }
  if (spec.kind == ModelKind::kWordPiece) {
    SLLM_TRY(WordPieceModel model, WordPieceModel::build(spec));
    return std::unique_ptr<WordModel>(std::make_unique<WordPieceModel>(std::move(model)));
  }
  SLLM_TRY(BpeModel model, BpeModel::build(spec));
  return std::unique_ptr<WordModel>(std::make_unique<BpeModel>(std::move(model)));
}

class PipelineTokenizer final : public Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> build(TokenizerSpec spec) {
    for (const std::string* affix : {&spec.continuing_prefix, &spec.end_suffix})
      if (affix->size() > kMaxTokenBytes)
        return bad_input("an affix of tokens has {} bytes", affix->size());
    auto t = std::make_shared<PipelineTokenizer>();
    SLLM_TRY(t->model_, build_model(spec));
    SLLM_TRY(t->normalizer_, Normalizer::build(spec.normalizers));
    SLLM_TRY(t->pre_tokenizer_, PreTokenizer::build(spec.pre_tokenizer));
    SLLM_TRY(t->decoder_, Decoder::build(spec.decoders));
    SLLM_OK(t->fill_tables(spec));
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
    ids.reserve(text.size() / 3 + 8);
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
    std::vector<std::string_view> tokens;
    for (const TokenId id : ids) {
      if (!known(id) || (skip_special && is_special(id))) continue;
      if (decoder_.plain())
        text += token_bytes(id);
      else
        tokens.push_back(shown_text(id));
    }
    return decoder_.plain() ? text : decoder_.decode(tokens);
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
  size_t spaces_to_trim() const override { return decoder_.spaces_to_trim(); }

 private:
  bool known(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < spec_.tokens.size(); }

  std::string_view shown_text(TokenId id) const {
    const auto it = normalized_texts_.find(id);
    return it == normalized_texts_.end() ? token_text(id) : std::string_view(it->second);
  }

  // Errors: a token of which the file's steps make too much.
  Status fill_tables(const TokenizerSpec& spec) {
    size_t bytes = 0;
    for (const std::string& text : spec.tokens) bytes += text.size();
    TextBudget budget(bytes, normalizer_.step_count() + decoder_.step_count());
    bytes_.reserve(spec.tokens.size());
    for (const std::string& text : spec.tokens) {
      SLLM_TRY(std::string decoded, decoded_token(text, text, budget));
      bytes_.push_back(std::move(decoded));
    }
    special_.assign(spec.tokens.size(), false);
    std::vector<AddedToken> raw, normalized;
    for (AddedToken token : spec.added) {
      special_[static_cast<size_t>(token.id)] = token.special;
      if (token.normalized) {
        const std::string name = token.text;
        SLLM_TRY(token.text, normalized_token(name, budget));
        // Hugging Face's library also decodes it so ("ABC" comes back as "abc").
        SLLM_TRY(bytes_[static_cast<size_t>(token.id)], decoded_token(name, token.text, budget));
        normalized_texts_[token.id] = token.text;
      }
      (token.normalized ? normalized : raw).push_back(std::move(token));
    }
    raw_tokens_ = AddedTokenMatcher(std::move(raw));
    normalized_tokens_ = AddedTokenMatcher(std::move(normalized));
    return ok();
  }

  Result<std::string> normalized_token(const std::string& name, TextBudget& budget) const {
    return made_of_token(name, [&] {
      Normalizer::Buffers buffers;
      return std::string(normalizer_.apply({name, 0, nullptr, &budget}, false, buffers).text);
    });
  }
  Result<std::string> decoded_token(std::string_view name, const std::string& text,
                                    TextBudget& budget) const {
    if (text.empty()) return text;
    return made_of_token(name, [&] { return decoder_.bytes_of(text, budget); });
  }
  template <class Make>
  static Result<std::string> made_of_token(std::string_view name, Make&& make) {
    const auto where = [&] {
      return fmt::format("token \"{}\"", unicode::sanitize_utf8(name.substr(0, 64)));
    };
    try {
      std::string text = make();
      if (text.size() <= 2 * kMaxTokenBytes) return text;  // a step may put spaces around it
      return bad_input("the steps make {} bytes of it", text.size()).context(where());
    } catch (const ResultError& e) {
      return Error(e.error).context(where());
    }
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
    TextBudget budget(text.size(), normalizer_.step_count() + pre_tokenizer_.step_count());
    split_at(
        raw_tokens_, text,
        [&](const AddedToken& t, size_t from, size_t to) { return target.allows(t, from, to); },
        [&](TokenId id, size_t end) { target.add(id, end); },
        [&](size_t from, size_t to) {
          encode_unnormalized({text.substr(from, to - from), from, nullptr, &budget}, target);
        });
  }

  void encode_unnormalized(const Piece& raw, Target& target) const {
    Normalizer::Buffers buffers;
    const bool trace = target.ends != nullptr;
    const Piece piece = normalizer_.apply(raw, trace, buffers);
    split_at(
        normalized_tokens_, piece.text,
        [&](const AddedToken& t, size_t from, size_t to) {
          return target.allows(t, piece.source_end(from), piece.source_end(to));
        },
        [&](TokenId id, size_t end) { target.add(id, piece.source_end(end)); },
        [&](size_t from, size_t to) {
          pre_tokenizer_.split(piece.sub(from, to), trace, [&](const Piece& word) {
            trace ? add_traced(word, target) : model_->encode(word.text, target.ids);
          });
        });
  }

  void add_traced(const Piece& word, Target& target) const {
    const size_t before = target.ends->size();
    model_->encode_traced(word.text, target.ids, *target.ends);
    for (size_t i = before; i < target.ends->size(); ++i)
      (*target.ends)[i] = word.source_end((*target.ends)[i]);
  }

  TokenizerSpec spec_;
  std::unique_ptr<const WordModel> model_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  Decoder decoder_;
  AddedTokenMatcher raw_tokens_, normalized_tokens_;
  std::vector<std::string> bytes_;
  std::unordered_map<TokenId, std::string> normalized_texts_;  // of added tokens
  std::vector<bool> special_;
  std::unordered_map<std::string_view, TokenId> ids_;  // views into spec_.tokens
};

}  // namespace

Result<TokenizerSpec> read_tokenizer(const TokenizerSource& source) {
  if (source.gguf) return read_tokenizer_gguf(*source.gguf);
  if (source.tokenizer_json.empty()) return read_tokenizer_files(source);
  return read_tokenizer_json(source.tokenizer_json, source.tokenizer_config_json);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const TokenizerSource& source) {
  SLLM_TRY(TokenizerSpec spec, read_tokenizer(source));
  return PipelineTokenizer::build(std::move(spec))
      .context(source.gguf                     ? "tokenizer.ggml"
               : source.tokenizer_json.empty() ? source.files.begin()->first
                                               : "tokenizer.json");
}

// A token of the vocabulary may lie behind the embedding's rows as long as no text holds it: Gemma
// 3's 1B has <image_soft_token> there.
Result<std::shared_ptr<const Tokenizer>> Tokenizer::of(const ModelSource& source) {
  const std::string where = source.path().string();
  SLLM_TRY(auto tokenizer, load(source.tokenizer()).context(where));
  for (const TokenId id : tokenizer->encode("", {.add_special = true}))
    if (id >= source.config().V)
      return bad_input(
          "{}: the tokenizer adds {} (id {}) to every text, but the embedding has {} "
          "rows",
          where, tokenizer->token_bytes(id), id, source.config().V);
  return tokenizer;
}

std::string StreamDecoder::push(TokenId id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  std::string_view bytes = tokenizer_->token_bytes(id);
  for (size_t n = at_start_ ? tokenizer_->spaces_to_trim() : 0; n > 0 && bytes.starts_with(' ');
       --n)
    bytes.remove_prefix(1);
  at_start_ = false;
  pending_ += bytes;
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
