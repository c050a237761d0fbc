/// Byte-pair encoding as it is defined, with no thought for speed: the oracle of the fast encoder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace nanochat::test {

class NaiveBpe {
 public:
  explicit NaiveBpe(const Vocabulary& vocabulary) : splitter_(vocabulary.pattern) {
    for (const std::string& token : vocabulary.tokens) {
      rank_of_.emplace(token, static_cast<int32_t>(rank_of_.size()));
    }
  }

  [[nodiscard]] std::vector<int32_t> encode(std::string_view text) const {
    std::vector<size_t> ends;
    splitter_.split(text, ends);
    std::vector<int32_t> ids;
    size_t begin = 0;
    for (const size_t end : ends) {
      for (const std::string& part : merge(text.substr(begin, end - begin))) {
        ids.push_back(rank_of_.at(part));
      }
      begin = end;
    }
    return ids;
  }

 private:
  [[nodiscard]] std::vector<std::string> merge(std::string_view chunk) const {
    if (rank_of_.contains(std::string(chunk))) return {std::string(chunk)};
    std::vector<std::string> parts;
    for (const char byte : chunk) parts.emplace_back(1, byte);
    for (;;) {
      size_t best = parts.size();
      int32_t lowest = INT32_MAX;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto rank = rank_of_.find(parts[i] + parts[i + 1]);
        if (rank == rank_of_.end() || rank->second >= lowest) continue;
        best = i;
        lowest = rank->second;
      }
      if (best == parts.size()) return parts;
      parts[best] += parts[best + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
  }

  Splitter splitter_;
  std::unordered_map<std::string, int32_t> rank_of_;
};

}  // namespace nanochat::test
