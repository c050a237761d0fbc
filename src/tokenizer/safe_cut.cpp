#include "tokenizer/safe_cut.h"

#include <algorithm>

#include "tokenizer/vocabulary.h"

namespace nanochat {
namespace {

bool is_letter(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z';
}

/// Begins a character that is surely no white space.
bool begins_ink(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte > 0x20 && byte < 0x7F) || (byte >= 0xE4 && byte < 0xF5);
}

}  // namespace

size_t find_safe_cut(std::string_view pattern, std::string_view text, size_t from) {
  if (pattern != kNanochatPattern && pattern != kGpt4Pattern) return std::string_view::npos;
  for (size_t p = std::max<size_t>(from, 1); p < text.size(); ++p) {
    if (text[p - 1] == '\n' && begins_ink(text[p])) return p;
    if (text[p] == ' ' && is_letter(text[p - 1]) && p + 1 < text.size() && is_letter(text[p + 1])) {
      return p;
    }
  }
  return std::string_view::npos;
}

}  // namespace nanochat
