#include "optim/lion.h"

#include <algorithm>
#include <utility>

namespace nanochat {

Lion::Lion(Backend& backend, std::vector<ParameterGroup> groups, const LionConfig& config,
           Allocator& memory)
    : Optimizer("lion", backend, std::move(groups), memory),
      config_(config),
      m_(zero_state("exp_avg")) {
  int64_t longest = 0;
  for (const Tensor& m : m_) longest = std::max(longest, m.numel());
  if (longest > 0) scratch_ = Tensor({longest}, m_[0].dtype(), memory);
}

void Lion::step(const StepContext& context) {
  const auto beta1 = static_cast<float>(config_.beta1);
  const auto beta2 = static_cast<float>(config_.beta2);
  for_each_parameter([&](const ParameterGroup& group, Parameter& p, size_t i) {
    const double lr = group.initial_lr * context.lr_multiplier;
    Tensor u = scratch_.slice(0, p.value.shape());
    backend().copy(m_[i], u);
    add_gradient(1 - beta1, p, context.grad_scale, beta1, u);
    backend().sign(u, u);
    backend().axpby(static_cast<float>(-lr), u, static_cast<float>(1 - lr * config_.weight_decay),
                    p.value);
    add_gradient(1 - beta2, p, context.grad_scale, beta2, m_[i]);
  });
  count_step();
}

void Lion::visit_state(StateVisitor& visitor) {
  Optimizer::visit_state(visitor);
  visitor.real("lion.beta1", config_.beta1);
  visitor.real("lion.beta2", config_.beta2);
  visitor.real("lion.weight_decay", config_.weight_decay);
}

}  // namespace nanochat
