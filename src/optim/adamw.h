/// AdamW for the embedding and the unembedding.
#pragma once

#include <vector>

#include "optim/optimizer.h"

namespace nanochat {

struct AdamWConfig {
  double beta1 = 0.8;
  double beta2 = 0.95;
  double eps = 1e-10;
  double weight_decay = 0;
};

/// Loshchilov & Hutter 2019, arXiv:1711.05101; the formula is at Backend::adamw. This is classic
/// nanochat in one process, which uses torch's own kernel. (Its distributed version adds eps before
/// the bias correction of sqrt(v); with eps = 1e-10 only weights that never had a gradient differ.)
class AdamW final : public Optimizer {
 public:
  AdamW(Backend& backend, std::vector<ParameterGroup> groups, const AdamWConfig& config = {},
        Allocator& memory = host_allocator());
  void step(const StepContext& context) override;
  void visit_state(StateVisitor& visitor) override;

 private:
  AdamWConfig config_;
  std::vector<Tensor> m_, v_;
};

}  // namespace nanochat
