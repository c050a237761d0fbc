/// What every optimizer is: groups of parameters, state beside each parameter, and a step.
///
/// One training step, and who does what:
///   1. autograd adds each micro-batch's gradients to Parameter::grad. The trainer divides every
///      micro-batch's loss by their number, so that the sum is the mean and needs no code here.
///   2. GradientClipper::clip() (clip.h) gives the factor for all gradients, as a scalar that stays
///      on the device.
///   3. Optimizer::step() moves Parameter::value. It reads the gradients, and leaves them as they
///      are.
///   4. Gpt::refresh_compute_weights() and Gpt::zero_grad().
///
/// To write another optimizer: derive, ask for state with zero_state() in the constructor, and
/// write step(). sgd.cpp and lion.cpp are examples. All arithmetic goes through Backend, so that
/// one text serves every device; whatever a step needs is made in the constructor, so that no step
/// allocates.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/parameter.h"
#include "core/tensor.h"
#include "ops/backend.h"

namespace nanochat {

/// Parameters that share a learning rate. They belong to the model, which outlives the optimizer.
struct ParameterGroup {
  std::string name;  ///< "lm_head": in messages, logs and saved state
  std::vector<Parameter*> parameters;
  double initial_lr = 0;  ///< a step uses initial_lr * StepContext::lr_multiplier
};

/// What changes from step to step.
struct StepContext {
  int64_t step = 0;  ///< of the run, the first is 0: what schedules are written in
  double lr_multiplier = 1;
  Tensor grad_scale = {};  ///< [1] f32 on the device; every gradient counts times it. Undefined: 1
};

/// Looks at all state, by reference: one walk serves saving (read) and loading (write).
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  virtual void tensor(std::string_view name, Tensor& value) = 0;
  virtual void integer(std::string_view name, int64_t& value) = 0;
  virtual void real(std::string_view name, double& value) = 0;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Moves every parameter once. All gradients are finite (GradientClipper sees to it).
  virtual void step(const StepContext& context) = 0;

  /// Everything that a checkpoint must hold for the next step to be bit-identical, in a fixed
  /// order, under names that are unique in the model: "<optimizer>.n_steps",
  /// "<optimizer>.<group>.initial_lr", other settings, "<parameter>.<suffix>" for tensors. As
  /// upstream, loading brings back the settings too: a resumed run keeps its learning rates. What
  /// is not here is scratch, or follows from StepContext. A saver waits for the backend first; a
  /// loader checks the shape and writes into the tensor's memory, with Backend::copy.
  virtual void visit_state(StateVisitor& visitor);

  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] std::span<const ParameterGroup> groups() const noexcept { return groups_; }
  /// Steps taken since the beginning of the run, those before a resume included.
  [[nodiscard]] int64_t n_steps() const noexcept { return n_steps_; }
  /// Of the tensors in visit_state; scratch is not counted.
  [[nodiscard]] int64_t state_bytes() const noexcept;

 protected:
  /// `memory` is on the backend's device. Every parameter must have a gradient.
  Optimizer(std::string name, Backend& backend, std::vector<ParameterGroup> groups,
            Allocator& memory);

  /// One tensor of zeros like each parameter's value, in the order of for_each_parameter; saved and
  /// loaded as "<parameter>.<suffix>".
  [[nodiscard]] std::vector<Tensor> zero_state(std::string_view suffix);

  /// f(group, parameter, i) with i = 0, 1, ... over all groups.
  template <typename F>
  void for_each_parameter(F&& f) const {
    size_t i = 0;
    for (const ParameterGroup& group : groups_) {
      for (Parameter* parameter : group.parameters) f(group, *parameter, i++);
    }
  }

  /// y = a grad_scale grad + b y. y is f32, like the gradient.
  void add_gradient(float a, const Parameter& parameter, const Tensor& grad_scale, float b,
                    Tensor& y) const;

  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] Allocator& memory() const noexcept { return memory_; }
  void count_step() noexcept { ++n_steps_; }

 private:
  struct NamedTensor {
    std::string name;
    Tensor tensor;
  };

  std::string name_;
  Backend& backend_;
  Allocator& memory_;
  std::vector<ParameterGroup> groups_;
  std::vector<NamedTensor> state_;
  int64_t n_steps_ = 0;
};

}  // namespace nanochat
