/// From logits to a token.
#pragma once

#include <cstdint>
#include <span>

#include "core/rng.h"

namespace nanochat {

struct SamplingOptions {
  double temperature = 1.0;  ///< 0: the most likely token
  int64_t top_k = 0;         ///< only among the k most likely (and what ties with the last); 0: all
};

/// Draws from softmax(logits / temperature). `index` is the place of the draw in `random`, so a
/// token depends on its request and position, not on what was drawn elsewhere.
/// logits [vocab_size] f32, finite; the lowest id wins a tie at temperature 0.
[[nodiscard]] int32_t sample_next_token(std::span<const float> logits,
                                        const SamplingOptions& options, const RandomStream& random,
                                        int64_t index);

}  // namespace nanochat
