/// UTF-8 as bytes that may be ill-formed.
///
/// Wherever ill-formed bytes count as characters, each maximal subpart of an ill-formed sequence is
/// one (Unicode 16.0, section 3.9, "U+FFFD Substitution of Maximal Subparts", and the WHATWG
/// decoder): the longest start of a well-formed sequence, else one byte. So do Python's
/// errors="replace" and Rust's from_utf8_lossy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nanochat::utf8 {

struct Character {
  char32_t code_point;  ///< U+FFFD when not valid
  uint8_t length;       ///< bytes, 1 to 4; of the ill-formed part, 1 to 3
  bool valid;
};

/// The character that begins at text[at]; at < text.size().
[[nodiscard]] inline Character decode(std::string_view text, size_t at) noexcept {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const auto ill_formed = [](uint8_t length) { return Character{0xFFFD, length, false}; };
  const auto continues = [&](size_t i) { return at + i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  // C0, C1 and F5.. begin nothing; 80..BF only continue.
  if (lead < 0xC2 || lead > 0xF4 || !continues(1)) return ill_formed(1);
  const uint32_t second = byte(1);
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (second & 0x3F), 2, true};
  // After four leads the second byte has a smaller range: else the form would be longer than needed
  // (E0, F0), a surrogate (ED) or above U+10FFFF (F4).
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
      (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
    return ill_formed(1);
  }
  if (!continues(2)) return ill_formed(2);
  const char32_t three = (lead & 0x0F) << 12 | (second & 0x3F) << 6 | (byte(2) & 0x3F);
  if (lead < 0xF0) return {three, 3, true};
  if (!continues(3)) return ill_formed(3);
  return {(three << 6 | (byte(3) & 0x3F)) & 0x1FFFFF, 4, true};
}

/// Appends the one to four bytes of cp, which is <= U+10FFFF and no surrogate.
void append(std::string& text, char32_t cp);

/// Where the first ill-formed part begins; text.size() when there is none.
[[nodiscard]] size_t find_invalid(std::string_view text) noexcept;

/// Each maximal ill-formed part becomes U+FFFD.
[[nodiscard]] std::string replace_invalid(std::string_view text);

/// Without the control characters that a terminal would obey: U+0000 to U+001F but for newline and
/// tab, U+007F, and U+0080 to U+009F are shown as \x1b. `text` is valid UTF-8.
[[nodiscard]] std::string controls_shown(std::string_view text);

/// Characters of `text`; an ill-formed part counts as one.
[[nodiscard]] size_t count(std::string_view text) noexcept;

/// The first n characters of `text`, all of it when it has fewer: what --doc-cap keeps.
[[nodiscard]] std::string_view crop(std::string_view text, size_t n) noexcept;

/// How many bytes at the end begin a character that further bytes could still complete: 0 to 3.
/// What a stream has to hold back.
[[nodiscard]] size_t incomplete_tail(std::string_view text) noexcept;

}  // namespace nanochat::utf8
