#include "text/sentencepiece_normalizer.h"

namespace sllm {

Result<SentencePieceNormalizer> SentencePieceNormalizer::build(const SentencePieceStep& step) {
  SentencePieceNormalizer n;
  SLLM_TRY(n.map_, Charsmap::read(step.charsmap));
  std::vector<std::pair<std::string_view, int32_t>> kept;
  for (const std::string& text : step.kept) kept.emplace_back(text, 0);
  if (!kept.empty()) n.kept_ = ByteTrie(std::move(kept));
  n.options_ = step;
  n.options_.charsmap.clear();
  n.options_.kept.clear();
  return n;
}

SentencePieceNormalizer::Prefix SentencePieceNormalizer::next(std::string_view text) const {
  if (const auto [length, value] = kept_.longest_prefix(text); length > 0)
    return {text.substr(0, length), length};
  if (const Charsmap::Match match = map_.longest(text); match.length > 0)
    return {match.replacement, match.length};
  const size_t length = unicode::decode(text.data()).length;
  return {text.substr(0, length), length};
}

Piece SentencePieceNormalizer::apply(const Piece& piece, bool trace, PieceBuffer& buffer) const {
  const std::string_view space = options_.escape_spaces ? "\xE2\x96\x81" : " ";
  const bool joins = options_.remove_extra_spaces;
  PieceEditor editor(piece, trace, buffer);
  const std::string_view text = piece.text;
  size_t at = 0;
  while (joins && at < text.size()) {
    const Prefix prefix = next(text.substr(at));
    if (prefix.text != " ") break;
    at += prefix.consumed;
  }
  if (at == text.size()) return editor.finish();
  if (options_.dummy_prefix && !options_.space_as_suffix) editor.put(space, at);
  bool after_space = joins;
  while (at < text.size()) {
    Prefix prefix = next(text.substr(at));
    at += prefix.consumed;
    while (after_space && prefix.text.starts_with(' ')) prefix.text.remove_prefix(1);
    for (std::string_view rest = prefix.text; !rest.empty();) {
      const size_t blank = rest.find(' ');
      editor.put(rest.substr(0, blank), at);
      if (blank == rest.npos) break;
      editor.put(space, at);
      rest.remove_prefix(blank + 1);
    }
    if (!prefix.text.empty()) after_space = prefix.text.ends_with(' ');
    if (!joins) after_space = false;
  }
  while (joins && editor.text().ends_with(space))
    editor.shrink(editor.text().size() - space.size());
  if (options_.dummy_prefix && options_.space_as_suffix) editor.put(space, text.size());
  return editor.finish();
}

}  // namespace sllm
