// The steps of a pre-tokenizer, each cutting what the one before it left.
#include "text/pre_tokenizer.h"

#include "text/byte_level.h"
#include "text/split.h"

namespace sllm {
namespace {

using unicode::Char;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

// \w as Rust's regex library has it.
bool is_word_char(char32_t c) { return unicode::is_word(c) || c == 0x200C || c == 0x200D; }

// \w+|[^\w\s]+ : the first run of word characters, or of what is neither word nor space.
std::pair<size_t, size_t> next_word(std::string_view text, size_t from) {
  const auto start = next_char(text, from, false,
                               [](char32_t c) { return !unicode::is_space(c) || is_word_char(c); });
  if (start == kNoMatch) return kNoMatch;
  const bool word = is_word_char(unicode::decode(text.data() + start.first).code);
  return next_char(text, start.first, true, [word](char32_t c) {
    return word ? is_word_char(c) : !is_word_char(c) && !unicode::is_space(c);
  });
}

constexpr int kAnyScript = -1;

// The script of a character in the table of tokenizers' UnicodeScripts, which is Unicode 9's: what
// came later has none. Kana count as Han there, and a space has no script.
int script_in_unicode_9(char32_t code) {
  constexpr int kCommon = 0, kDevanagari = 10, kHan = 17, kHiragana = 20, kKatakana = 22;  // ICU's
  const int version = unicode::version_of(code);
  if (code == ' ' || version < 1 || version > 9) return kAnyScript;
  if (code == 0x589 || code == 0x61C) return kCommon;  // moved since
  if (code == 0x953 || code == 0x954) return kDevanagari;
  if (code == 0x30FC) return kHan;
  const int script = unicode::script_of(code);
  return script == kHiragana || script == kKatakana ? kHan : script;
}

// Where tokenizers' UnicodeScripts cuts: between scripts; what has none joins any, and is lost in
// front.
template <class Emit>
void split_scripts(std::string_view text, Emit&& emit) {
  std::optional<size_t> begin;
  std::optional<int> last;
  for (size_t at = 0; at < text.size();) {
    const Char c = unicode::decode(text.data() + at);
    const int script = script_in_unicode_9(c.code);
    if (script != kAnyScript && last != script) {
      if (begin) emit(*begin, at);
      begin = at;
    }
    if (script != kAnyScript) last = script;
    at += c.length;
  }
  if (begin) emit(*begin, text.size());
}

Piece metaspace(const MetaspaceStep& step, const Piece& piece, bool trace, PieceBuffer& buffer) {
  PieceEditor editor(piece, trace, buffer);
  const bool has_it = piece.text.starts_with(' ') || piece.text.starts_with(step.replacement);
  using Prepend = MetaspaceStep::Prepend;
  if (!has_it &&
      (step.prepend == Prepend::kAlways || (step.prepend == Prepend::kFirst && piece.from == 0)))
    editor.put(step.replacement, 0);
  size_t done = 0;
  for (size_t at; (at = piece.text.find(' ', done)) != std::string_view::npos; done = at + 1) {
    editor.keep(done, at);
    editor.put(step.replacement, at + 1);
  }
  editor.keep(done, piece.text.size());
  return editor.finish();
}

Piece show_bytes(const Piece& piece, bool trace, PieceBuffer& buffer) {
  PieceEditor editor(piece, trace, buffer);
  for (size_t i = 0; i < piece.text.size(); ++i)
    editor.put(token_text_of_bytes(piece.text.substr(i, 1)), i + 1);
  return editor.finish();
}

Piece hide_bytes(const Piece& piece, bool trace, PieceBuffer& buffer) {
  PieceEditor editor(piece, trace, buffer);
  for (size_t at = 0; at < piece.text.size();) {
    const size_t length = unicode::decode(piece.text.data() + at).length;
    editor.put(bytes_of_token_text(piece.text.substr(at, length)).value_or(""), at + length);
    at += length;
  }
  return editor.finish();
}

constexpr const char* kNames[] = {"Split",        "Digits",    "Punctuation",
                                  "Whitespace",   "Bert",      "UnicodeScripts",
                                  "prefix space", "Metaspace", "ByteLevel"};
static_assert(std::size(kNames) == std::variant_size_v<PreTokenizerStep>);

}  // namespace

Result<PreTokenizer> PreTokenizer::build(const std::vector<PreTokenizerStep>& steps) {
  SLLM_OK(check_step_count(steps.size(), "pre-tokenizer"));
  PreTokenizer result;
  for (const PreTokenizerStep& what : steps) {
    Step step{what,
              fmt::format("step {} of the tokenizer's pre-tokenizer ({})", result.steps_.size() + 1,
                          kNames[what.index()]),
              std::nullopt, std::nullopt};
    if (const auto* split = std::get_if<SplitStep>(&what)) {
      if (split->behaviour == SplitBehaviour::kIsolated ||
          (split->behaviour == SplitBehaviour::kRemoved && split->invert))
        step.scanner = known_pattern(split->regex);
      if (!step.scanner) {
        SLLM_TRY(step.regex, Regex::compile(split->regex));
      }
    }
    if (std::holds_alternative<BytesStep>(what)) result.shows_bytes_ = true;
    result.steps_.push_back(std::move(step));
  }
  if (result.steps_.size() == 1) result.only_scanner_ = result.steps_[0].scanner;
  return result;
}

void PreTokenizer::split_from(size_t index, const Piece& piece, bool trace,
                              const Sink& word) const {
  if (piece.text.empty()) return;
  PieceBuffer buffer;
  if (index == steps_.size()) return word(shows_bytes_ ? hide_bytes(piece, trace, buffer) : piece);
  const Step& step = steps_[index];
  if (piece.budget) piece.budget->begin(step.name);
  const std::string_view text = piece.text;
  const auto next = [&](const Piece& p) { split_from(index + 1, p, trace, word); };
  const auto emit = [&](size_t from, size_t to) { next(piece.sub(from, to)); };
  const auto split_spaces = [&](auto&& part) {
    split_at_matches(
        text, SplitBehaviour::kRemoved, false,
        [&](size_t from) { return next_char(text, from, true, unicode::is_space); }, part);
  };
  const auto split_punctuation = [&](const Piece& part, SplitBehaviour behaviour) {
    split_at_matches(
        part.text, behaviour, false,
        [&](size_t at) { return next_char(part.text, at, false, unicode::is_punctuation); },
        [&](size_t from, size_t to) { next(part.sub(from, to)); });
  };
  const auto scan = [&](WordPattern pattern) {
    for (size_t at = 0; at < text.size();) {
      const size_t length = word_length(pattern, text.substr(at));
      emit(at, at + length);
      at += length;
    }
  };
  std::visit(
      Overloaded{
          [&](const SplitStep& s) {
            if (step.scanner) return scan(*step.scanner);
            split_at_matches(
                text, s.behaviour, s.invert,
                [&](size_t from) { return step.regex->find(text, from, piece.budget); }, emit);
          },
          [&](const DigitsStep& s) {
            split_at_matches(
                text, SplitBehaviour::kIsolated, false,
                [&](size_t from) {
                  return next_char(text, from, !s.individual, [](char32_t c) {
                    return unicode::class_of(c) == unicode::Class::kNumber;
                  });
                },
                emit);
          },
          [&](const PunctuationStep& s) { split_punctuation(piece, s.behaviour); },
          [&](const WhitespaceStep& s) {
            if (!s.words_apart) return split_spaces(emit);
            split_at_matches(
                text, SplitBehaviour::kRemoved, true,
                [&](size_t from) { return next_word(text, from); }, emit);
          },
          [&](const BertSplitStep&) {
            split_spaces([&](size_t from, size_t to) {
              split_punctuation(piece.sub(from, to), SplitBehaviour::kIsolated);
            });
          },
          [&](const ScriptsStep&) { split_scripts(text, emit); },
          [&](const PrefixSpaceStep&) {
            if (text.front() == ' ') return next(piece);
            PieceEditor editor(piece, trace, buffer);
            editor.put(" ", 0);
            editor.keep(0, text.size());
            next(editor.finish());
          },
          [&](const MetaspaceStep& s) {
            const Piece changed = metaspace(s, piece, trace, buffer);
            if (!s.split) return next(changed);
            split_at_matches(
                changed.text, SplitBehaviour::kMergedWithNext, false,
                [&](size_t from) -> std::pair<size_t, size_t> {
                  const size_t at = changed.text.find(s.replacement, from);
                  return at == std::string_view::npos ? kNoMatch
                                                      : std::pair(at, at + s.replacement.size());
                },
                [&](size_t from, size_t to) { next(changed.sub(from, to)); });
          },
          [&](const BytesStep&) { next(show_bytes(piece, trace, buffer)); },
      },
      step.what);
}

}  // namespace sllm
