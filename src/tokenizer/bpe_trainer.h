/// Learns byte-pair merges from text, with upstream's (rustbpe's) exact results.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tokenizer/chunk_counter.h"

namespace nanochat {

/// Left and right id become 256 + index.
struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int64_t count = 0;  ///< of the pair when it was merged
  friend bool operator==(const Merge&, const Merge&) = default;
};

/// Repeatedly merges the pair of neighbours with the highest count, ties to the smaller
/// (left, right), until n_merges are done or no pair is left:
///   - every adjacent position counts, overlapping ones too: "aaa" has (a, a) twice;
///   - a merge replaces from left to right without overlap: "aaa" becomes Z a.
/// Deterministic, whatever the threads and the order of the documents.
///
/// Takes the counter's memory. Time is linear in the distinct chunks' bytes for each time the
/// highest count falls by a constant factor, plus the occurrences merged; a chunk may be megabytes
/// long. `progress(done)` is called every few merges and at the end; it may throw to stop.
/// Throws DataError when the distinct chunks hold 4 GiB or more.
[[nodiscard]] std::vector<Merge> train_bpe(ChunkCounter&& counter, int64_t n_merges,
                                           const std::function<void(int64_t)>& progress = {});

/// The bytes of every token: 256 bytes, then each merge's.
[[nodiscard]] std::vector<std::string> token_strings(std::span<const Merge> merges);

}  // namespace nanochat
