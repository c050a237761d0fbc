/// Small vocabularies for the tests of this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace nanochat::test {

/// All 256 bytes, then `merged`, then upstream's special tokens.
inline Vocabulary small_vocabulary(std::vector<std::string> merged = {"th", "the", " the", "in",
                                                                      "ing", "\xe4\xbd",
                                                                      "\xe4\xbd\xa0"}) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.insert(tokens.end(), merged.begin(), merged.end());
  return Vocabulary::from_tokens(std::move(tokens));
}

}  // namespace nanochat::test
