/// How well a model predicts text, in bits per byte: comparable between tokenizers, which a loss
/// per token is not.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "model/gpt.h"

namespace nanochat {

struct BitsPerByte {
  double nats = 0;     ///< summed loss of the targets that stand for bytes
  int64_t bytes = 0;   ///< that those targets stand for
  int64_t tokens = 0;  ///< how many there were
  int64_t batches = 0;
  double all_nats = 0;      ///< summed loss of all targets that are not ignored
  int64_t all_targets = 0;  ///< how many there were, special tokens among them

  /// Mean loss of a target, in nats; 0 when there was none.
  [[nodiscard]] double loss() const noexcept {
    return all_targets > 0 ? all_nats / static_cast<double>(all_targets) : 0;
  }
  /// nats / (ln 2 bytes); infinite when there were no bytes, as upstream.
  [[nodiscard]] double value() const noexcept;
};

/// Upstream's evaluate_bpb (spec: loss_eval.py): of every target that is not ignored and whose
/// token stands for bytes (special tokens do not), the loss in nats and the bytes.
///   next         fills the batch with the next ids and targets; false: there are no more
///   max_batches  at most so many; < 0: until next() says no
///   token_bytes  [vocab_size], token_byte_counts(): 0 for special tokens
/// The sums are doubles; upstream's are f32 and differ around the sixth digit.
[[nodiscard]] BitsPerByte bits_per_byte(Gpt& model, Tape& tape,
                                        const std::function<bool(Batch&)>& next,
                                        int64_t max_batches, std::span<const int32_t> token_bytes);

}  // namespace nanochat
