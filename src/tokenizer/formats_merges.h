/// Which two tokens each token is merged from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nanochat {

struct MergeParts {
  int32_t left = -1;  ///< ids; both -1: no merge makes this token
  int32_t right = -1;
  friend bool operator==(const MergeParts&, const MergeParts&) = default;
};

/// A table of ranks does not say from which two parts a token is merged, and formats that list
/// merges need to know. Byte-pair encoding of the token's own bytes, always merging the pair with
/// the lowest rank, leftmost first, comes to two parts in one way at most: those are the parts.
///
/// One pair for each token is enough, in every text. While two neighbours that together are the
/// bytes of token t exist, no merge has crossed the borders of those bytes; so merging inside them
/// went as it goes on t's bytes alone, and the neighbours are t's two parts.
///
/// None for single bytes, and for tokens that merging does not reach: they are used only where a
/// whole chunk is the token. For a trained vocabulary these are the merges of the training.
/// `tokens` as in a valid Vocabulary. Takes O(n log n) steps for a token of n bytes.
[[nodiscard]] std::vector<MergeParts> find_merges(std::span<const std::string> tokens);

}  // namespace nanochat
