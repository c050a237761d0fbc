/// Learns byte-pair merges from text, with upstream's (rustbpe's) exact results.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/splitter.h"

namespace nanochat {

/// Left and right id become 256 + index.
struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int64_t count = 0;  ///< of the pair when it was merged
};

/// First half of training: how often does each distinct chunk occur. Documents are split on their
/// own; only distinct chunks are kept, so memory does not grow with the corpus but with its
/// variety.
class ChunkCounter {
 public:
  explicit ChunkCounter(const Splitter& splitter);
  ~ChunkCounter();

  /// Counts a batch on all cores. The result does not depend on how documents are batched.
  void add(std::span<const std::string_view> documents);

  [[nodiscard]] int64_t n_chunks() const noexcept;  ///< in all
  [[nodiscard]] int64_t n_distinct() const noexcept;
  /// Calls f(chunk, count), in no particular order.
  void visit(const std::function<void(std::string_view, int64_t)>& f) const;

 private:
  friend std::vector<Merge> train_bpe(ChunkCounter&&, int64_t, const std::function<void(int64_t)>&);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Second half: repeatedly merges the pair with the highest count, ties to the smaller (left,
/// right), until n_merges are done or no pair is left. Takes the counter's memory. `progress(done)`
/// is called now and then. Deterministic, whatever the threads.
[[nodiscard]] std::vector<Merge> train_bpe(ChunkCounter&& counter, int64_t n_merges,
                                           const std::function<void(int64_t)>& progress = {});

/// The bytes of every token: 256 bytes, then each merge's.
[[nodiscard]] std::vector<std::string> token_strings(std::span<const Merge> merges);

}  // namespace nanochat
