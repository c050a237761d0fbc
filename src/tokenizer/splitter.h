/// Cuts text into the chunks that byte-pair encoding works within.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace nanochat {

/// The chunks of a text partition it: every byte is in exactly one, also when the text is not valid
/// UTF-8 (each maximal invalid part then counts as one character that is neither letter, number nor
/// white space, as U+FFFD is; its bytes are kept).
///
/// For the two patterns of vocabulary.h this is a hand-written scanner over tables of Unicode 16.0;
/// any other pattern runs in PCRE2 (with its JIT). Threads may share one.
class Splitter {
 public:
  /// Throws UsageError with PCRE2's words and the place when a pattern of one's own is wrong or can
  /// match the empty string without progress.
  explicit Splitter(std::string_view pattern = kNanochatPattern);
  ~Splitter();
  Splitter(Splitter&&) noexcept;
  Splitter& operator=(Splitter&&) noexcept;

  [[nodiscard]] const std::string& pattern() const noexcept;
  /// True for the two patterns that have a scanner.
  [[nodiscard]] bool is_scanner() const noexcept;

  /// Fills `ends` with the end offset of every chunk of `text`, in order; the last is text.size().
  /// Reuses its capacity. Linear in text.size() for scanner patterns.
  void split(std::string_view text, std::vector<size_t>& ends) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
