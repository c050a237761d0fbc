#include "tokenizer/scanner.h"

#include <array>

#include "tokenizer/unicode_tables.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

using unicode::CharClass;

constexpr std::array<CharClass, 128> kAsciiClass = [] {
  std::array<CharClass, 128> classes{};
  for (size_t c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    classes[c] = letter                 ? CharClass::kLetter
                 : c >= '0' && c <= '9' ? CharClass::kNumber
                 : space                ? CharClass::kSpace
                                        : CharClass::kOther;
  }
  return classes;
}();

/// Class and bytes of one character; an ill-formed part is one of class kOther.
struct Symbol {
  CharClass cls;
  uint8_t length;
};

Symbol symbol_at(std::string_view text, size_t at) noexcept {
  const auto lead = static_cast<uint8_t>(text[at]);
  if (lead < 0x80) return {kAsciiClass[lead], 1};
  const utf8::Character c = utf8::decode(text, at);
  return {unicode::class_of(c.code_point), c.length};
}

bool is_line_end(char c) noexcept { return c == '\r' || c == '\n'; }

/// The end of the characters of class kClass from `at`.
template <CharClass kClass>
size_t run_end(std::string_view text, size_t at) noexcept {
  while (at < text.size()) {
    const Symbol s = symbol_at(text, at);
    if (s.cls != kClass) break;
    at += s.length;
  }
  return at;
}

/// run_end for letters, by blocks where they are English or Chinese.
size_t letters_end(std::string_view text, size_t at) noexcept {
  using scanner::Blocks;
  while (at < text.size()) {
    const bool ascii = static_cast<signed char>(text[at]) >= 0;
    if (ascii && kAsciiClass[static_cast<uint8_t>(text[at])] != CharClass::kLetter) break;
    if (at + Blocks::kBytes <= text.size()) {
      const char* const block = text.data() + at;
      const size_t n = ascii ? Blocks::ascii_letters(block) : Blocks::ideographs(block);
      at += n;
      if (n > 0) continue;
    }
    const Symbol s = symbol_at(text, at);
    if (s.cls != CharClass::kLetter) break;
    at += s.length;
  }
  return at;
}

/// The end of alternative 1 behind the apostrophe at `at`; 0 where it does not match.
size_t ending_end(std::string_view text, size_t at) noexcept {
  const auto lower = [&](size_t i) { return i < text.size() ? text[i] | 0x20 : 0; };
  const int first = lower(at + 1);
  const int second = lower(at + 2);
  switch (first) {
    case 's':
    case 'd':
    case 'm':
    case 't':
      return at + 2;
    case 'l':
      return second == 'l' ? at + 3 : 0;
    case 'v':
    case 'r':
      return second == 'e' ? at + 3 : 0;
    default:
      // Case folding is Unicode's: U+017F, the long s, is an s. No other letter of the list has
      // such a twin.
      return text.substr(at + 1, 2) == "\xC5\xBF" ? at + 3 : 0;
  }
}

/// Alternative 4 from its run of others on.
size_t others_end(std::string_view text, size_t at) noexcept {
  at = run_end<CharClass::kOther>(text, at);
  while (at < text.size() && is_line_end(text[at])) ++at;
  return at;
}

/// Alternatives 5 to 7 for the white space that begins at `begin`. Each chunk but the last of a run
/// leaves at most the white space behind its last line end, and then one character: no byte is
/// looked at more than three times.
size_t white_space_end(std::string_view text, size_t begin) noexcept {
  size_t at = begin;
  size_t last = begin;  // the last character of the run
  size_t behind_line_end = 0;
  while (at < text.size()) {
    const Symbol s = symbol_at(text, at);
    if (s.cls != CharClass::kSpace) break;
    last = at;
    at += s.length;
    if (is_line_end(text[last])) behind_line_end = at;
  }
  if (behind_line_end != 0) return behind_line_end;
  return at == text.size() || last == begin ? at : last;
}

}  // namespace

template <int kMaxDigits>
size_t Scanner<kMaxDigits>::next_of_any(std::string_view text, size_t begin) noexcept {
  const char c = text[begin];
  const Symbol first = symbol_at(text, begin);
  const size_t second = begin + first.length;
  switch (first.cls) {
    case CharClass::kLetter:
      return letters_end(text, second);
    case CharClass::kNumber: {
      size_t at = second;
      for (int n = 1; n < kMaxDigits && at < text.size(); ++n) {
        const Symbol s = symbol_at(text, at);
        if (s.cls != CharClass::kNumber) break;
        at += s.length;
      }
      return at;
    }
    case CharClass::kOther: {
      if (c == '\'') {
        if (const size_t end = ending_end(text, begin)) return end;
      }
      const size_t end = letters_end(text, second);
      return end != second ? end : others_end(text, second);
    }
    case CharClass::kSpace:
      break;
  }
  if (!is_line_end(c) && second < text.size()) {
    const CharClass next = symbol_at(text, second).cls;
    if (next == CharClass::kLetter) return letters_end(text, second);
    if (next == CharClass::kOther && c == ' ') return others_end(text, second);
  }
  return white_space_end(text, begin);
}

template class Scanner<2>;
template class Scanner<3>;

}  // namespace nanochat
