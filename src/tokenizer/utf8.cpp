#include "tokenizer/utf8.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace nanochat::utf8 {
namespace {

constexpr std::string_view kReplacementBytes = "\xEF\xBF\xBD";

/// Are these eight bytes all ASCII?
bool is_ascii(const char* eight) noexcept {
  uint64_t word;
  std::memcpy(&word, eight, sizeof(word));
  return (word & 0x8080808080808080) == 0;
}

/// The end of the ASCII bytes from `at`, to a multiple of eight bytes.
size_t skip_ascii(std::string_view text, size_t at) noexcept {
  while (at + 8 <= text.size() && is_ascii(text.data() + at)) at += 8;
  return at;
}

}  // namespace

void append(std::string& text, char32_t cp) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (cp < 0x80) {
    put(cp);
    return;
  }
  if (cp < 0x800) {
    put(0xC0 | cp >> 6);
  } else {
    if (cp < 0x10000) {
      put(0xE0 | cp >> 12);
    } else {
      put(0xF0 | cp >> 18);
      put(0x80 | (cp >> 12 & 0x3F));
    }
    put(0x80 | (cp >> 6 & 0x3F));
  }
  put(0x80 | (cp & 0x3F));
}

size_t find_invalid(std::string_view text) noexcept {
  size_t at = 0;
  while ((at = skip_ascii(text, at)) < text.size()) {
    const Character c = decode(text, at);
    if (!c.valid) break;
    at += c.length;
  }
  return at;
}

std::string replace_invalid(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const size_t good = find_invalid(rest);
    valid += rest.substr(0, good);
    at += good;
    if (at == text.size()) break;
    valid += kReplacementBytes;
    at += decode(text, at).length;
  }
  return valid;
}

std::string controls_shown(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else if (byte == 0xC2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xA0) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[++i]));
    } else {
      out += text[i];
    }
  }
  return out;
}

size_t count(std::string_view text) noexcept {
  size_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) {
    const size_t after = skip_ascii(text, at);
    n += after - at;
    at = after;
    if (at == text.size()) break;
    at += decode(text, at).length;
  }
  return n;
}

std::string_view crop(std::string_view text, size_t n) noexcept {
  if (text.size() <= n) return text;  // no character is shorter than a byte
  size_t at = 0;
  while (n > 0 && at < text.size()) {
    if (n >= 8 && at + 8 <= text.size() && is_ascii(text.data() + at)) {
      at += 8;
      n -= 8;
    } else {
      at += decode(text, at).length;
      --n;
    }
  }
  return text.substr(0, at);
}

size_t incomplete_tail(std::string_view text) noexcept {
  for (size_t n = 1; n <= std::min<size_t>(3, text.size()); ++n) {
    const size_t at = text.size() - n;
    if ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) continue;
    // The last lead. Would it need more than there is, and is all there is a start of it?
    const Character c = decode(text, at);
    const auto lead = static_cast<uint8_t>(text[at]);
    const bool is_lead = lead >= 0xC2 && lead <= 0xF4;
    return !c.valid && is_lead && c.length == n ? n : 0;
  }
  return 0;
}

}  // namespace nanochat::utf8
