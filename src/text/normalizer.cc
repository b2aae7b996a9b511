// One function per kind of step; each takes a piece and writes what it becomes.
#include "text/normalizer.h"

#include <algorithm>

#include "text/byte_level.h"
#include "text/regex.h"
#include "text/sentencepiece_normalizer.h"

namespace sllm {
namespace {

using unicode::Char;

// Calls change(code, bytes, end, editor) for each character.
template <class Change>
Piece each_char(const Piece& piece, bool trace, PieceBuffer& buffer, Change&& change) {
  PieceEditor editor(piece, trace, buffer);
  for (size_t at = 0; at < piece.text.size();) {
    const Char c = unicode::decode(piece.text.data() + at);
    const size_t end = at + c.length;
    change(c.code, piece.text.substr(at, c.length), end, editor);
    at = end;
  }
  return editor.finish();
}

Piece to_form(unicode::Form form, const Piece& piece, bool trace, PieceBuffer& buffer) {
  if (unicode::is_normalized(form, piece.text)) return piece;
  std::vector<size_t> ends;
  buffer.text = unicode::normalize(form, piece.text, trace ? &ends : nullptr);
  for (size_t& end : ends) end = piece.source_end(end);
  buffer.ends = std::move(ends);
  if (piece.budget) piece.budget->write(buffer.text.size());
  return {buffer.text, piece.from, trace ? buffer.ends.data() : nullptr, piece.budget};
}

Piece replace(const Regex& regex, const std::string& content, const Piece& piece, bool trace,
              PieceBuffer& buffer) {
  PieceEditor editor(piece, trace, buffer);
  size_t done = 0, search = 0;
  while (search <= piece.text.size()) {
    const auto [from, to] = regex.find(piece.text, search, piece.budget);
    if (from == std::string::npos) break;
    if (from == to) {  // Hugging Face's library replaces nothing there either
      if (to >= piece.text.size()) break;
      search = to + unicode::decode(piece.text.data() + to).length;
      continue;
    }
    editor.keep(done, from);
    editor.put(content, to);
    done = search = to;
  }
  editor.keep(done, piece.text.size());
  return editor.finish();
}

// A replacement of one fixed byte string needs no regex.
Piece replace_text(std::string_view text, const std::string& content, const Piece& piece,
                   bool trace, PieceBuffer& buffer) {
  if (piece.text.find(text) == std::string_view::npos) return piece;
  PieceEditor editor(piece, trace, buffer);
  size_t done = 0;
  for (size_t at; (at = piece.text.find(text, done)) != std::string_view::npos;) {
    editor.keep(done, at);
    done = at + text.size();
    editor.put(content, done);
  }
  editor.keep(done, piece.text.size());
  return editor.finish();
}

Piece strip(const StripStep& what, const Piece& piece) {
  size_t from = 0, to = piece.text.size();
  while (what.left && from < to) {
    const Char c = unicode::decode(piece.text.data() + from);
    if (!unicode::is_space(c.code)) break;
    from += c.length;
  }
  while (what.right && to > from) {
    const Char c = unicode::decode_before(piece.text.data() + to);
    if (!unicode::is_space(c.code)) break;
    to -= c.length;
  }
  return piece.sub(from, to);
}

bool is_chinese(char32_t c) {  // the ranges of Hugging Face's library, one of which is mistyped
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// BERT's BasicTokenizer before it splits (google-research/bert, tokenization.py).
Piece bert(const BertStep& what, const Piece& source, bool trace, PieceBuffer& buffer) {
  PieceBuffer first, second;
  Piece piece =
      each_char(source, trace, first,
                [&](char32_t code, std::string_view bytes, size_t end, PieceEditor& editor) {
                  const bool blank = code == '\t' || code == '\n' || code == '\r';
                  if (what.clean_text) {
                    if (code == 0 || code == 0xFFFD || (!blank && unicode::is_other(code))) return;
                    if (blank || unicode::is_space(code)) return editor.put(" ", end);
                  }
                  if (!what.chinese_apart || !is_chinese(code)) return editor.put(bytes, end);
                  editor.put(" ", end);
                  editor.put(bytes, end);
                  editor.put(" ", end);
                });
  if (what.strip_accents) piece = to_form(unicode::Form::kNfd, piece, trace, second);
  return each_char(piece, trace, buffer,
                   [&](char32_t code, std::string_view bytes, size_t end, PieceEditor& editor) {
                     if (what.strip_accents && unicode::is_nonspacing_mark(code)) return;
                     if (!what.lowercase) return editor.put(bytes, end);
                     std::string lower;
                     unicode::append_lowercase(lower, code);
                     editor.put(lower, end);
                   });
}

// The rules of Moses that NMT models share (tokenizers' Nmt).
void nmt(char32_t c, std::string_view bytes, size_t end, PieceEditor& editor) {
  const auto in = [c](char32_t low, char32_t high) { return c >= low && c <= high; };
  if (in(0x1, 0x8) || c == 0xB || in(0xE, 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return;
  const bool blank = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                     in(0x200B, 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                     c == 0xFEFF || c == 0xFFFD;
  editor.put(blank ? " " : bytes, end);
}

// tokenizers' reading of the charsmap: a grapheme of up to five bytes is replaced whole by the
// shortest rule that begins it, otherwise each character is.
Piece precompiled(const Charsmap& map, const Piece& piece, bool trace, PieceBuffer& buffer) {
  PieceEditor editor(piece, trace, buffer);
  const auto apply = [&](size_t at, size_t length) {
    const Charsmap::Match match = map.shortest(piece.text.substr(at, length));
    if (match.length > 0) editor.put(match.replacement, at + length);
    return match.length > 0;
  };
  size_t at = 0;
  for (const size_t length : unicode::grapheme_lengths(piece.text)) {
    const size_t end = at + length;
    if (length < 6 && apply(at, length)) {
      at = end;
      continue;
    }
    while (at < end) {
      const size_t bytes = unicode::decode(piece.text.data() + at).length;
      if (!apply(at, bytes)) editor.keep(at, at + bytes);
      at += bytes;
    }
  }
  return editor.finish();
}

Result<Normalizer::Step> build_step(const NormalizerStep& what) {
  using Step = Normalizer::Step;
  struct Build {
    Result<Step> operator()(const FormStep& s) const {
      return Step([form = s.form](const Piece& p, bool trace, PieceBuffer& b) {
        return to_form(form, p, trace, b);
      });
    }
    Result<Step> operator()(const PrependStep& s) const {
      SLLM_OK(check_step_text(s.text, "Prepend"));
      return Step([text = s.text](const Piece& p, bool trace, PieceBuffer& b) {
        if (p.text.empty()) return p;
        PieceEditor editor(p, trace, b);
        editor.put(text, 0);
        editor.keep(0, p.text.size());
        return editor.finish();
      });
    }
    Result<Step> operator()(const ReplaceStep& s) const {
      SLLM_OK(check_step_text(s.content, "Replace"));
      if (const std::string text = text_of_regex(s.regex).value_or(""); !text.empty())
        return Step([text, content = s.content](const Piece& p, bool trace, PieceBuffer& b) {
          return replace_text(text, content, p, trace, b);
        });
      SLLM_TRY(Regex regex, Regex::compile(s.regex));
      return Step([regex = std::move(regex), content = s.content](const Piece& p, bool trace,
                                                                  PieceBuffer& b) {
        return replace(regex, content, p, trace, b);
      });
    }
    Result<Step> operator()(const LowercaseStep&) const {
      return Step([](const Piece& p, bool trace, PieceBuffer& b) {
        return each_char(p, trace, b, [](char32_t c, std::string_view, size_t end, PieceEditor& e) {
          std::string lower;
          unicode::append_lowercase(lower, c);
          e.put(lower, end);
        });
      });
    }
    Result<Step> operator()(const StripAccentsStep&) const {
      return Step([](const Piece& p, bool trace, PieceBuffer& b) {
        return each_char(p, trace, b,
                         [](char32_t c, std::string_view bytes, size_t end, PieceEditor& e) {
                           if (!unicode::is_mark(c)) e.put(bytes, end);
                         });
      });
    }
    Result<Step> operator()(const BertStep& s) const {
      return Step([s](const Piece& p, bool trace, PieceBuffer& b) { return bert(s, p, trace, b); });
    }
    Result<Step> operator()(const StripStep& s) const {
      return Step([s](const Piece& p, bool, PieceBuffer&) { return strip(s, p); });
    }
    Result<Step> operator()(const PrecompiledStep& s) const {
      SLLM_TRY(Charsmap map, Charsmap::read(s.charsmap));
      return Step([map](const Piece& p, bool trace, PieceBuffer& b) {
        return precompiled(map, p, trace, b);
      });
    }
    Result<Step> operator()(const NmtStep&) const {
      return Step(
          [](const Piece& p, bool trace, PieceBuffer& b) { return each_char(p, trace, b, nmt); });
    }
    Result<Step> operator()(const BytesStep&) const {
      return Step([](const Piece& p, bool trace, PieceBuffer& b) {
        PieceEditor editor(p, trace, b);
        for (size_t i = 0; i < p.text.size(); ++i)
          editor.put(token_text_of_bytes(p.text.substr(i, 1)), i + 1);
        return editor.finish();
      });
    }
    Result<Step> operator()(const SentencePieceStep& s) const {
      SLLM_TRY(auto normalizer, SentencePieceNormalizer::build(s));
      return Step([normalizer = std::move(normalizer)](const Piece& p, bool trace, PieceBuffer& b) {
        return normalizer.apply(p, trace, b);
      });
    }
  };
  return std::visit(Build{}, what);
}

constexpr const char* kNames[] = {"normal form",  "Prepend",   "Replace",      "Lowercase",
                                  "StripAccents", "Bert",      "Strip",        "Precompiled",
                                  "Nmt",          "ByteLevel", "sentencepiece"};
static_assert(std::size(kNames) == std::variant_size_v<NormalizerStep>);

}  // namespace

Result<Normalizer> Normalizer::build(const std::vector<NormalizerStep>& steps) {
  SLLM_OK(check_step_count(steps.size(), "normalizer"));
  Normalizer normalizer;
  for (const NormalizerStep& what : steps) {
    SLLM_TRY(Step step, build_step(what));
    std::string name = fmt::format("step {} of the tokenizer's normalizer ({})",
                                   normalizer.steps_.size() + 1, kNames[what.index()]);
    normalizer.steps_.push_back({std::move(name), std::move(step)});
  }
  return normalizer;
}

Piece Normalizer::apply(Piece piece, bool trace, Buffers& buffers) const {
  size_t next = 0;
  for (const NamedStep& step : steps_) {
    if (piece.budget) piece.budget->begin(step.name);
    piece = step.run(piece, trace, buffers[next]);
    // The next step may not write where the piece lies.
    const std::string& text = buffers[next].text;
    if (std::less_equal<>()(text.data(), piece.text.data()) &&
        std::less<>()(piece.text.data(), text.data() + text.size() + 1))
      next = 1 - next;
  }
  return piece;
}

}  // namespace sllm
