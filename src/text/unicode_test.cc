// Normal forms: long stretches of marks come out as ICU alone has them, in time that grows with
// their length.
#include "text/unicode.h"

#include <gtest/gtest.h>
#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>

#include <random>

namespace sllm {
namespace {

using unicode::Form;
constexpr Form kForms[] = {Form::kNfc, Form::kNfd, Form::kNfkc, Form::kNfkd};

struct Normal {
  std::string text;
  std::vector<size_t> ends;
};

Normal by_icu(Form form, const std::string& text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* n = form == Form::kNfc    ? icu::Normalizer2::getNFCInstance(status)
                              : form == Form::kNfd  ? icu::Normalizer2::getNFDInstance(status)
                              : form == Form::kNfkc ? icu::Normalizer2::getNFKCInstance(status)
                                                    : icu::Normalizer2::getNFKDInstance(status);
  Normal normal;
  icu::StringByteSink<std::string> sink(&normal.text);
  icu::Edits edits;
  n->normalizeUTF8(0, text, sink, &edits, status);
  for (auto it = edits.getFineIterator(); it.next(status);)
    for (int32_t k = 0; k < it.newLength(); ++k)
      normal.ends.push_back(static_cast<size_t>(it.hasChange() ? it.sourceIndex() + it.oldLength()
                                                               : it.sourceIndex() + k + 1));
  return normal;
}

TEST(Normalize, ManyMarksComeOutAsIcuHasThem) {
  // Marks of several classes, marks that are two marks or (in the K forms only) become one, vowels
  // that compose although they are none; then what may stand in front.
  const std::vector<std::string> marks = {"\u0301", "\u0323", "\u0327", "\u0344", "\u0F73",
                                          "\u05B0", "\u302A", "\uFF9E", "\u09BE", "\U0001D165"};
  const std::vector<std::string> starters = {"e",      "\u00E9", "\uAC00", "\u1100", "\u11A8",
                                             "\u09C7", "\uFDFA", "\u1E69", " ",      "\u0634"};
  std::mt19937 random(7);
  const auto one_of = [&](const auto& list, size_t kinds) { return list[random() % kinds]; };
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (size_t run = 0, runs = 1 + random() % 3; run < runs; ++run) {
      for (size_t i = random() % 3; i > 0; --i) text += one_of(starters, starters.size());
      const size_t kinds = 1 + random() % marks.size();
      for (size_t i = 60 + random() % 241; i > 0; --i) text += one_of(marks, kinds);
    }
    text += one_of(starters, starters.size());
    for (const Form form : kForms) {
      Normal normal;
      normal.text = unicode::normalize(form, text, &normal.ends);
      const Normal expected = by_icu(form, text);
      ASSERT_EQ(normal.text, expected.text) << round << " " << static_cast<int>(form);
      // A syllable that is composed of jamo ends for ICU before its marks, and here with them.
      if (text.find("\u11A8") == text.npos)
        ASSERT_EQ(normal.ends, expected.ends) << round << " " << static_cast<int>(form);
      ASSERT_EQ(unicode::normalize(form, text), normal.text);
    }
  }
}

TEST(Normalize, AMillionMarksEnd) {
  std::string text = "e";
  for (int i = 0; i < 500'000; ++i) text += "\u0301\u0323";
  for (const Form form : kForms) {
    EXPECT_FALSE(unicode::is_normalized(form, text));
    const std::string normal = unicode::normalize(form, text);
    EXPECT_TRUE(normal.ends_with("\u0301"));
    EXPECT_EQ(unicode::normalize(form, normal), normal);
  }
}

}  // namespace
}  // namespace sllm
