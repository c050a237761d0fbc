#include "optim/schedules.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace nanochat {

int64_t round_half_to_even(double x) noexcept {
  return static_cast<int64_t>(std::nearbyint(x));  // the rounding mode is the default one
}

double classic_lr_multiplier(int64_t step, int64_t num_iterations,
                             const LrScheduleConfig& config) noexcept {
  const auto n = static_cast<double>(num_iterations);
  const int64_t n_warmup = round_half_to_even(config.warmup_ratio * n);
  const int64_t n_warmdown = round_half_to_even(config.warmdown_ratio * n);
  if (step < n_warmup) return static_cast<double>(step + 1) / static_cast<double>(n_warmup);
  if (step <= num_iterations - n_warmdown) return 1;
  const double q = static_cast<double>(num_iterations - step) / static_cast<double>(n_warmdown);
  return q + (1 - q) * config.final_lr_frac;
}

double classic_muon_momentum(int64_t step) noexcept {
  const double frac = std::min(static_cast<double>(step) / 300, 1.0);
  return (1 - frac) * 0.85 + frac * 0.95;
}

double mid_lr_multiplier(double progress) noexcept {
  return progress < 0.8 ? 1 : 1 - (progress - 0.8) / 0.2;
}

double linear_lr_multiplier(int64_t step, int64_t num_steps) noexcept {
  return 1 - static_cast<double>(step) / static_cast<double>(num_steps);
}

int64_t classic_num_iterations(const HorizonConfig& config, int64_t num_params,
                               int64_t flops_per_token, int64_t total_batch_size) {
  if (total_batch_size <= 0) {
    throw UsageError("a total batch of {} tokens: it must be positive", total_batch_size);
  }
  if (config.num_iterations > 0) return config.num_iterations;
  const auto batch = static_cast<double>(total_batch_size);
  if (config.target_flops > 0) {
    const double n = config.target_flops / (static_cast<double>(flops_per_token) * batch);
    const int64_t rounded = round_half_to_even(n);
    if (rounded >= 1) return rounded;
    throw UsageError(
        "a target of {:g} FLOPs is {:.2g} steps of {} tokens: raise the target or lower the total "
        "batch size",
        config.target_flops, n, total_batch_size);
  }
  if (config.target_param_data_ratio > 0) {
    const auto target_tokens =
        static_cast<int64_t>(config.target_param_data_ratio * static_cast<double>(num_params));
    if (target_tokens >= total_batch_size) return target_tokens / total_batch_size;
    throw UsageError(
        "{:g} tokens for each of {} parameters are {} tokens, less than one step of {}: raise the "
        "ratio or lower the total batch size",
        config.target_param_data_ratio, num_params, target_tokens, total_batch_size);
  }
  throw UsageError(
      "the run has no length: give a positive number of iterations, target FLOPs, or tokens per "
      "parameter");
}

int64_t grad_accum_steps(int64_t total_batch_size, int64_t device_batch_size, int64_t sequence_len,
                         int64_t world_size) {
  if (device_batch_size <= 0 || sequence_len <= 0 || world_size <= 0) {
    throw UsageError("device batch size {}, sequence length {}, {} ranks: all must be positive",
                     device_batch_size, sequence_len, world_size);
  }
  const int64_t tokens = device_batch_size * sequence_len * world_size;
  if (total_batch_size > 0 && total_batch_size % tokens == 0) return total_batch_size / tokens;
  const int64_t below = std::max<int64_t>(total_batch_size, 0) / tokens * tokens;
  throw UsageError(
      "the total batch of {} tokens is not a positive multiple of {}, the tokens of one "
      "micro-batch "
      "on all ranks ({} sequences x {} tokens x {} ranks): choose {}, or another device batch size",
      total_batch_size, tokens, device_batch_size, sequence_len, world_size,
      below > 0 ? fmt::format("{} or {}", below, below + tokens) : fmt::format("{}", tokens));
}

}  // namespace nanochat
