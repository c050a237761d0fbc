/// What Unicode 16.0 says of every character, as far as splitting text needs to know.
///
/// The tables in unicode_tables.cpp are made by scripts/make_unicode_tables.py. 16.0 is the version
/// of rustbpe and tiktoken; another one would cut some texts differently.
#pragma once

#include <cstdint>

namespace nanochat::unicode {

enum class CharClass : uint8_t {
  kOther,   ///< marks, punctuation, symbols, controls, not assigned
  kLetter,  ///< \p{L}: Lu, Ll, Lt, Lm, Lo
  kNumber,  ///< \p{N}: Nd, Nl, No
  kSpace,   ///< \s: the property White_Space (not U+001C..U+001F, U+180E, U+200B)
};

inline constexpr char32_t kMaxCodePoint = 0x10FFFF;
inline constexpr char32_t kReplacement = 0xFFFD;  ///< of class kOther

/// Most blocks of 128 code points equal others (unassigned, CJK, Hangul), so an index of 8.5 KiB
/// and the distinct ones, two bits a code point, stay in the first-level cache. The sizes are
/// checked where the script's output is compiled.
inline constexpr int kBlockSize = 128;
extern const uint8_t kBlockOf[(kMaxCodePoint + 1) / kBlockSize];
extern const uint64_t kBlocks[][kBlockSize / 32];

/// cp <= kMaxCodePoint. Surrogates are of class kOther.
[[nodiscard]] inline CharClass class_of(char32_t cp) noexcept {
  const uint64_t word = kBlocks[kBlockOf[cp / kBlockSize]][cp % kBlockSize / 32];
  return static_cast<CharClass>(word >> (2 * (cp % 32)) & 3);
}

}  // namespace nanochat::unicode
