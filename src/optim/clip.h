/// The global gradient norm: clipping, and the watch for NaN.
#pragma once

#include <span>

#include "autograd/parameter.h"
#include "core/tensor.h"
#include "ops/backend.h"

namespace nanochat {

/// Clips all gradients together by their common L2 norm, without touching them: the optimizers take
/// the factor, so that no gradient is written once more.
///   norm = sqrt(sum of g^2 over all parameters),   scale = min(1, max_norm / (norm + 1e-6))
/// The sum is f64, parameter by parameter in the order given.
class GradientClipper {
 public:
  /// The model outlives the clipper. max_norm 0: do not clip, only watch. Throws UsageError.
  GradientClipper(Backend& backend, std::span<const Parameter> parameters, double max_norm,
                  Allocator& memory = host_allocator());

  /// Call it after the last micro-batch, before any step(). The scale [1] f32 for
  /// StepContext::grad_scale, on the device, valid until the next call; undefined when max_norm is
  /// 0. Waits for the backend. Throws NumericError, naming the first parameter whose gradient is
  /// not finite; nothing has been changed then.
  [[nodiscard]] const Tensor& clip();

  /// Of the last clip(), before clipping.
  [[nodiscard]] double grad_norm() const noexcept { return grad_norm_; }

 private:
  // dot(g, g) of these gradients, on the host.
  [[nodiscard]] double squared_norm(std::span<const Parameter> parameters);

  Backend& backend_;
  std::span<const Parameter> parameters_;
  double max_norm_;
  Tensor norm_squared_;  // [1] f64
  Tensor on_host_;       // a copy of it
  Tensor scale_;         // [1] f32
  double grad_norm_ = 0;
};

}  // namespace nanochat
