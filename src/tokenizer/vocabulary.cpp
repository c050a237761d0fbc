#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

#include "core/error.h"

namespace nanochat {

int32_t Vocabulary::size() const noexcept {
  auto n = static_cast<int32_t>(tokens.size());
  for (const auto& [name, id] : specials) n = std::max(n, id + 1);
  return n;
}

void Vocabulary::validate(std::string_view where) const {
  if (tokens.size() > kMaxTokens) {
    throw DataError("{}: {} tokens, at most {} are supported", where, tokens.size(), kMaxTokens);
  }
  std::unordered_set<std::string_view> seen;
  std::array<bool, 256> has_byte{};
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string& token = tokens[id];
    if (token.empty()) throw DataError("{}: token {} is empty", where, id);
    if (!seen.insert(token).second) throw DataError("{}: token {} is there twice", where, id);
    if (token.size() == 1) has_byte[static_cast<uint8_t>(token[0])] = true;
  }
  const auto missing = std::ranges::find(has_byte, false);
  if (missing != has_byte.end()) {
    throw DataError("{}: no token for the byte 0x{:02x}", where, missing - has_byte.begin());
  }
  std::set<int32_t> ids;
  for (const auto& [name, id] : specials) {
    if (name.empty()) throw DataError("{}: special token {} has no name", where, id);
    if (id < static_cast<int32_t>(tokens.size()) || id >= static_cast<int32_t>(2 * kMaxTokens) ||
        !ids.insert(id).second) {
      throw DataError("{}: special token '{}' has the id {}, which is taken or out of range", where,
                      name, id);
    }
  }
}

Vocabulary Vocabulary::from_tokens(std::vector<std::string> tokens, std::string_view pattern) {
  Vocabulary v;
  v.pattern = pattern;
  v.tokens = std::move(tokens);
  auto id = static_cast<int32_t>(v.tokens.size());
  for (const std::string_view name : kSpecialTokens) v.specials.emplace(name, id++);
  return v;
}

}  // namespace nanochat
