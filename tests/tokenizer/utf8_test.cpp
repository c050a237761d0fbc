#include "tokenizer/utf8.h"

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nanochat::utf8 {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kBad = "\xEF\xBF\xBD";

struct IllFormed {
  std::string_view bytes;
  int n_parts;  ///< U+FFFD that it becomes
};

/// All between two letters. The first five are the examples of Unicode 16.0, section 3.9.
constexpr IllFormed kIllFormed[] = {
    {"\xC0\xAF", 2},                          // longer than needed
    {"\xE0\x80\xBF", 3},                      //
    {"\xED\xA0\x80", 3},                      // a surrogate
    {"\xF4\x91\x92\x93", 4},                  // above U+10FFFF
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF", 4},  // four cut off: a maximal part each
    {"\x80", 1},                              // nothing to continue
    {"\xBF\xBF", 2},                          //
    {"\xC1\x81", 2},                          //
    {"\xC2", 1},                              //
    {"\xE4\xB8", 1},                          //
    {"\xE4", 1},                              //
    {"\xE0\xA0", 1},                          //
    {"\xE0\x9F\x80", 3},                      //
    {"\xED\x9F", 1},                          //
    {"\xED\xBF\xBF", 3},                      //
    {"\xF0\x8F\xBF\xBF", 4},                  //
    {"\xF0\x9F\x98", 1},                      //
    {"\xF0\x9F", 1},                          //
    {"\xF0", 1},                              //
    {"\xF4\x8F\xBF", 1},                      //
    {"\xF4\x90\x80\x80", 4},                  //
    {"\xF5\x80\x80\x80", 4},                  //
    {"\xFF\xFE", 2},                          //
};

std::string times(int n, std::string_view s) {
  std::string all;
  for (int i = 0; i < n; ++i) all += s;
  return all;
}

TEST(Utf8Test, EachMaximalIllFormedPartBecomesOneReplacement) {
  for (const IllFormed& c : kIllFormed) {
    const std::string text = fmt::format("ab{}cd", c.bytes);
    EXPECT_EQ(replace_invalid(text), fmt::format("ab{}cd", times(c.n_parts, kBad)))
        << testing::PrintToString(text);
    EXPECT_EQ(count(text), 4U + c.n_parts);
    EXPECT_EQ(find_invalid(text), 2U);
    // Also where the text ends behind it, and where it is long before it.
    EXPECT_EQ(replace_invalid(c.bytes), times(c.n_parts, kBad));
    const std::string long_text = times(37, "x") + std::string(c.bytes);
    EXPECT_EQ(find_invalid(long_text), 37U);
    EXPECT_EQ(count(long_text), 37U + c.n_parts);
  }
}

TEST(Utf8Test, ShowsControlCharactersAndLeavesTheRest) {
  EXPECT_EQ(controls_shown("a\tb\n\x1b[31m\r\x7f"), "a\tb\n\\x1b[31m\\x0d\\x7f");
  EXPECT_EQ(controls_shown("\xc2\x9b\xc2\xa0\u4f60\U0001f600"), "\\x9b\u00a0\u4f60\U0001f600");
  EXPECT_EQ(controls_shown(std::string_view("\0", 1)), "\\x00");
}

TEST(Utf8Test, EveryCodePointComesBack) {
  std::string all;
  size_t n = 0;
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    if (cp >= 0xD800 && cp <= 0xDFFF) continue;
    std::string one;
    append(one, cp);
    const Character c = decode(one, 0);
    ASSERT_TRUE(c.valid && c.code_point == cp && c.length == one.size()) << uint32_t{cp};
    ASSERT_EQ(incomplete_tail(one), 0U) << uint32_t{cp};
    for (size_t cut = 1; cut < one.size(); ++cut) {
      const std::string_view part = std::string_view(one).substr(0, cut);
      ASSERT_EQ(incomplete_tail(part), cut) << uint32_t{cp};
      ASSERT_FALSE(decode(part, 0).valid);
    }
    all += one;
    ++n;
  }
  EXPECT_EQ(find_invalid(all), all.size());
  EXPECT_EQ(count(all), n);
  EXPECT_EQ(replace_invalid(all), all);
}

TEST(Utf8Test, SurrogatesAreIllFormed) {
  for (char32_t cp = 0xD800; cp <= 0xDFFF; ++cp) {
    std::string bytes;
    append(bytes, cp);
    ASSERT_EQ(count(bytes), 3U) << uint32_t{cp};
    ASSERT_EQ(find_invalid(bytes), 0U);
  }
}

TEST(Utf8Test, CropsBetweenCharacters) {
  const std::string_view text = "0123456789é你🌍\xE4\xB8x";  // an ill-formed part is a character
  EXPECT_EQ(crop(text, 0), "");
  EXPECT_EQ(crop(text, 9), "012345678");
  EXPECT_EQ(crop(text, 10), "0123456789");
  EXPECT_EQ(crop(text, 11), "0123456789é");
  EXPECT_EQ(crop(text, 12), "0123456789é你");
  EXPECT_EQ(crop(text, 13), "0123456789é你🌍");
  EXPECT_EQ(crop(text, 14), "0123456789é你🌍\xE4\xB8");
  EXPECT_EQ(crop(text, 15), text);
  EXPECT_EQ(crop(text, 16), text);
  EXPECT_EQ(crop(text, SIZE_MAX), text);
  EXPECT_EQ(crop("", 3), "");
  for (size_t n = 0; n <= 15; ++n) EXPECT_EQ(count(crop(text, n)), n);
}

TEST(Utf8Test, HoldsBackOnlyWhatMayStillBecomeACharacter) {
  EXPECT_EQ(incomplete_tail(""), 0U);
  EXPECT_EQ(incomplete_tail("abc"), 0U);
  EXPECT_EQ(incomplete_tail("ab\xE4\xB8"), 2U);
  EXPECT_EQ(incomplete_tail("ab\xF0\x9F\x98"), 3U);
  EXPECT_EQ(incomplete_tail("\xE4\xB8\xC3"), 1U);
  EXPECT_EQ(incomplete_tail("\xE0\x80"), 0U);      // no character begins so
  EXPECT_EQ(incomplete_tail("\xED\xA0"), 0U);      // a surrogate
  EXPECT_EQ(incomplete_tail("\xF4\x90"), 0U);      // above U+10FFFF
  EXPECT_EQ(incomplete_tail("\xF5"), 0U);          // no lead
  EXPECT_EQ(incomplete_tail("\x80\x80\x80"), 0U);  // nothing to continue
  EXPECT_EQ(incomplete_tail("\xC3\xA9\x80"), 0U);  // complete, then one too many
}

}  // namespace
}  // namespace nanochat::utf8
