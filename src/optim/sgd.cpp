#include "optim/sgd.h"

#include <utility>

namespace nanochat {

Sgd::Sgd(Backend& backend, std::vector<ParameterGroup> groups, double momentum, Allocator& memory)
    : Optimizer("sgd", backend, std::move(groups), memory), momentum_(momentum) {
  if (!(momentum >= 0 && momentum < 1)) {
    throw UsageError("SGD: momentum is {}: choose at least 0 and less than 1", momentum);
  }
  if (momentum > 0) m_ = zero_state("momentum_buffer");
}

void Sgd::step(const StepContext& context) {
  for_each_parameter([&](const ParameterGroup& group, Parameter& p, size_t i) {
    const auto lr = static_cast<float>(group.initial_lr * context.lr_multiplier);
    if (m_.empty()) {
      add_gradient(-lr, p, context.grad_scale, 1, p.value);
    } else {
      add_gradient(1, p, context.grad_scale, static_cast<float>(momentum_), m_[i]);
      backend().axpby(-lr, m_[i], 1, p.value);
    }
  });
  count_step();
}

void Sgd::visit_state(StateVisitor& visitor) {
  Optimizer::visit_state(visitor);
  visitor.real("sgd.momentum", momentum_);
}

}  // namespace nanochat
