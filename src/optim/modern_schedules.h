/// How long a run of modern nanochat is, how its batch, learning rates and weight decay follow from
/// its size, and what changes during it: upstream's formulas, in double and in upstream's order of
/// operations. The classic ones are in optim/schedules.h.
#pragma once

#include <cstdint>

#include "optim/schedules.h"

namespace nanochat {

/// Shape of pretraining's learning rate.
struct ModernLrScheduleConfig {
  int64_t warmup_steps = 40;
  double warmdown_ratio = 0.65;
  double final_lr_frac = 0.05;
};

/// As classic_lr_multiplier, with a warmup counted in steps.
[[nodiscard]] double modern_lr_multiplier(int64_t step, int64_t num_iterations,
                                          const ModernLrScheduleConfig& config = {}) noexcept;

/// From 0.85 to 0.97 over 400 steps; during the learning rate's warmdown from 0.97 to 0.90. Where
/// both would apply, the former does.
[[nodiscard]] double modern_muon_momentum(int64_t step, int64_t num_iterations,
                                          const ModernLrScheduleConfig& config = {}) noexcept;

/// Half a cosine, from weight_decay at the first step to 0 at the last.
[[nodiscard]] double modern_muon_weight_decay(int64_t step, int64_t num_iterations,
                                              double weight_decay) noexcept;

/// What the size of a run sets. "Reference" is the run of depth 12 with the same flags, at which
/// the hyper-parameters were tuned, with batches of kReferenceBatch tokens.
struct ModernScaling {
  static constexpr int64_t kReferenceBatch = int64_t{1} << 19;

  int64_t target_tokens = 0;       ///< D = int(ratio x scaling parameters)
  double reference_tokens = 0;     ///< D_ref, the same at depth 12
  int64_t total_batch_size = 0;    ///< tokens a step, B
  double batch_lr_scale = 1;       ///< sqrt(B / B_ref): all learning rates but the smear's
  double weight_decay_scaled = 0;  ///< weight_decay sqrt(B / B_ref) D_ref / D
};

/// total_batch_size > 0 is taken as it is; else it is the power of two nearest (on a logarithmic
/// scale) to B_ref (D / D_ref)^0.383. A ratio of -1 only sets a sign, which cancels: upstream's
/// scaling-law runs pass it. Throws UsageError when a count or the ratio is 0.
[[nodiscard]] ModernScaling modern_scaling(double target_param_data_ratio, int64_t scaling_params,
                                           int64_t reference_scaling_params,
                                           int64_t total_batch_size = -1,
                                           double weight_decay = 0.28);

/// num_iterations, or round(target_flops / (flops_per_token * B)), or floor(D / B).
/// Throws UsageError when none is positive or the result is less than one step.
[[nodiscard]] int64_t modern_num_iterations(const HorizonConfig& config,
                                            const ModernScaling& scaling, int64_t flops_per_token);

}  // namespace nanochat
