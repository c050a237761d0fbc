#include "optim/optimizer.h"

#include <utility>

#include <fmt/format.h>

namespace nanochat {

Optimizer::Optimizer(std::string name, Backend& backend, std::vector<ParameterGroup> groups,
                     Allocator& memory)
    : name_(std::move(name)), backend_(backend), memory_(memory), groups_(std::move(groups)) {
  for_each_parameter([](const ParameterGroup& group, const Parameter& p, size_t) {
    NC_CHECK(
        p.grad.defined() && p.grad.shape() == p.value.shape() && p.grad.dtype() == p.value.dtype(),
        "group {}: {} has no gradient like its value", group.name, p.name);
  });
}

std::vector<Tensor> Optimizer::zero_state(std::string_view suffix) {
  std::vector<Tensor> tensors;
  for_each_parameter([&](const ParameterGroup&, const Parameter& p, size_t) {
    Tensor& tensor = tensors.emplace_back(p.value.shape(), p.value.dtype(), memory_);
    backend_.zero(tensor);
    state_.push_back({fmt::format("{}.{}", p.name, suffix), tensor});
  });
  return tensors;
}

void Optimizer::visit_state(StateVisitor& visitor) {
  visitor.integer(fmt::format("{}.n_steps", name_), n_steps_);
  for (ParameterGroup& group : groups_) {
    visitor.real(fmt::format("{}.{}.initial_lr", name_, group.name), group.initial_lr);
  }
  for (NamedTensor& s : state_) visitor.tensor(s.name, s.tensor);
}

int64_t Optimizer::state_bytes() const noexcept {
  int64_t bytes = 0;
  for (const NamedTensor& s : state_) bytes += s.tensor.size_bytes();
  return bytes;
}

void Optimizer::add_gradient(float a, const Parameter& parameter, const Tensor& grad_scale, float b,
                             Tensor& y) const {
  if (!grad_scale.defined()) {
    backend_.axpby(a, parameter.grad, b, y);
    return;
  }
  // A product of [1, 1] and [1, n]: the factor is known to the device alone.
  const Shape row{1, parameter.grad.numel()};
  Tensor y_row = y.view(row);
  backend_.matmul(grad_scale.view({1, 1}), false, parameter.grad.view(row), false, y_row, a, b);
}

}  // namespace nanochat
