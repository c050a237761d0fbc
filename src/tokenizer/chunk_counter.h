/// Counts the distinct chunks of a corpus: what byte-pair training starts from.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "tokenizer/splitter.h"

namespace nanochat {

/// How often does each distinct chunk occur. Documents are split on their own; only distinct chunks
/// are kept, so memory grows with the corpus's variety, not with its size or the threads. Counts
/// are 64 bits (upstream's are 32, and wrap).
///
/// Not to be shared by threads: add() uses all cores itself.
class ChunkCounter {
 public:
  /// Keeps a reference to `splitter`.
  explicit ChunkCounter(const Splitter& splitter);
  ~ChunkCounter();
  ChunkCounter(ChunkCounter&&) noexcept;
  ChunkCounter& operator=(ChunkCounter&&) noexcept;

  /// Counts a batch on all cores; batches of a megabyte and more keep them busy. The documents may
  /// go away afterwards. The result does not depend on how documents are batched, nor on threads.
  /// After an exception (out of memory; what the splitter throws) the counts are of no use.
  void add(std::span<const std::string_view> documents);
  /// Adds a chunk that was counted elsewhere, as it stands. An empty chunk or a count of 0 adds
  /// nothing; throws UsageError for a negative count.
  void add_chunk(std::string_view chunk, int64_t count);

  [[nodiscard]] int64_t n_chunks() const noexcept;  ///< in all
  [[nodiscard]] int64_t n_distinct() const;
  /// Calls f(chunk, count), in no particular order. The views stay valid until the next add().
  void visit(const std::function<void(std::string_view, int64_t)>& f) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat
