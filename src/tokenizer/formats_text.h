/// Small helpers that the tokenizer formats share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tokenizer/vocabulary.h"

namespace nanochat {

/// Text from a file, fit for an error message: one line, no terminal escapes, not too long.
[[nodiscard]] std::string printable(std::string_view text);

/// RFC 4648, section 4, with padding.
[[nodiscard]] std::string to_base64(std::string_view bytes);
/// Nothing when `text` is not exactly what to_base64 gives for some bytes.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// The whole of `bytes` as JSON; a DataError in one line when it is none.
[[nodiscard]] nlohmann::json parse_json(std::string_view bytes, std::string_view where);

/// Throws DataError unless the vocabulary is valid, not larger than kMaxVocabularyBytes, and its
/// pattern and special tokens are UTF-8. The door of every format, in and out.
void check_storable(const Vocabulary& vocabulary, std::string_view where);

/// Collects tokens that come with their ranks, in any order.
class RankedTokens {
 public:
  explicit RankedTokens(std::string_view where) : where_(where) {}
  /// Throws DataError when the token is empty or the rank is out of range or taken, naming `place`.
  void add(std::string bytes, int64_t rank, std::string_view place);
  [[nodiscard]] size_t size() const noexcept { return by_rank_.size(); }
  /// The tokens by rank. Throws DataError when ranks are missing.
  [[nodiscard]] std::vector<std::string> take();

 private:
  std::string_view where_;
  std::unordered_map<int64_t, std::string> by_rank_;  // one huge rank must not take much memory
};

}  // namespace nanochat
