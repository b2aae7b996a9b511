// The chain runs over a list of strings, of which some steps make one.
#include "text/decoder.h"

#include <algorithm>

#include "text/byte_level.h"

namespace sllm {
namespace {

using Tokens = std::vector<std::string>;

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  std::string out;
  size_t done = 0;
  for (size_t at; (at = text.find(what, done)) != text.npos; done = at + what.size())
    out.append(text, done, at - done).append(with);
  if (done > 0) text = out.append(text, done, text.npos);
}

std::string replace_matches(const Regex& regex, const std::string& text, const std::string& with,
                            TextBudget& budget) {
  std::string out;
  size_t done = 0;
  while (done < text.size()) {
    const auto [from, to] = regex.find(text, done, &budget);
    if (from == std::string::npos || from == to) break;
    budget.write(from - done + with.size());
    out.append(text, done, from - done).append(with);
    done = to;
  }
  budget.write(text.size() - done);
  return out.append(text, done, text.npos);
}

std::string fuse(const Tokens& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

void strip(const StripDecode& step, std::string& text) {
  std::string_view rest = text;
  for (size_t i = 0; i < step.start && rest.starts_with(step.content); ++i)
    rest.remove_prefix(step.content.size());
  for (size_t i = 0; i < step.stop && rest.ends_with(step.content); ++i)
    rest.remove_suffix(step.content.size());
  text = std::string(rest);
}

// BERT's spaces before punctuation and contractions go.
void clean_up(std::string& text) {
  static constexpr std::pair<const char*, const char*> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [what, with] : kRules) replace_all(text, what, with);
}

// Runs of byte tokens become their bytes when they are UTF-8, else one U+FFFD for each.
Tokens join_bytes(const Tokens& tokens) {
  Tokens out;
  std::string run;
  const auto flush = [&] {
    if (run.empty()) return;
    if (unicode::valid_utf8(run)) {
      out.push_back(run);
    } else {
      for (size_t i = 0; i < run.size(); ++i) out.push_back("\xEF\xBF\xBD");
    }
    run.clear();
  };
  for (const std::string& token : tokens) {
    if (const auto byte = byte_of_fallback_token(token)) {
      run += static_cast<char>(*byte);
    } else {
      flush();
      out.push_back(token);
    }
  }
  flush();
  return out;
}

void word_piece(const WordPieceDecode& step, std::string& token, bool first) {
  if (!first) {
    if (token.starts_with(step.prefix))
      token.erase(0, step.prefix.size());
    else
      token.insert(0, " ");
  }
  if (step.cleanup) clean_up(token);
}

constexpr const char* kNames[] = {"ByteLevel", "Replace",   "ByteFallback", "Fuse",
                                  "Strip",     "Metaspace", "WordPiece",    "BPEDecoder"};
static_assert(std::size(kNames) == std::variant_size_v<DecoderStep>);

}  // namespace

Result<Decoder> Decoder::build(const std::vector<DecoderStep>& steps) {
  SLLM_OK(check_step_count(steps.size(), "decoder"));
  Decoder decoder;
  bool fused = false;
  decoder.plain_ = !steps.empty();
  if (steps.empty()) decoder.trim_ = 1;
  for (const DecoderStep& what : steps) {
    Step step{what,
              fmt::format("step {} of the tokenizer's decoder ({})", decoder.steps_.size() + 1,
                          kNames[what.index()]),
              std::nullopt};
    if (const auto* replace = std::get_if<ReplaceDecode>(&what)) {
      SLLM_OK(check_step_text(replace->content, "Replace"));
      SLLM_TRY(step.regex, Regex::compile(replace->regex));
      decoder.plain_ &= !fused;
    }
    if (const auto* strip = std::get_if<StripDecode>(&what)) {
      decoder.plain_ = false;
      if (strip->content == " ") decoder.trim_ = strip->start;
    }
    if (const auto* space = std::get_if<MetaspaceDecode>(&what); space && space->prepended)
      decoder.plain_ = false, decoder.trim_ = SIZE_MAX;
    if (std::holds_alternative<WordPieceDecode>(what)) decoder.plain_ = false, decoder.trim_ = 1;
    if (std::holds_alternative<SuffixDecode>(what)) decoder.plain_ = false;
    if (std::holds_alternative<ByteFallbackDecode>(what)) decoder.plain_ = false;
    fused |= std::holds_alternative<FuseDecode>(what);
    decoder.steps_.push_back(std::move(step));
  }
  return decoder;
}

std::string Decoder::decode(std::span<const std::string_view> tokens) const {
  Tokens texts(tokens.begin(), tokens.end());
  if (steps_.empty()) {
    std::string joined;
    for (const std::string& text : texts) joined += (&text == texts.data() ? "" : " ") + text;
    return joined;
  }
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  TextBudget budget(bytes, steps_.size());
  for (const Step& step : steps_) {
    budget.begin(step.name);
    struct Visit {
      const Step& step;
      Tokens& texts;
      TextBudget& budget;
      void operator()(const ByteLevelDecode&) const {
        std::string bytes;
        for (const std::string& text : texts) bytes += bytes_of_token_text(text).value_or(text);
        texts = {std::move(bytes)};
      }
      void operator()(const ReplaceDecode& s) const {
        for (std::string& text : texts)
          text = replace_matches(*step.regex, text, s.content, budget);
      }
      void operator()(const ByteFallbackDecode&) const { texts = join_bytes(texts); }
      void operator()(const FuseDecode&) const { texts = {fuse(texts)}; }
      void operator()(const StripDecode& s) const {
        for (std::string& text : texts) strip(s, text);
      }
      void operator()(const MetaspaceDecode& s) const {
        for (std::string& text : texts)
          replace_all(text, s.replacement, s.prepended && &text == texts.data() ? "" : " ");
      }
      void operator()(const WordPieceDecode& s) const {
        for (std::string& text : texts) word_piece(s, text, &text == texts.data());
      }
      void operator()(const SuffixDecode& s) const {
        for (std::string& text : texts)
          replace_all(text, s.suffix, &text == &texts.back() ? "" : " ");
      }
    };
    std::visit(Visit{step, texts, budget}, step.what);
  }
  return fuse(texts);
}

std::string Decoder::bytes_of(std::string_view token, TextBudget& budget) const {
  if (steps_.empty()) return " " + std::string(token);
  std::string text(token);
  bool fused = false;
  for (const Step& step : steps_) {
    budget.begin(step.name);
    struct Visit {
      const Step& step;
      std::string& text;
      bool& fused;
      TextBudget& budget;
      void operator()(const ByteLevelDecode&) const {
        text = bytes_of_token_text(text).value_or(text);
        fused = true;
      }
      void operator()(const ReplaceDecode& s) const {
        if (!fused) text = replace_matches(*step.regex, text, s.content, budget);
      }
      void operator()(const ByteFallbackDecode&) const {
        if (const auto byte = byte_of_fallback_token(text))
          text = static_cast<char>(*byte), fused = true;
      }
      void operator()(const FuseDecode&) const { fused = true; }
      void operator()(const StripDecode& s) const {
        if (!fused) strip(s, text);
      }
      void operator()(const MetaspaceDecode& s) const { replace_all(text, s.replacement, " "); }
      void operator()(const WordPieceDecode& s) const { word_piece(s, text, false); }
      void operator()(const SuffixDecode& s) const { replace_all(text, s.suffix, " "); }
    };
    std::visit(Visit{step, text, fused, budget}, step.what);
  }
  return text;
}

}  // namespace sllm
