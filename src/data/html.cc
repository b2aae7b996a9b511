// HTML through libxml2's SAX interface: no tree, so a million nested tags cost no stack.
#include "data/html.h"

#include <libxml/HTMLparser.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <string>

namespace sllm {
namespace {

constexpr std::array kSkipped = {"script", "style",  "noscript", "template", "nav",
                                 "svg",    "iframe", "object",   "select",   "button",
                                 "video",  "audio",  "textarea", "math"};
constexpr std::array kBlocks = {"p",       "div",     "section", "article",   "main", "header",
                                "footer",  "aside",   "ul",      "ol",        "dl",   "dd",
                                "dt",      "table",   "tbody",   "thead",     "form", "fieldset",
                                "address", "figure",  "hr",      "body",      "h1",   "h2",
                                "h3",      "h4",      "h5",      "h6",        "pre",  "blockquote",
                                "details", "summary", "caption", "figcaption"};

bool one_of(std::string_view name, const auto& names) {
  return std::ranges::find(names, name) != names.end();
}

int heading_level(std::string_view name) {
  return name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6' ? name[1] - '0' : 0;
}

class HtmlReader {
 public:
  Document document;

  void start(std::string_view name) {
    if (skip_depth_ || one_of(name, kSkipped)) {
      ++skip_depth_;
      return;
    }
    if (name == "title") in_title_ = true;
    if (one_of(name, kBlocks)) flush();
    if (name == "br" || name == "tr") new_line();
    if (name == "li") new_line(), append("- ");
    if (name == "table") preformatted_ = true;
    if (name == "pre") preformatted_ = true, ++pre_depth_;
    if ((name == "td" || name == "th") && !line_empty()) append(" | ");
    if (const int level = heading_level(name)) heading_ = level;
  }

  void end(std::string_view name) {
    if (skip_depth_) {
      --skip_depth_;
      return;
    }
    if (name == "title") in_title_ = false;
    if (one_of(name, kBlocks)) flush();
    if (name == "pre") pre_depth_ = std::max(0, pre_depth_ - 1);
  }

  void text(std::string_view s) {
    if (skip_depth_) return;
    if (in_title_) {
      document.title += s;
      return;
    }
    if (pre_depth_) {
      append(s);
      return;
    }
    for (const char c : s) {
      const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
      if (!space)
        current_ += c;
      else if (!current_.empty() && current_.back() != ' ' && current_.back() != '\n')
        current_ += ' ';
    }
  }

  void flush() {
    const auto visible = [](char c) { return c != ' ' && c != '\n' && c != '\t'; };
    const auto first = std::ranges::find_if(current_, visible);
    if (first != current_.end()) {
      const auto last = std::find_if(current_.rbegin(), current_.rend(), visible).base();
      if (!document.text.empty()) document.text += "\n\n";
      const uint64_t begin = document.text.size();
      document.text.append(first, last);
      document.blocks.push_back({heading_, preformatted_, begin, document.text.size()});
    }
    current_.clear();
    heading_ = 0;
    preformatted_ = pre_depth_ > 0;
  }

 private:
  bool line_empty() const { return current_.empty() || current_.back() == '\n'; }
  void append(std::string_view s) { current_ += s; }
  void new_line() {
    if (!line_empty()) current_ += '\n';
  }

  std::string current_;
  int heading_ = 0, pre_depth_ = 0;
  size_t skip_depth_ = 0;
  bool preformatted_ = false, in_title_ = false;
};

std::string_view view(const xmlChar* s) { return reinterpret_cast<const char*>(s); }

}  // namespace

Document parse_html(std::string_view html) {
  static std::once_flag once;
  std::call_once(once, xmlInitParser);
  HtmlReader reader;
  htmlSAXHandler sax{};
  sax.startElement = [](void* p, const xmlChar* name, const xmlChar**) {
    static_cast<HtmlReader*>(p)->start(view(name));
  };
  sax.endElement = [](void* p, const xmlChar* name) {
    static_cast<HtmlReader*>(p)->end(view(name));
  };
  sax.characters = [](void* p, const xmlChar* text, int length) {
    static_cast<HtmlReader*>(p)->text(view(text).substr(0, static_cast<size_t>(length)));
  };
  sax.cdataBlock = nullptr;  // the contents of <script> and <style>
  // libxml2 takes lengths as int, so the text goes in pieces.
  std::unique_ptr<htmlParserCtxt, decltype(&htmlFreeParserCtxt)> context(
      htmlCreatePushParserCtxt(&sax, &reader, nullptr, 0, nullptr, XML_CHAR_ENCODING_UTF8),
      htmlFreeParserCtxt);
  if (!context) throw std::bad_alloc();
  htmlCtxtUseOptions(context.get(), HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                        HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
  constexpr size_t kPiece = 1 << 16;
  for (size_t i = 0; i < html.size(); i += kPiece) {
    const std::string_view piece = html.substr(i, kPiece);
    htmlParseChunk(context.get(), piece.data(), static_cast<int>(piece.size()), 0);
  }
  htmlParseChunk(context.get(), nullptr, 0, 1);
  reader.flush();
  std::string& title = reader.document.title;
  std::ranges::replace_if(
      title, [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  title.erase(0, std::min(title.find_first_not_of(' '), title.size()));
  title.erase(title.find_last_not_of(' ') + 1);
  return std::move(reader.document);
}

}  // namespace sllm
