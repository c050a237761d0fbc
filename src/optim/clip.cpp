#include "optim/clip.h"

#include <cmath>

namespace nanochat {

GradientClipper::GradientClipper(Backend& backend, std::span<const Parameter> parameters,
                                 double max_norm, Allocator& memory)
    : backend_(backend),
      parameters_(parameters),
      max_norm_(max_norm),
      norm_squared_({1}, DType::kF64, memory),
      on_host_({1}, DType::kF64) {
  if (!(max_norm >= 0)) {
    throw UsageError("gradient clipping at a norm of {}: choose a positive norm, or 0 for none",
                     max_norm);
  }
  if (max_norm > 0) scale_ = Tensor({1}, DType::kF32, memory);
}

double GradientClipper::squared_norm(std::span<const Parameter> parameters) {
  backend_.zero(norm_squared_);
  for (const Parameter& p : parameters) backend_.dot(p.grad, p.grad, 1, norm_squared_);
  backend_.copy(norm_squared_, on_host_);
  backend_.synchronize();
  return on_host_.data<double>()[0];
}

const Tensor& GradientClipper::clip() {
  const double sum = squared_norm(parameters_);
  grad_norm_ = std::sqrt(sum);
  if (!std::isfinite(sum)) {
    for (const Parameter& p : parameters_) {
      const double own = squared_norm({&p, 1});
      if (!std::isfinite(own)) {
        throw NumericError(
            "the gradient of {} is not finite ({}): no weight was changed; go back to the last "
            "checkpoint and lower the learning rate",
            p.name, std::isnan(own) ? "NaN" : "infinite");
      }
    }
    throw NumericError("the sum of all squared gradients is {}, though every single one is finite",
                       sum);
  }
  if (scale_.defined()) {
    backend_.clip_scale(norm_squared_, static_cast<float>(max_norm_), scale_);
  }
  return scale_;
}

}  // namespace nanochat
