#include "optim/adamw.h"

#include <utility>

namespace nanochat {

AdamW::AdamW(Backend& backend, std::vector<ParameterGroup> groups, const AdamWConfig& config,
             Allocator& memory)
    : Optimizer("adamw", backend, std::move(groups), memory),
      config_(config),
      m_(zero_state("exp_avg")),
      v_(zero_state("exp_avg_sq")) {}

void AdamW::step(const StepContext& context) {
  count_step();
  AdamWParams params{.beta1 = static_cast<float>(config_.beta1),
                     .beta2 = static_cast<float>(config_.beta2),
                     .eps = static_cast<float>(config_.eps),
                     .weight_decay = static_cast<float>(config_.weight_decay),
                     .step = n_steps()};
  for_each_parameter([&](const ParameterGroup& group, Parameter& p, size_t i) {
    params.lr = static_cast<float>(group.initial_lr * context.lr_multiplier);
    backend().adamw(p.value, p.grad, m_[i], v_[i], context.grad_scale, params);
  });
}

void AdamW::visit_state(StateVisitor& visitor) {
  Optimizer::visit_state(visitor);
  visitor.real("adamw.beta1", config_.beta1);
  visitor.real("adamw.beta2", config_.beta2);
  visitor.real("adamw.eps", config_.eps);
  visitor.real("adamw.weight_decay", config_.weight_decay);
}

}  // namespace nanochat
