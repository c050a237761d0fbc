/// How long a run is, and what changes during it: upstream's classic formulas, in double and in
/// upstream's order of operations, so that they agree to the last bit.
#pragma once

#include <cstdint>

namespace nanochat {

/// To the nearest integer, halves to the even one: Python's round().
[[nodiscard]] int64_t round_half_to_even(double x) noexcept;

/// Shape of pretraining's learning rate, as shares of num_iterations.
struct LrScheduleConfig {
  double warmup_ratio = 0.0;
  double warmdown_ratio = 0.2;
  double final_lr_frac = 0.0;  ///< multiplier at the end
};

/// What the learning rates of all groups are multiplied by at step i of N (i <= N), with
/// n_w = round(warmup_ratio N), n_d = round(warmdown_ratio N):
///   i < n_w:       (i + 1) / n_w
///   i <= N - n_d:  1
///   else:          q + (1 - q) final_lr_frac,  q = (N - i) / n_d
[[nodiscard]] double classic_lr_multiplier(int64_t step, int64_t num_iterations,
                                           const LrScheduleConfig& config = {}) noexcept;

/// Muon's momentum at step i: from 0.85 to 0.95 over 300 steps, then constant.
[[nodiscard]] double classic_muon_momentum(int64_t step) noexcept;

/// Midtraining: 1 until 80% of the data, then down to 0 in a straight line. progress in [0, 1].
[[nodiscard]] double mid_lr_multiplier(double progress) noexcept;

/// Supervised finetuning and reinforcement learning: from 1 down to 0 over num_steps.
[[nodiscard]] double linear_lr_multiplier(int64_t step, int64_t num_steps) noexcept;

/// Three ways to say how long to train; the first that is positive counts.
struct HorizonConfig {
  int64_t num_iterations = -1;
  double target_flops = -1;
  double target_param_data_ratio = 20;  ///< tokens per parameter (Chinchilla's is 20)
};

/// num_iterations, or round(target_flops / (flops_per_token * total_batch_size)), or
/// floor(ratio * num_params / total_batch_size). All parameters count, embeddings too.
/// Throws UsageError when none is positive or the result is less than one step.
[[nodiscard]] int64_t classic_num_iterations(const HorizonConfig& config, int64_t num_params,
                                             int64_t flops_per_token, int64_t total_batch_size);

/// Micro-batches per step: total_batch_size / (device_batch_size * sequence_len * world_size).
/// total_batch_size in tokens, device_batch_size in sequences. Throws UsageError when it does not
/// divide, naming batch sizes that do.
[[nodiscard]] int64_t grad_accum_steps(int64_t total_batch_size, int64_t device_batch_size,
                                       int64_t sequence_len, int64_t world_size);

}  // namespace nanochat
