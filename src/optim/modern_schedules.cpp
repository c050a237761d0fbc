#include "optim/modern_schedules.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace nanochat {

double modern_lr_multiplier(int64_t step, int64_t num_iterations,
                            const ModernLrScheduleConfig& config) noexcept {
  const int64_t n_warmdown =
      round_half_to_even(config.warmdown_ratio * static_cast<double>(num_iterations));
  if (step < config.warmup_steps) {
    return static_cast<double>(step + 1) / static_cast<double>(config.warmup_steps);
  }
  if (step <= num_iterations - n_warmdown) return 1;
  const double q = static_cast<double>(num_iterations - step) / static_cast<double>(n_warmdown);
  return q + (1 - q) * config.final_lr_frac;
}

double modern_muon_momentum(int64_t step, int64_t num_iterations,
                            const ModernLrScheduleConfig& config) noexcept {
  const int64_t n_warmdown =
      round_half_to_even(config.warmdown_ratio * static_cast<double>(num_iterations));
  const int64_t start = num_iterations - n_warmdown;
  if (step < 400) {
    const double frac = static_cast<double>(step) / 400;
    return (1 - frac) * 0.85 + frac * 0.97;
  }
  if (step < start || n_warmdown == 0) return 0.97;
  const double q = static_cast<double>(step - start) / static_cast<double>(n_warmdown);
  return 0.97 * (1 - q) + 0.90 * q;
}

double modern_muon_weight_decay(int64_t step, int64_t num_iterations,
                                double weight_decay) noexcept {
  const double angle =
      std::numbers::pi * static_cast<double>(step) / static_cast<double>(num_iterations);
  return weight_decay * 0.5 * (1 + std::cos(angle));
}

ModernScaling modern_scaling(double target_param_data_ratio, int64_t scaling_params,
                             int64_t reference_scaling_params, int64_t total_batch_size,
                             double weight_decay) {
  if (scaling_params <= 0 || reference_scaling_params <= 0 || target_param_data_ratio == 0) {
    throw UsageError(
        "{:g} tokens for each of {} parameters (reference {}): all three must be other than 0",
        target_param_data_ratio, scaling_params, reference_scaling_params);
  }
  ModernScaling s;
  s.target_tokens =
      static_cast<int64_t>(target_param_data_ratio * static_cast<double>(scaling_params));
  s.reference_tokens = target_param_data_ratio * static_cast<double>(reference_scaling_params);
  constexpr auto kReference = static_cast<double>(ModernScaling::kReferenceBatch);
  const auto tokens = static_cast<double>(s.target_tokens);
  s.total_batch_size = total_batch_size;
  if (total_batch_size <= 0) {
    const double batch = kReference * std::pow(tokens / s.reference_tokens, 0.383);
    s.total_batch_size = int64_t{1} << round_half_to_even(std::log2(batch));
  }
  const double batch_ratio = static_cast<double>(s.total_batch_size) / kReference;
  s.batch_lr_scale = std::sqrt(batch_ratio);
  s.weight_decay_scaled = weight_decay * std::sqrt(batch_ratio) * (s.reference_tokens / tokens);
  return s;
}

int64_t modern_num_iterations(const HorizonConfig& config, const ModernScaling& scaling,
                              int64_t flops_per_token) {
  if (config.num_iterations > 0 || config.target_flops > 0) {
    return classic_num_iterations(config, 0, flops_per_token, scaling.total_batch_size);
  }
  if (config.target_param_data_ratio <= 0) {
    throw UsageError(
        "the run has no length: give a positive number of iterations, target FLOPs, or tokens per "
        "parameter");
  }
  if (scaling.target_tokens < scaling.total_batch_size) {
    throw UsageError(
        "the run is {} tokens, less than one step of {}: raise the ratio of tokens to parameters "
        "or lower the total batch size",
        scaling.target_tokens, scaling.total_batch_size);
  }
  return scaling.target_tokens / scaling.total_batch_size;
}

}  // namespace nanochat
