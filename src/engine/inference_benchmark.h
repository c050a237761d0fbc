/// How fast a model generates here, and what the machine's memory would allow.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/gpt.h"

namespace nanochat {

/// Bytes per second that all threads together read from memory: the best of several passes over
/// 512 MiB, far more than any cache holds.
[[nodiscard]] double measure_read_bandwidth();
/// The same of a backend's device; of a GPU over 2 GiB.
[[nodiscard]] double measure_read_bandwidth(Backend& backend);

/// Prompt tokens per second of a model in one forward pass, no logits: what prefill is held
/// against. The model has no packed weights: it computes as in training.
[[nodiscard]] double measure_forward(Gpt& model, int64_t prompt_tokens);

struct InferenceBenchmarkOptions {
  int64_t prompt_tokens = 512;
  int64_t decode_tokens = 64;
  std::vector<int64_t> batch_sizes{1, 2, 4, 8, 16, 32, 64};
};

struct BatchMeasurement {
  int64_t batch = 0;
  double first_token_seconds = 0;  ///< of one request alone, from submission: its prefill
  double step_seconds = 0;         ///< median, a token for each of the batch
  /// Weights and the cached keys and values that such a step reads, at the middle of the decoding.
  /// A table that is only looked up (wte) does not count.
  int64_t bytes_per_step = 0;
  int64_t memory_bytes = 0;  ///< weights, cache and working memory, as planned
  [[nodiscard]] double tokens_per_second() const {
    return static_cast<double>(batch) / step_seconds;
  }
  [[nodiscard]] double bytes_per_second() const {
    return static_cast<double>(bytes_per_step) / step_seconds;
  }
};

/// One prompt, read once and continued `batch` times, greedily. `on_result` hears of each batch
/// size when it is measured. Throws as Engine.
[[nodiscard]] std::vector<BatchMeasurement> measure_generation(
    Gpt& model, const InferenceBenchmarkOptions& options,
    const std::function<void(const BatchMeasurement&)>& on_result = {});

}  // namespace nanochat
