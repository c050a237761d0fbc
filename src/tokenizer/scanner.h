/// The splitter for upstream's pattern and GPT-4's, one chunk at a time.
///
/// Both patterns are these alternatives, tried in order at the end of the last chunk. In parts with
/// ++ or ?+ nothing is given back once taken, so no alternative needs more than a look ahead:
///
///   1  '(?i:[sdmt]|ll|ve|re)       an English ending, also when letters follow: 'tis is 't, is
///   2  [^\r\n\p{L}\p{N}]?+\p{L}+   a word, and one character before it that is no line end, letter
///                                  or number: mostly the space
///   3  \p{N}{1,2} or {1,3}         a few digits, never with a space
///   4   ?[^\s\p{L}\p{N}]++[\r\n]*  a run of others, with one space before and line ends behind
///   5  \s*[\r\n]                   white space up to its last CR or LF
///   6  \s+(?!\S)                   white space to the end of the text, or all but its last
///                                  character, which stays for the word behind it
///   7  \s+                         that one character, where the word did not take it
///
/// Some alternative takes any character, so the chunks are a partition of the text.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace nanochat {

static_assert(std::endian::native == std::endian::little, "the scanner reads words of bytes");

/// kMaxDigits: 2 for kNanochatPattern, 3 for kGpt4Pattern.
template <int kMaxDigits>
class Scanner {
 public:
  /// The end of the chunk that begins at `begin`, which is < text.size() and is 0 or the end of a
  /// chunk. Reads nothing behind text.size().
  /// Looking from chunk to chunk through a text takes linear time.
  [[nodiscard]] static size_t next(std::string_view text, size_t begin) noexcept {
    // Four chunks of five of English are ASCII words with at most a space before them. Their end is
    // found with no branch per character, because the lengths of words are hard to predict.
    size_t i = begin + (text[begin] == ' ' ? 1 : 0);
    const size_t word_begin = i;
    while (i + 8 <= text.size()) {
      const uint64_t others = not_ascii_letters(text.data() + i);
      if (others == 0) {
        i += 8;
        continue;
      }
      i += static_cast<size_t>(std::countr_zero(others)) / 8;
      if (i == word_begin || static_cast<signed char>(text[i]) < 0) break;
      return i;
    }
    return next_of_any(text, begin);
  }

 private:
  /// The same for all text.
  [[nodiscard]] static size_t next_of_any(std::string_view text, size_t begin) noexcept;

  /// Bit 7 of each of eight bytes that is no ASCII letter; the first byte is the lowest.
  static uint64_t not_ascii_letters(const char* eight) noexcept {
    constexpr uint64_t kOnes = 0x0101010101010101;
    uint64_t bytes;
    std::memcpy(&bytes, eight, sizeof(bytes));
    const uint64_t lower = (bytes | 0x20 * kOnes) & 0x7F * kOnes;  // no sum carries out of its byte
    const uint64_t from_a = lower + (0x80 - 'a') * kOnes;
    const uint64_t above_z = lower + (0x7F - 'z') * kOnes;
    return (~from_a | above_z | bytes) & 0x80 * kOnes;
  }
};

extern template class Scanner<2>;
extern template class Scanner<3>;

}  // namespace nanochat
