/// Modern upstream's packing of documents into rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nanochat {

/// Documents that wait for a place. A row has room for T + 1 tokens, so of a longer document only
/// the first T + 1 can ever be used, and only they are kept, with the true length.
class BestFitBuffer {
 public:
  explicit BestFitBuffer(int64_t capacity) : capacity_(capacity) {}

  [[nodiscard]] int64_t size() const noexcept { return static_cast<int64_t>(lengths_.size()); }
  /// Puts a document behind the others: its first min(length, capacity) tokens.
  void push(std::span<const int32_t> tokens, int64_t length);
  /// Takes out the longest document of at most `row`'s size, the earliest of these, and puts it at
  /// row's beginning. If there is none: the shortest, the earliest of these, as far as it fits.
  /// Returns the tokens placed. There must be a document.
  int64_t place(std::span<int32_t> row);

  [[nodiscard]] std::span<const int64_t> lengths() const noexcept { return lengths_; }
  [[nodiscard]] std::span<const int32_t> tokens(int64_t i) const {
    return documents_[static_cast<size_t>(i)];
  }

 private:
  int64_t capacity_;
  std::vector<int64_t> lengths_;
  std::vector<std::vector<int32_t>> documents_;
};

}  // namespace nanochat
