/// Cuts text into the chunks that byte-pair encoding works within.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/scanner.h"
#include "tokenizer/vocabulary.h"

namespace nanochat {

class Pcre2Splitter;

/// The chunks of a text partition it: every byte is in exactly one, also when the text is not valid
/// UTF-8 (each maximal invalid part then counts as one character that is neither letter, number nor
/// white space, as U+FFFD is; its bytes are kept).
///
/// For the two patterns of vocabulary.h this is a hand-written scanner over tables of Unicode 16.0
/// (scanner.h); any other pattern runs in PCRE2 (pcre2_splitter.h: what it does not match becomes
/// chunks as well). Threads may share one.
class Splitter {
 public:
  /// Throws UsageError with PCRE2's words and the place when a pattern of one's own is wrong.
  explicit Splitter(std::string_view pattern = kNanochatPattern);
  ~Splitter();
  Splitter(Splitter&&) noexcept;
  Splitter& operator=(Splitter&&) noexcept;

  [[nodiscard]] const std::string& pattern() const noexcept { return pattern_; }
  /// True for the two patterns that have a scanner.
  [[nodiscard]] bool is_scanner() const noexcept { return kind_ != Kind::kPcre2; }

  /// Fills `ends` with the end offset of every chunk of `text`, in order; the last is text.size().
  /// Reuses its capacity. Linear in text.size() for scanner patterns. Throws DataError when a
  /// pattern of one's own goes over PCRE2's limits on this text.
  void split(std::string_view text, std::vector<size_t>& ends) const;

  /// Calls f(chunk) for every chunk of `text`, in order; faster than split() for scanner patterns.
  template <typename F>
  void for_each_chunk(std::string_view text, F&& f) const {
    switch (kind_) {
      case Kind::kTwoDigits:
        return scan<2>(text, f);
      case Kind::kThreeDigits:
        return scan<3>(text, f);
      case Kind::kPcre2:
        break;
    }
    std::vector<size_t> ends;
    split(text, ends);
    size_t begin = 0;
    for (const size_t end : ends) {
      f(text.substr(begin, end - begin));
      begin = end;
    }
  }

 private:
  enum class Kind : uint8_t { kTwoDigits, kThreeDigits, kPcre2 };

  template <int kMaxDigits, typename F>
  static void scan(std::string_view text, F& f) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = Scanner<kMaxDigits>::next(text, begin);
      f(std::string_view(text.data() + begin, end - begin));
      begin = end;
    }
  }

  std::string pattern_;
  Kind kind_;
  std::unique_ptr<Pcre2Splitter> pcre2_;
};

}  // namespace nanochat
