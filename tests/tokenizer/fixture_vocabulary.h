/// The tokenizers of the fixtures, and how the fixtures write bytes and ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "support/fixtures.h"
#include "tokenizer/vocabulary.h"

namespace nanochat::test {

inline std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

/// Reads tokenizer/nanochat_<vocab_size>.ranks.txt: lines of "hex rank", in order.
inline Vocabulary fixture_vocabulary(int vocab_size) {
  std::ifstream file(fixtures_dir() / "tokenizer" /
                     ("nanochat_" + std::to_string(vocab_size) + ".ranks.txt"));
  std::vector<std::string> tokens;
  std::string hex;
  size_t rank = 0;
  while (file >> hex >> rank && rank == tokens.size()) tokens.push_back(bytes_of_hex(hex));
  return Vocabulary::from_tokens(std::move(tokens));
}

/// Ids as the fixtures hash them: four bytes each, lowest first.
inline std::string bytes_of_ids(const std::vector<int32_t>& ids) {
  std::string bytes;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift);
  }
  return bytes;
}

}  // namespace nanochat::test
