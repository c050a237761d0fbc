/// The splitter for patterns that have no scanner: PCRE2 with its JIT.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;

namespace nanochat {

/// Splits as tiktoken finds: the next match from the end of the last one, an empty match not
/// counting. Where tiktoken drops what lies between two matches, this makes it a chunk, so that
/// chunks are a partition of any text.
///
/// Patterns are Unicode throughout (\p, \s, \w, and case folding of (?i)), in PCRE2's version of
/// it: Debian's 10.42 has 14.0, and counts U+180E as \s. Each maximal ill-formed part of a text is
/// matched as one U+FFFD. Threads may share one.
class Pcre2Splitter {
 public:
  /// Throws UsageError with PCRE2's words and the offset when the pattern is wrong.
  explicit Pcre2Splitter(std::string_view pattern);

  /// Fills `ends` with the end of every chunk, in order. Throws DataError when a match goes over
  /// PCRE2's limits of backtracking or memory.
  void split(std::string_view text, std::vector<size_t>& ends) const;

 private:
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const noexcept;
  };

  void split_valid(std::string_view text, std::vector<size_t>& ends) const;

  std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
};

}  // namespace nanochat
