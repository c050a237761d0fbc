// The parts under the scanner: classes of characters and blocks of bytes.
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/rng.h"
#include "tokenizer/scanner_blocks.h"
#include "tokenizer/unicode_tables.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

using unicode::CharClass;
using unicode::class_of;

TEST(UnicodeTablesTest, WhiteSpaceIsTheUnicodeProperty) {
  std::string found;
  for (char32_t cp = 0; cp <= unicode::kMaxCodePoint; ++cp) {
    if (class_of(cp) == CharClass::kSpace) found += fmt::format("{:X} ", uint32_t{cp});
  }
  EXPECT_EQ(found,
            "9 A B C D 20 85 A0 1680 2000 2001 2002 2003 2004 2005 2006 2007 2008 2009 200A 2028 "
            "2029 202F 205F 3000 ");
}

TEST(UnicodeTablesTest, ClassesAreThoseOfUnicode16) {
  const std::pair<CharClass, std::u32string_view> members[] = {
      {CharClass::kLetter,
       U"azAZ\u00AA\u00B5\u00BA\u00E9\u0130\u017F\u01C5\u02B0\u0416\u05D0\u0905\u0E01\u10D0"
       U"\u1E9E\u3005\u3042\u30FC\u3400\u4DBF\u4E00\u9FFF\uA000\uAC00\uD7A3\uF900\uFF21"
       U"\U00010000\U0001E921\U00020000\U0002A6DF\U00030000"
       U"\U00031350"    // CJK extension H, new in 15.0
       U"\U000323AF"    //
       U"\U0002EBF0"    // CJK extension I, new in 15.1
       U"\U000105C0"    // Todhri, new in 16.0
       U"\uA7CB\u1C89"  // Latin and Cyrillic, new in 16.0
       U"\U00010D4A"},  // Garay, new in 16.0
      {CharClass::kNumber,
       U"09\u00B2\u00BD\u0660\u09F4\u0E50\u2070\u2160\u2188\u2460\u3007\u3021\uFF10"
       U"\U00010107\U0001D7CE\U0001F100"
       U"\U00010D40\U0001CCF0"},  // digits of Garay and outlined digits, new in 16.0
      {CharClass::kOther,
       U"!'_$\u0000\u001C\u001F\u007F\u00AD\u0301\u0903\u180E\u200B\u2060\u20DD\uFEFF\uFFFD"
       U"\u4DC0\u4DFF\u3002\uFF0C\u00D7\U0001F30D\U0001F3FB\U000E0001\U0010FFFF"
       U"\u0378\U000323B0\U0003FFFF"},  // not assigned
  };
  for (const auto& [expected, characters] : members) {
    for (const char32_t cp : characters) {
      EXPECT_EQ(class_of(cp), expected) << fmt::format("U+{:04X}", uint32_t{cp});
    }
  }
  for (char32_t cp = 0xD800; cp <= 0xDFFF; ++cp) ASSERT_EQ(class_of(cp), CharClass::kOther);
}

/// Sizes of \p{L} and \p{N} in Unicode 16.0 (DerivedGeneralCategory-16.0.0.txt).
TEST(UnicodeTablesTest, CountsOfLettersAndNumbersAreThoseOfUnicode16) {
  std::array<int, 4> n{};
  for (char32_t cp = 0; cp <= unicode::kMaxCodePoint; ++cp) ++n[static_cast<size_t>(class_of(cp))];
  EXPECT_EQ(n[static_cast<size_t>(CharClass::kLetter)], 141028);
  EXPECT_EQ(n[static_cast<size_t>(CharClass::kNumber)], 1911);
}

/// Blocks as the definition has them, one character after the other.
size_t plain_ascii_letters(std::string_view block) {
  size_t n = 0;
  while (n < block.size() &&
         ((block[n] >= 'a' && block[n] <= 'z') || (block[n] >= 'A' && block[n] <= 'Z'))) {
    ++n;
  }
  return n;
}

size_t plain_ideographs(std::string_view block) {
  size_t n = 0;
  while (n + 3 <= block.size()) {
    const utf8::Character c = utf8::decode(block, n);
    if (c.code_point < 0x4E00 || c.code_point > 0x9FFF) break;
    n += 3;
  }
  return n;
}

template <typename T>
class ScannerBlocksTest : public ::testing::Test {};
#ifdef __SSE2__
using BlockTypes = ::testing::Types<scanner::Words, scanner::Sse2>;
#else
using BlockTypes = ::testing::Types<scanner::Words>;
#endif
TYPED_TEST_SUITE(ScannerBlocksTest, BlockTypes);

TYPED_TEST(ScannerBlocksTest, EveryByteAtEveryPlaceEndsTheLettersOrDoesNot) {
  for (size_t at = 0; at < TypeParam::kBytes; ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string block(TypeParam::kBytes, 'q');
      block[at] = static_cast<char>(byte);
      ASSERT_EQ(TypeParam::ascii_letters(block.data()), plain_ascii_letters(block))
          << byte << " at " << at;
    }
  }
}

TYPED_TEST(ScannerBlocksTest, EveryThreeBytesAreAnIdeographOrNot) {
  std::string block(TypeParam::kBytes, 'x');
  for (uint32_t bytes = 0; bytes < 1 << 24; ++bytes) {
    if ((bytes & 0x800000) == 0 && (bytes & 0xFF) != 0) continue;  // ASCII leads are all alike
    block[0] = static_cast<char>(bytes >> 16);
    block[1] = static_cast<char>(bytes >> 8);
    block[2] = static_cast<char>(bytes);
    ASSERT_EQ(TypeParam::ideographs(block.data()), plain_ideographs(block)) << bytes;
  }
}

TYPED_TEST(ScannerBlocksTest, IdeographsEndAtTheFirstOtherCharacter) {
  constexpr std::string_view kParts[] = {"一", "鿿", "你", "好", "世",       "㐀",   "䷀",  "。",
                                         "Ａ", "a",   "é",  "🌍",  "\xE4\xB8", "\xE9", "\x80"};
  const RandomStream random(1, RandomPurpose::kTest);
  int64_t n_drawn = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::string text;
    while (text.size() < TypeParam::kBytes) {
      const uint32_t r = random.bits(n_drawn++);
      text += r % 4 != 0 ? kParts[r / 4 % 5] : kParts[r / 4 % std::size(kParts)];
    }
    const std::string_view block(text.data(), TypeParam::kBytes);
    ASSERT_EQ(TypeParam::ideographs(text.data()), plain_ideographs(block))
        << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace nanochat
