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

#include <cstddef>
#include <string_view>

#include "tokenizer/scanner_blocks.h"

namespace nanochat {

/// kMaxDigits: 2 for kNanochatPattern, 3 for kGpt4Pattern.
template <int kMaxDigits>
class Scanner {
 public:
  /// The end of the chunk that begins at `begin`, which is < text.size() and is 0 or the end of a
  /// chunk. Reads nothing behind text.size().
  /// Looking from chunk to chunk through a text takes linear time.
  [[nodiscard]] static size_t next(std::string_view text, size_t begin) noexcept {
    // Four chunks of five of English are ASCII words with at most a space before them.
    using scanner::Blocks;
    const size_t word_begin = begin + (text[begin] == ' ' ? 1 : 0);
    for (size_t i = word_begin; i + Blocks::kBytes <= text.size(); i += Blocks::kBytes) {
      const size_t n = Blocks::ascii_letters(text.data() + i);
      if (n == Blocks::kBytes) continue;
      i += n;
      if (i == word_begin || static_cast<signed char>(text[i]) < 0) break;
      return i;
    }
    return next_of_any(text, begin);
  }

 private:
  /// The same for all text.
  [[nodiscard]] static size_t next_of_any(std::string_view text, size_t begin) noexcept;
};

extern template class Scanner<2>;
extern template class Scanner<3>;

}  // namespace nanochat
