/// Lion: the sign of a momentum, found by program search. An example of an optimizer.
#pragma once

#include <vector>

#include "optim/optimizer.h"

namespace nanochat {

struct LionConfig {
  double beta1 = 0.9;   ///< weighs the momentum against the gradient in the update
  double beta2 = 0.99;  ///< and in the momentum that is kept
  double weight_decay = 0;
};

/// Chen et al. 2023, arXiv:2302.06675, program 1, g the scaled gradient:
///   u = sign(b1 m + (1 - b1) g),   p -= lr (u + wd p),   m = b2 m + (1 - b2) g
/// Every element moves by lr, so lr is 3 to 10 times smaller than AdamW's.
class Lion final : public Optimizer {
 public:
  Lion(Backend& backend, std::vector<ParameterGroup> groups, const LionConfig& config = {},
       Allocator& memory = host_allocator());
  void step(const StepContext& context) override;
  void visit_state(StateVisitor& visitor) override;

 private:
  LionConfig config_;
  std::vector<Tensor> m_;
  Tensor scratch_;  // u, as long as the longest parameter
};

}  // namespace nanochat
