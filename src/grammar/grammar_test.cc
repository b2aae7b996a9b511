// GBNF: what grammars mean, what is refused, and which tokens may come next.
#include "grammar/grammar.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/rng.h"
#include "grammar/grammar_matcher.h"
#include "grammar/test_data.h"

namespace sllm {
namespace {

using testing::accepts;
using testing::Fits;
using testing::fits;
using testing::GrammarPtr;
using ::testing::HasSubstr;
using testing::ListTokenizer;

GrammarPtr gbnf(std::string_view text) { return Grammar::from_gbnf(text).value(); }

std::string error_of(std::string_view text) {
  const auto refused = Grammar::from_gbnf(text);
  if (refused.ok()) return "no error";
  EXPECT_EQ(refused.error().code, ErrorCode::kBadInput);
  return refused.error().message;
}

struct Case {
  const char* grammar;
  std::vector<std::string> whole, not_whole;
};

TEST(Gbnf, MeansWhatLlamaCppMeans) {
  const Case cases[] = {
      {"root ::= \"a\" \"b\"", {"ab"}, {"", "a", "abc", "b"}},
      {"root ::= \"a\" | \"b\" |", {"a", "b", ""}, {"ab"}},
      {"root ::= \"\"", {""}, {"a"}},
      {"root ::=", {""}, {"a"}},
      {"root ::= [a-c^]+", {"abc^", "a"}, {"", "d"}},
      {"root ::= [^a-c\\n]*", {"", "xyz", "가"}, {"a", "x\n"}},
      {"root ::= [\\]\\[\\\\\"a-]+", {"]", "[\\\"a-"}, {"b"}},
      {"root ::= \"\\x41\\u00e9\\U0001F600\\t\\r\\n\\\\\\\"\\[\\]\"", {"Aé😀\t\r\n\\\"[]"}, {"A"}},
      {"root ::= [\\u0041-\\x43]", {"A", "C"}, {"D"}},
      {"root ::= .",
       {"a", "\n", "가", "😀"},
       {"", "ab", "\xEA", "\xFF", "\xC0\x80", "\xED\xA0\x80"}},
      {"root ::= \"a\"?", {"", "a"}, {"aa"}},
      {"root ::= \"ab\"*", {"", "ab", "abab"}, {"a", "aba"}},
      {"root ::= (\"a\" | \"bc\"){2}", {"aa", "abc", "bcbc"}, {"a", "aaa"}},
      {"root ::= [0-9]{2,}", {"12", "12345"}, {"1"}},
      {"root ::= [0-9]{,2}", {"", "1", "12"}, {"123"}},
      {"root ::= [가-힣]{2,3}", {"한국", "한국어"}, {"한", "한국어로", "漢字"}},
      {"root ::= ([a-z] [0-9]?){1,2} \"!\"", {"a!", "a1b2!", "ab!"}, {"!", "abc!", "1!"}},
      {"root ::= \"a\"{0}", {""}, {"a"}},
      {"root ::= ([a]*)* \"b\"", {"b", "aab"}, {"a"}},
      {"root ::= ((\"a\"?){3})+", {"", "a", "aaaaaaa"}, {"b"}},
      {"# a comment\nroot ::= item+ # \"x\"\n\nitem ::= \"- \" [^\\n]+ \"\\n\"\n",
       {"- a\n", "- a\n- b\n"},
       {"- a", "a\n"}},
      {"root ::= (\n  \"a\"  # first\n  | \"b\"\n)\r\n", {"a", "b"}, {"", "ab"}},
      {"root ::=\n  a_b-1\n  | \"y\"\na_b-1 ::= \"x\"", {"x", "y"}, {""}},
      // Right, middle and mutual recursion; an empty rule before one.
      {"root ::= \"(\" root \")\" | \"x\"", {"x", "((x))"}, {"(x", "x)"}},
      {"root ::= \"a\" root | \"a\"", {"a", "aaaa"}, {"", "b"}},
      {"root ::= e \"a\" root e | \"b\"\ne ::= \"\"", {"b", "aab"}, {"a"}},
      {"root ::= x \";\"\nx ::= \"a\" y?\ny ::= \"b\" x?", {"a;", "ab;", "aba;"}, {"b;", "a"}},
      {"root ::= sum\nsum ::= term ([-+] term)*\nterm ::= [0-9]+ | \"(\" sum \")\"",
       {"1", "1+2", "(1-(2+33))-4"},
       {"", "1+", "(1", "1)"}},
      // Ambiguous ones.
      {"root ::= a a a\na ::= [x]*", {"", "x", "xxxxxx"}, {"y"}},
      {"root ::= s\ns ::= \"x\" | \"x\" s | \"x\" s s", {"x", "xxxxxxx"}, {""}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.grammar);
    const GrammarPtr grammar = gbnf(c.grammar);
    for (const std::string& text : c.whole) EXPECT_TRUE(accepts(grammar, text)) << text;
    for (const std::string& text : c.not_whole) EXPECT_FALSE(accepts(grammar, text)) << text;
  }
}

// What a model must not begin, for it could not be ended.
TEST(Gbnf, EitherHasTheTextsOfBoth) {
  const auto brackets = gbnf("root ::= \"a\" | \"(\" root \")\""), words = gbnf(R"(root ::= x+
      x ::= "no" | "(" )");
  for (const auto& both : {Grammar::either(*brackets, *words), Grammar::either(*words, *brackets)})
    for (const auto& [text, meant] :
         std::vector<std::pair<const char*, Fits>>{{"((a))", Fits::kWhole},
                                                   {"((no", Fits::kWhole},
                                                   {"((", Fits::kWhole},
                                                   {"n", Fits::kBegins},
                                                   {"(a", Fits::kBegins},
                                                   {"(noa", Fits::kNo},
                                                   {"a(", Fits::kNo}})
      EXPECT_EQ(fits(both, text), meant) << text;
  EXPECT_FALSE(Grammar::either(*brackets, *words)->shown());
  const Grammar marked(brackets->program(), {"[X]"});
  EXPECT_EQ(Grammar::either(marked, *words)->shown()->size(), 1u);
}

TEST(Gbnf, WaysWithoutAnEndAreNotEntered) {
  const GrammarPtr grammar =
      gbnf("root ::= \"x\" | \"y\" a | b\na ::= \"z\" a\nb ::= \"x\" \"y\" a");
  EXPECT_EQ(fits(grammar, "y"), Fits::kNo);
  EXPECT_EQ(fits(grammar, "x"), Fits::kWhole);
  EXPECT_EQ(fits(grammar, "xy"), Fits::kNo);
}

TEST(Gbnf, ErrorsSayWhatAndWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "has no rule \"root\""},
      {"# only this\n", "has no rule \"root\""},
      {"a ::= \"x\"", "has no rule \"root\""},
      {"root ::= \"a\" item\n", "line 1, column 14: rule \"item\" is not defined"},
      {"root ::= \"가\" item\n", "line 1, column 14: rule \"item\""},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule \"root\" is defined twice"},
      {"root ::= \"a", "line 1, column 12: expected \" before the end"},
      {"root ::= [a", "expected ] before the end"},
      {"root ::= \"\\q\"", "line 1, column 12: unknown escape: \\ before \"q\""},
      {"root ::= \"\\x4\"", "expected 2 hexadecimal digits, not \"\"\""},
      {"root ::= \"\\ud800\"", "no Unicode character: D800"},
      {"root ::= \"\\U00110000\"", "no Unicode character: 110000"},
      {"root ::= [z-a]", "line 1, column 11: the range ends before it begins"},
      {"root ::= []", "no character fits"},
      {"root ::= (\"a\"", "expected \")\", not the end"},
      {"root ::= \"a\")", "not \")\""},
      {"root = \"a\"", "line 1, column 6: expected \"::=\", not \"=\""},
      {"root ::= *", "expected a literal, class, group or rule, not \"*\""},
      {"root ::= \"a\"{2,1}", "bounds are reversed"},
      {"root ::= \"a\"{x}", "expected a number of repetitions, not \"x\""},
      {"root ::= \"a\"{1,1000000}", "at most 100000 repetitions"},
      {"root ::= <[17]>", "tokens (<...>) are not supported"},
      {"root ::= \"\xFF\"", "not valid UTF-8"},
      {"root ::= \"x\" root", "no text fits rule \"root\""},
      {"root ::= root \"x\" | \"y\"", "rule \"root\" refers to itself before any text"},
      {"root ::= a\na ::= b? (a | \"x\"){2}\nb ::= \"y\"", "rule \"a\" refers to itself"},
      {"root ::= \"x\" a\na ::= b \"z\"\nb ::= \"\" | a", "refers to itself"},
  };
  for (const auto& [grammar, message] : cases)
    EXPECT_THAT(error_of(grammar), HasSubstr(message)) << grammar;
}

TEST(Gbnf, WhatMakesMuchOfLittleEnds) {
  std::string nested = "root ::= ";
  for (int i = 0; i < 60'000; ++i) nested += "(";
  EXPECT_THAT(error_of(nested), HasSubstr("nested deeper than 64"));
  EXPECT_THAT(error_of("root ::= " + std::string(64, '(') + "\"x\"" + std::string(64, ')')),
              "no error");

  const GrammarPtr many = gbnf("root ::= (((\"ab\"{0,300}){0,300}){0,300} \"c\"){300}");
  EXPECT_EQ(fits(many, "ababcc"), Fits::kBegins);
  EXPECT_EQ(fits(many, "abb"), Fits::kNo);
  EXPECT_TRUE(accepts(gbnf("root ::= [a-z가-힣]{0,100000}"), "ab가"));

  std::string large = "root ::=";
  for (int i = 0; i < 10; ++i) large += " [ab]{100000} \"c\"{100000}";
  EXPECT_THAT(error_of(large), HasSubstr("too large"));
  // 2^60 ways to read each text, in states that do not grow.
  std::string ways = "root ::= a0\n";
  for (int i = 0; i < 60; ++i) ways += fmt::format("a{} ::= a{} | a{} \"x\"?\n", i, i + 1, i + 1);
  EXPECT_TRUE(accepts(gbnf(ways + "a60 ::= \"y\""), "y" + std::string(60, 'x')));
  EXPECT_FALSE(accepts(gbnf(ways + "a60 ::= \"y\""), "y" + std::string(61, 'x')));
  // Deep texts.
  const GrammarPtr deep = gbnf("root ::= \"(\" root \")\" | \"[\" root \"]\" | \"x\"");
  const int depth = 200'000;
  EXPECT_TRUE(accepts(deep, std::string(depth, '(') + "x" + std::string(depth, ')')));
}

std::vector<bool> allowed_by_mask(GrammarMatcher& matcher, int64_t count) {
  std::vector<float> logits(static_cast<size_t>(count), 1.5f);
  matcher.mask(logits);
  std::vector<bool> out;
  for (const float logit : logits) {
    EXPECT_TRUE(logit == 1.5f || (std::isinf(logit) && logit < 0));
    out.push_back(logit == 1.5f);
  }
  return out;
}

// Along random answers: the mask has the tokens which a text of the grammar goes on with, no
// others.
void compare_with_every_token(const GrammarPtr& grammar, const ListTokenizer& tokenizer,
                              int steps) {
  const auto vocabulary = std::make_shared<const ConstraintVocabulary>(tokenizer);
  Rng rng(7);
  auto matcher = std::make_unique<GrammarMatcher>(grammar, vocabulary);
  std::string text;
  for (int step = 0; step < steps; ++step) {
    const auto mask = allowed_by_mask(*matcher, tokenizer.vocab_size() + 3);
    GrammarAutomaton automaton(grammar);
    const Fits now = fits(automaton, text);
    EXPECT_EQ(matcher->may_end(), now == Fits::kWhole) << text;
    std::vector<TokenId> next;
    for (TokenId id = 0; id < tokenizer.vocab_size() + 3; ++id) {
      bool expected = id == 0 && now == Fits::kWhole;
      if (id > 1 && id < tokenizer.vocab_size()) {
        const std::string bytes(tokenizer.token_bytes(id));
        expected = !bytes.empty() && fits(automaton, text + bytes) != Fits::kNo;
      }
      EXPECT_EQ(mask[static_cast<size_t>(id)], expected) << text << " and token " << id;
      if (expected && id != 0) next.push_back(id);
      if (!expected) {
        EXPECT_FALSE(matcher->accept(id)) << text << " and token " << id;
      }
    }
    EXPECT_EQ(matcher->must_end(), next.empty()) << text;
    if (next.empty()) {
      EXPECT_TRUE(matcher->accept(0));
      EXPECT_TRUE(matcher->may_end() && matcher->must_end());
      text.clear();
      matcher = std::make_unique<GrammarMatcher>(grammar, vocabulary);
      continue;
    }
    const TokenId token = next[rng.below(next.size())];
    EXPECT_TRUE(matcher->accept(token));
    text += tokenizer.token_bytes(token);
  }
}

std::vector<std::string> bytes_and(std::initializer_list<const char*> more) {
  std::vector<std::string> out;
  for (int byte = 0; byte < 256; ++byte) out.emplace_back(1, static_cast<char>(byte));
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(GrammarMatcher, MasksAreThoseOfATryOfEveryToken) {
  const ListTokenizer tokenizer(
      bytes_and({"",     "ab", "abc", "ab",  "{\"",      "\":",      "\", \"", " ",     "  ",
                 "true", "tr", "12",  "-3",  "\xEA\xB0", "\x80\xEA", "가",     "가나",  "한국\"",
                 "\"}",  "}}", "\\u", "\\n", "))",       "(((",      "x)",     "[1, 2", "\n  "}));
  for (const char* grammar :
       {"root ::= \"(\" root \")\" | \"x\" | [a-c]{0,3}", "root ::= [가-힣]{1,5} \"ab\"*",
        "root ::= a a a \"x\"\na ::= [a-c]* | \"(\" a \")\"",
        "root ::= \"abc\" | \"abd\" | \"가나\"",
        "root ::= [^\\n]{0,9} \"\\n\" [ ]+ (\"12\" | root)"})
    compare_with_every_token(gbnf(grammar), tokenizer, 60);
  compare_with_every_token(Grammar::any_json(), tokenizer, 150);
}

TEST(GrammarMatcher, CharactersMayBeCutByTokens) {
  const ListTokenizer tokenizer({"\xED\x95", "\x9C", "\xEA", "\x9C\xEA", "\"", "\xB5"});
  const auto vocabulary = std::make_shared<const ConstraintVocabulary>(tokenizer);
  GrammarMatcher matcher(gbnf("root ::= \"\\\"\" [가-힣]+ \"\\\"\""), vocabulary);
  EXPECT_TRUE(matcher.accept(6));
  EXPECT_FALSE(matcher.accept(6));
  EXPECT_TRUE(matcher.accept(2));
  EXPECT_FALSE(matcher.accept(6));  // inside a character
  EXPECT_FALSE(matcher.accept(2));
  EXPECT_TRUE(matcher.accept(5));  // its end, and the next one's beginning
  EXPECT_TRUE(matcher.accept(7));
  EXPECT_TRUE(matcher.accept(3));
  EXPECT_FALSE(matcher.may_end());
  EXPECT_TRUE(matcher.accept(6));
  EXPECT_TRUE(matcher.must_end());
}

// Where nothing of the vocabulary fits the answer ends, rather than that none could be sampled.
TEST(GrammarMatcher, EndsWhereTheVocabularyCannotGoOn) {
  const ListTokenizer tokenizer({"a", "b"});
  const auto vocabulary = std::make_shared<const ConstraintVocabulary>(tokenizer);
  GrammarMatcher matcher(gbnf("root ::= \"a\" \"z\""), vocabulary);
  EXPECT_TRUE(matcher.accept(2));
  EXPECT_THAT(allowed_by_mask(matcher, 4), ::testing::ElementsAre(true, false, false, false));
  EXPECT_FALSE(matcher.may_end());
  EXPECT_TRUE(matcher.accept(0));
  EXPECT_TRUE(matcher.must_end());
  std::vector<float> logits(4);
  EXPECT_TRUE(matcher.mask(logits));
  EXPECT_EQ(logits[0], 0);

  const auto endless = std::make_shared<const ConstraintVocabulary>(tokenizer, std::vector{99});
  GrammarMatcher stuck(gbnf("root ::= \"z\""), endless);
  EXPECT_FALSE(stuck.mask(logits));
}

// Each text leads to a state of its own; what they take is forgotten again, and none of it wrong.
TEST(GrammarMatcher, KeepsToItsMemory) {
  const GrammarPtr grammar = gbnf("root ::= [ab]* \"a\" [ab]{200} \"c\"");
  const ListTokenizer tokenizer({"a", "b", "c", "ab", "ba"});
  const auto vocabulary = std::make_shared<const ConstraintVocabulary>(tokenizer);
  GrammarMatcher matcher(grammar, vocabulary);
  Rng rng(3);
  std::string text;
  for (int i = 0; i < 30'000; ++i) {
    const auto token = static_cast<TokenId>(2 + rng.below(2));
    ASSERT_TRUE(matcher.accept(token));
    text += tokenizer.token_bytes(token);
    const bool may_close = text.size() > 200 && text[text.size() - 201] == 'a';
    if (i % 1000 == 0) {
      EXPECT_EQ(allowed_by_mask(matcher, 7)[4], may_close) << i;
    }
  }
}

// Too ambiguous to try every token: those of one byte are there, and all that are there fit.
TEST(GrammarMatcher, BoundsTheWorkForOneMask) {
  std::vector<std::string> texts = bytes_and({});
  for (char a = 'a'; a <= 'z'; ++a)
    for (char b = 'a'; b <= 'z'; ++b)
      for (char c = 'a'; c <= 'z'; ++c) texts.push_back({a, b, c});
  const ListTokenizer tokenizer(texts);
  const GrammarPtr grammar = gbnf("root ::= ([a-z]?){20000} | ([a-y]? [b-z]?){20000}");
  GrammarMatcher matcher(grammar, std::make_shared<const ConstraintVocabulary>(tokenizer));
  const auto mask = allowed_by_mask(matcher, tokenizer.vocab_size());
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(mask[static_cast<size_t>(byte + 2)], byte >= 'a' && byte <= 'z') << byte;
  EXPECT_TRUE(matcher.accept(2 + 'q'));
}

// So ambiguous that a single byte costs much: no token is left, rather than seconds spent.
TEST(GrammarMatcher, GivesUpWhereOneByteIsTooDear) {
  std::string letters;
  for (int c = 0x21; c < 0x79; ++c) letters += fmt::format(" \"\\x{:02x}\"?", c);
  const std::string group = "(" + letters + "){100000}";
  const ListTokenizer tokenizer(bytes_and({}));
  GrammarMatcher matcher(gbnf("root ::= " + group + " " + group),
                         std::make_shared<const ConstraintVocabulary>(tokenizer));
  std::vector<float> logits(static_cast<size_t>(tokenizer.vocab_size()), 0.0f);
  EXPECT_FALSE(matcher.mask(logits));
  EXPECT_EQ(std::ranges::count(logits, 0.0f), 0);
}

// Whether the mask is known without a walk: one that is interrupted at once gets nowhere.
bool known(GrammarMatcher& matcher, int64_t tokens) {
  const std::atomic<bool> stop = true;
  std::vector<float> logits(static_cast<size_t>(tokens), 1.0f);
  const bool told = matcher.mask(logits, &stop);
  EXPECT_EQ(std::ranges::count(logits, 1.0f) > 0, told);
  return told;
}

TEST(GrammarMatcher, AnInterruptedWalkLeavesNoMask) {
  const ListTokenizer tokenizer({"a", "b", "ab"});
  GrammarMatcher matcher(gbnf("root ::= \"a\" [ab]*"),
                         std::make_shared<const ConstraintVocabulary>(tokenizer));
  EXPECT_FALSE(known(matcher, 5));
  EXPECT_THAT(allowed_by_mask(matcher, 5), ::testing::ElementsAre(false, false, true, false, true));
  EXPECT_TRUE(known(matcher, 5));
}

TEST(GrammarMatcher, TellsHowFarTokensFitAndStaysWhereItIs) {
  const ListTokenizer tokenizer({"a", "b", "ab"});
  GrammarMatcher matcher(gbnf("root ::= (\"a\" \"b\")+"),
                         std::make_shared<const ConstraintVocabulary>(tokenizer));
  EXPECT_EQ(matcher.fitting(std::vector<TokenId>{2, 3, 4, 2, 2}), 4u);
  EXPECT_EQ(matcher.fitting(std::vector<TokenId>{3}), 0u);
  EXPECT_EQ(matcher.fitting(std::vector<TokenId>{0}), 0u);        // not before the text may end
  EXPECT_EQ(matcher.fitting(std::vector<TokenId>{4, 0, 4}), 2u);  // and nothing behind the end
  EXPECT_EQ(matcher.fitting(std::vector<TokenId>{1, 4}), 0u);     // no text
  EXPECT_TRUE(matcher.accept(4));
  EXPECT_TRUE(matcher.accept(0));
  EXPECT_EQ(matcher.fitting(std::vector<TokenId>{0, 0}), 1u);
  EXPECT_EQ(matcher.fitting(std::vector<TokenId>{4}), 0u);
}

TEST(GrammarCache, AnswersOfTheSameGrammarShareTheirMasks) {
  const ListTokenizer tokenizer({"a", "b", "c"});
  GrammarCache cache(std::make_shared<const ConstraintVocabulary>(tokenizer));
  const std::string text = "root ::= \"a\" [bc] \"a\"";
  GrammarMatcher first(cache.states(gbnf(text)));
  for (const TokenId token : {2, 3}) {
    allowed_by_mask(first, 5);
    EXPECT_TRUE(first.accept(token));
  }
  GrammarMatcher second(cache.states(gbnf(text))), other(cache.states(gbnf(text + " \"b\"")));
  EXPECT_TRUE(known(second, 5));
  EXPECT_FALSE(known(other, 5));
  // Each goes its own way.
  EXPECT_TRUE(second.accept(2));
  EXPECT_TRUE(known(second, 5));
  EXPECT_TRUE(second.accept(4));
  EXPECT_TRUE(first.accept(2));
  EXPECT_TRUE(first.must_end());
  EXPECT_FALSE(second.must_end());
}

TEST(GrammarCache, ForgetsWhatWasAskedForLongestAgo) {
  const ListTokenizer tokenizer({"a", "b"});
  GrammarCache cache(std::make_shared<const ConstraintVocabulary>(tokenizer));
  const auto large = [](char c) {
    return gbnf(fmt::format("root ::= (\"{0}\" [ab]){{100000}} (\"{0}\" [ab]){{100000}}", c));
  };
  const auto first = cache.states(large('a'));
  EXPECT_EQ(cache.states(large('a')), first);
  const size_t fit = GrammarCache::kMaxBytes / first->bytes();
  ASSERT_GT(fit, 1u);
  ASSERT_LT(fit, 25u);  // as many letters
  std::vector<std::weak_ptr<GrammarStates>> others;
  for (size_t i = 0; i < fit; ++i)
    others.push_back(cache.states(large(static_cast<char>('b' + i))));
  EXPECT_NE(cache.states(large('a')), first);
  EXPECT_FALSE(others.back().expired());
}

// What a mask leaves out for want of time does not depend on who asked before.
TEST(GrammarCache, MasksOfAmbiguousGrammarsAreTheSameInAnyCompany) {
  std::vector<std::string> texts = bytes_and({});
  for (char a = 'a'; a <= 'z'; ++a)
    for (char b = 'a'; b <= 'z'; ++b) texts.push_back({a, b});
  const ListTokenizer tokenizer(texts);
  const auto vocabulary = std::make_shared<const ConstraintVocabulary>(tokenizer);
  const GrammarPtr grammar = gbnf("root ::= ([a-z]?){20000} | ([a-y]? [b-z]?){20000}");
  const auto walk = [&](GrammarMatcher& matcher, std::string_view text) {
    std::vector<std::vector<bool>> masks;
    for (const char c : text) {
      masks.push_back(allowed_by_mask(matcher, tokenizer.vocab_size()));
      EXPECT_TRUE(matcher.accept(2 + c));
    }
    return masks;
  };
  GrammarCache cache(vocabulary);
  GrammarMatcher before(cache.states(grammar)), after(cache.states(grammar));
  walk(before, "zq");
  GrammarMatcher alone(grammar, vocabulary);
  EXPECT_EQ(walk(after, "qx"), walk(alone, "qx"));
}

}  // namespace
}  // namespace sllm
