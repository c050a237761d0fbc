/// Muon for the matrices inside the transformer blocks: momentum, made orthogonal.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "optim/newton_schulz.h"
#include "optim/optimizer.h"
#include "optim/schedules.h"

namespace nanochat {

struct MuonConfig {
  /// mu at step i of the run.
  std::function<double(int64_t step)> momentum = classic_muon_momentum;
  NewtonSchulzConfig newton_schulz;
};

/// Jordan 2024, "Muon: an optimizer for hidden layers in neural networks", as in classic nanochat.
/// For every matrix p [R, C] with scaled gradient g:
///   m += (1 - mu)(g - m),   u = (1 - mu) g + mu m            (Nesterov)
///   p -= lr sqrt(max(1, R / C)) NewtonSchulz(u)
/// No weight decay. Matrices of one shape go through Newton-Schulz together, in batches whose
/// scratch is bounded; a matrix alone would come out the same, up to rounding.
class Muon final : public Optimizer {
 public:
  /// All parameters have two extents. Throws UsageError when the backend lacks the dtype.
  Muon(Backend& backend, std::vector<ParameterGroup> groups, const MuonConfig& config = {},
       Allocator& memory = host_allocator());
  void step(const StepContext& context) override;

  [[nodiscard]] int64_t scratch_bytes() const noexcept { return newton_schulz_.scratch_bytes(); }

 private:
  struct Matrix {
    Parameter* parameter;
    Tensor momentum;
  };
  // The matrices of one group and one shape.
  struct Stack {
    size_t group;
    int64_t R, C;
    std::vector<Matrix> matrices;
  };
  void step_batch(const Stack& stack, std::span<Matrix> batch, const StepContext& context);

  MuonConfig config_;
  NewtonSchulz newton_schulz_;
  std::vector<Stack> stacks_;
};

}  // namespace nanochat
