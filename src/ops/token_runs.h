/// Which rows of a flat batch belong together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace nanochat {

/// A batch is a flat list of N tokens; a run is `length` of its rows that are consecutive tokens of
/// one sequence, the first of them at `position`. Attention never crosses a run.
/// Training: B runs of T tokens at position 0. Packed documents: more, shorter runs. Decoding: one
/// run of length 1 per slot. Prefill: one long run. `slot` names the row of a KvCache, if there is
/// one. length 0 is allowed and does nothing.
struct Run {
  int32_t row_begin = 0;
  int32_t length = 0;
  int32_t position = 0;
  int32_t slot = 0;
};

/// The runs of one batch. Rows are covered in order, without gap or overlap.
class TokenRuns {
 public:
  TokenRuns() = default;
  /// Throws ShapeError unless the runs tile [0, n_tokens) in order with positions and slots >= 0.
  TokenRuns(std::span<const Run> runs, int64_t n_tokens);
  /// B runs of T tokens, each from position 0.
  [[nodiscard]] static TokenRuns uniform(int64_t B, int64_t T);
  /// Refills without giving up capacity, as a loader does every step.
  void assign(std::span<const Run> runs, int64_t n_tokens);

  [[nodiscard]] std::span<const Run> runs() const noexcept { return runs_; }
  [[nodiscard]] int64_t size() const noexcept { return static_cast<int64_t>(runs_.size()); }
  const Run& operator[](int64_t i) const noexcept { return runs_[static_cast<size_t>(i)]; }
  [[nodiscard]] int64_t n_tokens() const noexcept { return n_tokens_; }
  [[nodiscard]] int64_t max_length() const noexcept { return max_length_; }
  /// One past the last position that any run reaches: what a rotary table or cache must hold.
  [[nodiscard]] int64_t end_position() const noexcept { return end_position_; }

 private:
  std::vector<Run> runs_;
  int64_t n_tokens_ = 0;
  int64_t max_length_ = 0;
  int64_t end_position_ = 0;
};

/// Keys and values of earlier tokens, one layer. k, v: [n_slots, capacity, n_kv_head * head_dim];
/// position p of a slot lives at row p mod capacity. A layer with a window may have a capacity
/// smaller than the sequence: a multiple of kCacheMultiple, and at least window + kCacheMultiple +
/// the longest run of a call, so that no key is overwritten that a query of the call still sees.
inline constexpr int64_t kCacheMultiple = 16;
struct KvCache {
  Tensor k, v;
};

}  // namespace nanochat
