/// Stochastic gradient descent: the smallest example of an optimizer.
#pragma once

#include <vector>

#include "optim/optimizer.h"

namespace nanochat {

/// With momentum mu as torch.optim.SGD (no dampening), g the scaled gradient:
///   m = mu m + g,   p -= lr m
/// mu == 0: p -= lr g, and no state.
class Sgd final : public Optimizer {
 public:
  Sgd(Backend& backend, std::vector<ParameterGroup> groups, double momentum = 0,
      Allocator& memory = host_allocator());
  void step(const StepContext& context) override;
  void visit_state(StateVisitor& visitor) override;

 private:
  double momentum_;
  std::vector<Tensor> m_;  // empty without momentum
};

}  // namespace nanochat
