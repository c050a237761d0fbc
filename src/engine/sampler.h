/// From logits to a token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"

namespace nanochat {

/// Applied in this order: repetition penalty, top-k, temperature, min-p, top-p.
struct SamplingOptions {
  double temperature = 1.0;  ///< 0: the most likely token
  int64_t top_k = 0;         ///< only among the k most likely (and what ties with the last); 0: all
  double top_p = 1.0;        ///< only the fewest most likely that together have this probability
  double min_p = 0.0;        ///< only what is at least this times as likely as the most likely
  /// Logits of tokens that are there already are divided by this where positive, else multiplied
  /// (Keskar et al. 2019, arXiv:1909.05858); 1: none.
  double repetition_penalty = 1.0;

  /// Throws UsageError that names the option and says what would do.
  void validate() const;
};

/// Draws a token. `index` is the place of the draw in `random`, so a token depends on its request
/// and position, not on what was drawn elsewhere.
///   logits  [vocab_size] f32; the lowest id wins a tie at temperature 0
///   past    tokens of the sequence so far, for the repetition penalty
/// Throws NumericError when the largest logit is not finite. Threads may call it side by side.
[[nodiscard]] int32_t sample_next_token(std::span<const float> logits,
                                        const SamplingOptions& options, const RandomStream& random,
                                        int64_t index, std::span<const int32_t> past = {});

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  ///< natural logarithm of the model's own probability, before any option
};
/// The `n` most likely tokens, most likely first (lower ids first among equals), and their
/// log-probabilities. n <= vocab_size.
[[nodiscard]] std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, int64_t n);
/// Of one token.
[[nodiscard]] float logprob_of(std::span<const float> logits, int32_t id);

}  // namespace nanochat
