#include "tokenizer/splitter.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/rng.h"
#include "tokenizer/pcre2_splitter.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

using ::testing::HasSubstr;
using Chunks = std::vector<std::string_view>;

Chunks cut(std::string_view text, const std::vector<size_t>& ends) {
  Chunks chunks;
  size_t begin = 0;
  for (const size_t end : ends) {
    NC_CHECK(end > begin && end <= text.size(), "a chunk from {} to {}", begin, end);
    chunks.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  NC_CHECK(begin == text.size(), "the chunks end at {}, the text at {}", begin, text.size());
  return chunks;
}

/// Through both interfaces.
Chunks chunks_of(const Splitter& splitter, std::string_view text) {
  std::vector<size_t> ends{7, 7, 7};
  splitter.split(text, ends);
  Chunks chunks = cut(text, ends), visited;
  splitter.for_each_chunk(text, [&](std::string_view chunk) { visited.push_back(chunk); });
  EXPECT_EQ(chunks, visited);
  return chunks;
}

Chunks chunks_of(std::string_view text) { return chunks_of(Splitter(), text); }

TEST(SplitterTest, CutsTheExamplesOfTheSpecification) {
  EXPECT_EQ(chunks_of("I'm you'RE don't"), (Chunks{"I", "'m", " you", "'RE", " don", "'t"}));
  EXPECT_EQ(chunks_of(" 'tis"), (Chunks{" '", "tis"}));
  EXPECT_EQ(chunks_of("12345 7 2024"), (Chunks{"12", "34", "5", " ", "7", " ", "20", "24"}));
  EXPECT_EQ(chunks_of("  foo\t\tbar"), (Chunks{" ", " foo", "\t", "\tbar"}));
  EXPECT_EQ(chunks_of("a\n\n b \n  c"), (Chunks{"a", "\n\n", " b", " \n", " ", " c"}));
  EXPECT_EQ(chunks_of("x = 10;"), (Chunks{"x", " =", " ", "10", ";"}));
  EXPECT_EQ(chunks_of("wow!!!\n\nok"), (Chunks{"wow", "!!!\n\n", "ok"}));
  EXPECT_EQ(chunks_of("_foo foo_bar .5 3.14"),
            (Chunks{"_foo", " foo", "_bar", " .", "5", " ", "3", ".", "14"}));
  EXPECT_EQ(chunks_of("\r\n\r\nx"), (Chunks{"\r\n\r\n", "x"}));
  EXPECT_EQ(chunks_of("café 你好，ok 🌍"), (Chunks{"café", " 你好", "，ok", " 🌍"}));
  EXPECT_EQ(chunks_of("a   "), (Chunks{"a", "   "}));
  EXPECT_EQ(chunks_of("e\u0301x"), (Chunks{"e", "\u0301x"}));
  EXPECT_EQ(chunks_of("½²1a"), (Chunks{"½²", "1", "a"}));
}

TEST(SplitterTest, Gpt4sPatternTakesThreeDigits) {
  const Splitter three(kGpt4Pattern);
  EXPECT_TRUE(three.is_scanner());
  EXPECT_EQ(three.pattern(), kGpt4Pattern);
  EXPECT_EQ(chunks_of(three, "12345 7 2024"), (Chunks{"123", "45", " ", "7", " ", "202", "4"}));
  EXPECT_EQ(chunks_of(three, "½²1a٣٤٥٦"), (Chunks{"½²1", "a", "٣٤٥", "٦"}));
}

TEST(SplitterTest, NoTextHasNoChunks) { EXPECT_EQ(chunks_of(""), Chunks{}); }

TEST(SplitterTest, ApostropheEndingsWinOverWords) {
  EXPECT_EQ(chunks_of("'tis 'Twas 'dis"), (Chunks{"'t", "is", " '", "Twas", " '", "dis"}));
  EXPECT_EQ(chunks_of("x'Ll x'lL x'vE x'Ve x'S x'D x'M x'T x're"),
            (Chunks{"x", "'Ll", " x", "'lL", " x", "'vE", " x", "'Ve", " x", "'S", " x", "'D", " x",
                    "'M", " x", "'T", " x", "'re"}));
  EXPECT_EQ(chunks_of("'l"), (Chunks{"'l"}));  // by alternative 2
  EXPECT_EQ(chunks_of("'lx 'x'"), (Chunks{"'lx", " '", "x", "'"}));
  EXPECT_EQ(chunks_of("'v1're2"), (Chunks{"'v", "1", "'re", "2"}));
  EXPECT_EQ(chunks_of("''s"), (Chunks{"''", "s"}));  // alternative 4 takes both
  EXPECT_EQ(chunks_of("'"), (Chunks{"'"}));
  EXPECT_EQ(chunks_of("’s"), (Chunks{"’s"}));  // U+2019 is no apostrophe of alternative 1
  // Nothing but these letters, in a text long enough for the blocks.
  EXPECT_EQ(chunks_of("it'snot a contraction at all, is it?").at(1), "'s");
}

TEST(SplitterTest, CaseFoldingIsUnicodes) {
  EXPECT_EQ(chunks_of("'\u017Fee"), (Chunks{"'\u017F", "ee"}));  // the long s is an s
  EXPECT_EQ(chunks_of("'\u212Aelvin"), (Chunks{"'\u212Aelvin"}));
  EXPECT_EQ(chunks_of("'\uFB06"), (Chunks{"'\uFB06"}));  // the ligature st is not
  EXPECT_EQ(chunks_of("'\xC5"), (Chunks{"'\xC5"}));      // the long s cut off
}

TEST(SplitterTest, WhiteSpaceGoesUpToItsLastLineEnd) {
  EXPECT_EQ(chunks_of(" \n \r \n  x"), (Chunks{" \n \r \n", " ", " x"}));
  EXPECT_EQ(chunks_of(" \n \r \n   "), (Chunks{" \n \r \n", "   "}));
  EXPECT_EQ(chunks_of("\n"), (Chunks{"\n"}));
  EXPECT_EQ(chunks_of("a\nb"), (Chunks{"a", "\n", "b"}));
  EXPECT_EQ(chunks_of("a \nb"), (Chunks{"a", " \n", "b"}));
  EXPECT_EQ(chunks_of("a\n b"), (Chunks{"a", "\n", " b"}));
  // Only CR and LF are line ends.
  EXPECT_EQ(chunks_of("a\v\fb"), (Chunks{"a", "\v", "\fb"}));
  EXPECT_EQ(chunks_of("a\u2028\u2029b"), (Chunks{"a", "\u2028", "\u2029b"}));
  EXPECT_EQ(chunks_of("a\u0085\u0085\nb"), (Chunks{"a", "\u0085\u0085\n", "b"}));
  EXPECT_EQ(chunks_of("a?\n\r\n b"), (Chunks{"a", "?\n\r\n", " b"}));
}

TEST(SplitterTest, OnlyASpaceGoesBeforeOthersAndNothingBeforeNumbers) {
  EXPECT_EQ(chunks_of("a  ?\t?\u3000?"), (Chunks{"a", " ", " ?", "\t", "?", "\u3000", "?"}));
  EXPECT_EQ(chunks_of("a  1\t1\n1"), (Chunks{"a", " ", " ", "1", "\t", "1", "\n", "1"}));
  EXPECT_EQ(chunks_of("  1"), (Chunks{" ", " ", "1"}));
}

TEST(SplitterTest, WhiteSpaceLeavesItsLastCharacterToTheNextWord) {
  EXPECT_EQ(chunks_of("a \u3000\u00A0b"), (Chunks{"a", " \u3000", "\u00A0b"}));
  EXPECT_EQ(chunks_of("a \u3000\u00A0"), (Chunks{"a", " \u3000\u00A0"}));
  EXPECT_EQ(chunks_of("\u3000你好"), (Chunks{"\u3000你好"}));
}

TEST(SplitterTest, TheseAreNoWhiteSpace) {
  for (const std::string_view c : {"\x1C", "\x1F", "\u180E", "\u200B", "\uFEFF", "\u2060"}) {
    EXPECT_EQ(chunks_of(fmt::format("{}{}1", c, c)), (Chunks{fmt::format("{}{}", c, c), "1"}));
    EXPECT_EQ(chunks_of(fmt::format(" {} ", c)).size(), 2U);
  }
}

TEST(SplitterTest, LettersOfUnicode15And16AreLetters) {
  EXPECT_EQ(chunks_of("a\U00031350\U0002EBF0\U000105C0b"),
            (Chunks{"a\U00031350\U0002EBF0\U000105C0b"}));
  EXPECT_EQ(chunks_of("\U00010D40\U00010D41\U00010D42"),  // digits of Garay
            (Chunks{"\U00010D40\U00010D41", "\U00010D42"}));
}

TEST(SplitterTest, AnIllFormedPartIsOneOther) {
  EXPECT_EQ(chunks_of("a\xFF"
                      "b"),
            (Chunks{"a",
                    "\xFF"
                    "b"}));
  EXPECT_EQ(chunks_of("\xFF\xFE"
                      "b"),
            (Chunks{"\xFF\xFE", "b"}));
  EXPECT_EQ(chunks_of("\xE4\xB8"
                      "b"),  // one part, so it goes with the word
            (Chunks{"\xE4\xB8"
                    "b"}));
  EXPECT_EQ(chunks_of("你\xE4\xB8你"), (Chunks{"你", "\xE4\xB8你"}));
  EXPECT_EQ(chunks_of("你好\xE4"), (Chunks{"你好", "\xE4"}));
  EXPECT_EQ(chunks_of(" \x80\n"), (Chunks{" \x80\n"}));
  EXPECT_EQ(chunks_of("1\xED\xA0\x80 "), (Chunks{"1", "\xED\xA0\x80", " "}));
}

TEST(SplitterTest, ChunksAreThoseOfTheTextWithReplacements) {
  const RandomStream random(2, RandomPurpose::kTest);
  constexpr std::string_view kParts[] = {"\xFF", "\x80", "\xE4\xB8", "\xF0\x9F", "\xED\xA0\x80",
                                         "a",    " ",    "\n",       "1",        "'s",
                                         "你",   "é",    "!",        "\u3000",   "🌍"};
  int64_t n_drawn = 0;
  for (const std::string_view pattern : {kNanochatPattern, kGpt4Pattern, std::string_view("a|1")}) {
    const Splitter splitter(pattern);
    for (int trial = 0; trial < 3000; ++trial) {
      std::string text;
      for (uint32_t n = random.bits(n_drawn++) % 30; n > 0; --n) {
        text += kParts[random.bits(n_drawn++) % std::size(kParts)];
      }
      const std::string replaced = utf8::replace_invalid(text);
      std::vector<std::string> expected, actual;
      for (const auto chunk : chunks_of(splitter, replaced)) expected.emplace_back(chunk);
      for (const auto chunk : chunks_of(splitter, text)) {
        actual.push_back(utf8::replace_invalid(chunk));
      }
      ASSERT_EQ(actual, expected) << testing::PrintToString(text);
    }
  }
}

/// Text of pieces where the alternatives meet, of classes on which Unicode 14 (PCRE2) and 16 agree.
std::string tricky_text(const RandomStream& random, int64_t& n_drawn) {
  constexpr std::string_view kPieces[] = {"'",
                                          "'s",
                                          "'LL",
                                          "s",
                                          "re",
                                          "\u017F",
                                          "ab",
                                          "Zebra",
                                          "extraordinary",
                                          "é",
                                          "你",
                                          "一鿿",
                                          "你好世界你好世界",
                                          "\u0301",
                                          " ",
                                          "  ",
                                          "\t",
                                          "\n",
                                          "\r\n",
                                          "\u0085",
                                          "\u3000",
                                          "\u2028",
                                          "0",
                                          "12",
                                          "½",
                                          "٣",
                                          "Ⅷ",
                                          "!",
                                          "...",
                                          "_",
                                          "，",
                                          "🌍",
                                          "\u200B",
                                          "\x1C",
                                          "{}[]"};
  std::string text;
  for (uint32_t n = random.bits(n_drawn++) % 40; n > 0; --n) {
    text += kPieces[random.bits(n_drawn++) % std::size(kPieces)];
  }
  return text;
}

TEST(SplitterTest, TheScannerAgreesWithPcre2) {
  const RandomStream random(3, RandomPurpose::kTest);
  int64_t n_drawn = 0;
  for (const std::string_view pattern : {kNanochatPattern, kGpt4Pattern}) {
    const Splitter scanner(pattern);
    const Pcre2Splitter pcre2(pattern);
    for (int trial = 0; trial < 10000; ++trial) {
      const std::string text = tricky_text(random, n_drawn);
      std::vector<size_t> ends, expected;
      scanner.split(text, ends);
      pcre2.split(text, expected);
      ASSERT_EQ(cut(text, ends), cut(text, expected)) << testing::PrintToString(text);
    }
  }
}

TEST(SplitterTest, ChunksOfRandomBytesAreAPartition) {
  const RandomStream random(4, RandomPurpose::kTest);
  for (const std::string_view pattern :
       {kNanochatPattern, kGpt4Pattern, std::string_view("\\w+")}) {
    const Splitter splitter(pattern);
    for (int64_t trial = 0; trial < 2000; ++trial) {
      std::string text;
      for (int64_t i = 0; i < trial % 100; ++i) {
        text += static_cast<char>(random.bits(100 * trial + i));
      }
      ASSERT_EQ(chunks_of(splitter, text).empty(), text.empty());  // chunks_of checks the rest
    }
  }
}

/// Nothing may be read behind the end, so what lies there must not matter.
TEST(SplitterTest, WhatLiesBehindTheTextDoesNotMatter) {
  const RandomStream random(5, RandomPurpose::kTest);
  int64_t n_drawn = 0;
  const Splitter splitter;
  for (int trial = 0; trial < 300; ++trial) {
    const std::string text = tricky_text(random, n_drawn) + tricky_text(random, n_drawn);
    for (size_t size = 0; size <= text.size(); ++size) {
      const std::string copy = text.substr(0, size);
      ASSERT_EQ(chunks_of(splitter, std::string_view(text).substr(0, size)),
                chunks_of(splitter, copy));
    }
  }
}

TEST(SplitterTest, TimeIsLinearOnAdversarialText) {
  constexpr size_t kSize = 1 << 20;
  constexpr std::string_view kUnits[] = {" ",   "'",    "a",        "一",     "\u0301", "é",
                                         " \n", "\n",   "  x",      "\u3000", "1",      "!",
                                         "! ",  "\xFF", "\xE4\xB8", "'l",     "\n x",   " \u0301"};
  const Splitter splitter;
  std::vector<size_t> ends;
  for (const std::string_view unit : kUnits) {
    std::string text;
    while (text.size() < kSize) text += unit;
    text += "x";  // white space must not run to the end
    const auto begin = std::chrono::steady_clock::now();
    splitter.split(text, ends);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    // Takes a few milliseconds; a look back over the whole text at each chunk takes minutes.
    EXPECT_LT(taken.count(), 2) << testing::PrintToString(unit);
    EXPECT_EQ(ends.back(), text.size());
  }
}

TEST(SplitterTest, OtherPatternsRunInPcre2) {
  const Splitter words(R"(\p{L}+|\p{N}+|[^\p{L}\p{N}]+)");
  EXPECT_FALSE(words.is_scanner());
  EXPECT_EQ(chunks_of(words, "你好 42ok!"), (Chunks{"你好", " ", "42", "ok", "!"}));
  EXPECT_EQ(chunks_of(words, ""), Chunks{});
  // An option of PCRE2's own in front, and case folding beyond ASCII.
  EXPECT_EQ(chunks_of(Splitter("(?i)é"), "aÉb"), (Chunks{"a", "É", "b"}));
}

TEST(SplitterTest, WhatAPatternLeavesOutIsAChunkToo) {
  EXPECT_EQ(chunks_of(Splitter("b+"), "aabbaab"), (Chunks{"aa", "bb", "aa", "b"}));
  EXPECT_EQ(chunks_of(Splitter("b+"), "xyz"), (Chunks{"xyz"}));
  EXPECT_EQ(chunks_of(Splitter("b+"), "b你好"), (Chunks{"b", "你好"}));
}

TEST(SplitterTest, EmptyMatchesDoNotCountAndEndTheSearchNever) {
  EXPECT_EQ(chunks_of(Splitter("b*"), "aabba你"), (Chunks{"aa", "bb", "a你"}));
  EXPECT_EQ(chunks_of(Splitter(""), "你好"), (Chunks{"你好"}));
  EXPECT_EQ(chunks_of(Splitter("(?=b)"), "abab"), (Chunks{"abab"}));
  EXPECT_EQ(chunks_of(Splitter("$"), "ab"), (Chunks{"ab"}));
  EXPECT_EQ(chunks_of(Splitter(R"(a\Kb)"), "abab"), (Chunks{"a", "b", "a", "b"}));
}

TEST(SplitterTest, AWrongPatternIsRefusedWithItsPlace) {
  const auto refusal = [](std::string_view pattern) -> std::string {
    try {
      static_cast<void>(Splitter(pattern));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal("a(b"), HasSubstr("missing closing parenthesis (at offset 3)"));
  EXPECT_THAT(refusal("a(b"), HasSubstr("'a(b'"));
  EXPECT_THAT(refusal("*"), HasSubstr("at offset 0"));
  EXPECT_THAT(refusal(R"(\p{Klingon})"), HasSubstr("unknown property"));
  EXPECT_THAT(refusal(R"(a\Cb)"), HasSubstr("\\C"));  // would cut characters
  EXPECT_THAT(refusal("a\xFF"), HasSubstr("UTF-8"));
}

TEST(SplitterTest, APatternThatBacktracksForEverIsRefused) {
  // Every way to write 60 letters as ones and twos.
  const Splitter splitter("(?:a|aa)+(?:b|c)|x");
  std::vector<size_t> ends;
  const std::string text = std::string(60, 'a') + "x";
  EXPECT_THROW(splitter.split(text, ends), DataError);
  EXPECT_EQ(chunks_of(splitter, "aaab"), (Chunks{"aaab"}));  // and it still works
}

TEST(SplitterTest, ALongMatchNeedsNoStackOfTheThread) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(chunks_of(Splitter("(?:a|(b))*"), text).size(), 1U);
  EXPECT_EQ(chunks_of(Splitter("(?:a|b)*+"), text).size(), 1U);
}

TEST(SplitterTest, ThreadsMayShareOne) {
  const RandomStream random(6, RandomPurpose::kTest);
  int64_t n_drawn = 0;
  std::string text;
  while (text.size() < 20000) text += tricky_text(random, n_drawn);
  for (const std::string_view pattern : {kNanochatPattern, std::string_view(R"(\w+| ?\W)")}) {
    const Splitter splitter(pattern);
    const Chunks expected = chunks_of(splitter, text);
    std::vector<Chunks> actual(4);
    std::vector<std::thread> threads;
    for (Chunks& chunks : actual) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) chunks = chunks_of(splitter, text);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Chunks& chunks : actual) EXPECT_EQ(chunks, expected);
  }
}

TEST(SplitterTest, MovesWithItsPattern) {
  Splitter a("b+"), b;
  b = std::move(a);
  EXPECT_EQ(b.pattern(), "b+");
  EXPECT_EQ(chunks_of(b, "ab"), (Chunks{"a", "b"}));
  const Splitter c(std::move(b));
  EXPECT_EQ(chunks_of(c, "ab"), (Chunks{"a", "b"}));
}

}  // namespace
}  // namespace nanochat
