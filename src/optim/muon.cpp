#include "optim/muon.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace nanochat {

Muon::Muon(Backend& backend, std::vector<ParameterGroup> groups, const MuonConfig& config,
           Allocator& memory)
    : Optimizer("muon", backend, std::move(groups), memory),
      config_(config),
      newton_schulz_(backend, config.newton_schulz, memory) {
  const std::vector<Tensor> momenta = zero_state("momentum_buffer");
  for_each_parameter([&](const ParameterGroup& group, Parameter& p, size_t i) {
    NC_CHECK(p.value.rank() == 2, "Muon needs matrices: {} is {}", p.name, p.value.shape());
    const auto g = static_cast<size_t>(&group - this->groups().data());
    const int64_t R = p.value.dim(0), C = p.value.dim(1);
    auto stack = std::find_if(stacks_.begin(), stacks_.end(),
                              [&](const Stack& s) { return s.group == g && s.R == R && s.C == C; });
    if (stack == stacks_.end()) stack = stacks_.insert(stacks_.end(), Stack{g, R, C, {}});
    stack->matrices.push_back({&p, momenta[i]});
  });
  for (const Stack& s : stacks_) {
    const auto n = static_cast<int64_t>(s.matrices.size());
    newton_schulz_.reserve(std::min(n, newton_schulz_.max_batch(s.R, s.C)), s.R, s.C);
  }
}

void Muon::step(const StepContext& context) {
  for (Stack& stack : stacks_) {
    const auto most = static_cast<size_t>(newton_schulz_.max_batch(stack.R, stack.C));
    for (size_t i = 0; i < stack.matrices.size(); i += most) {
      const size_t n = std::min(most, stack.matrices.size() - i);
      step_batch(stack, std::span(stack.matrices).subspan(i, n), context);
    }
  }
  count_step();
}

void Muon::step_batch(const Stack& stack, std::span<Matrix> batch, const StepContext& context) {
  const auto mu = static_cast<float>(config_.momentum(context.step));
  const auto n = static_cast<int64_t>(batch.size());
  const Shape matrix{stack.R, stack.C};

  const Tensor x = newton_schulz_.input(n, stack.R, stack.C);  // u of all matrices
  for (size_t i = 0; i < batch.size(); ++i) {
    Tensor u = x.slice(static_cast<int64_t>(i) * matrix.numel(), matrix);
    backend().nesterov(batch[i].parameter->grad, batch[i].momentum, context.grad_scale, mu, u);
  }
  const Tensor orthogonal = newton_schulz_.run();

  // A tall matrix has more rows than an orthogonal one can make independent: the factor keeps the
  // RMS of its update at that of a square one.
  const double shape_factor =
      std::sqrt(std::max(1.0, static_cast<double>(stack.R) / static_cast<double>(stack.C)));
  const double lr = groups()[stack.group].initial_lr * context.lr_multiplier * shape_factor;
  for (size_t i = 0; i < batch.size(); ++i) {
    const Tensor u = orthogonal.slice(static_cast<int64_t>(i) * matrix.numel(), matrix);
    backend().axpby(static_cast<float>(-lr), u, 1, batch[i].parameter->value);
  }
}

}  // namespace nanochat
