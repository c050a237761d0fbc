#include "optim/classic.h"

#include <cmath>
#include <string>
#include <vector>

namespace nanochat {

namespace {

ParameterGroup group_of(std::string name, std::span<Parameter> parameters, ParameterKind kind,
                        double initial_lr) {
  ParameterGroup group{.name = std::move(name), .parameters = {}, .initial_lr = initial_lr};
  for (Parameter& p : parameters) {
    if (p.kind == kind) group.parameters.push_back(&p);
  }
  return group;
}

std::vector<ParameterGroup> embedding_groups(std::span<Parameter> parameters,
                                             const ClassicOptimConfig& config) {
  NC_CHECK(config.n_embd > 0, "n_embd {}", config.n_embd);
  const double scale = std::pow(static_cast<double>(config.n_embd) / 768, -0.5);
  return {
      group_of("lm_head", parameters, ParameterKind::kUnembedding, config.unembedding_lr * scale),
      group_of("wte", parameters, ParameterKind::kEmbedding, config.embedding_lr * scale)};
}

}  // namespace

ClassicOptimizer::ClassicOptimizer(Backend& backend, std::span<Parameter> parameters,
                                   const ClassicOptimConfig& config, Allocator& memory)
    : adamw(backend, embedding_groups(parameters, config), {.weight_decay = config.weight_decay},
            memory),
      muon(backend, {group_of("matrices", parameters, ParameterKind::kMatrix, config.matrix_lr)},
           {.momentum = config.muon_momentum, .newton_schulz = config.newton_schulz}, memory),
      clipper(backend, parameters, config.grad_clip, memory) {
  for (const Parameter& p : parameters) {
    NC_CHECK(p.kind != ParameterKind::kScalar, "classic nanochat has no group for {}", p.name);
  }
}

double ClassicOptimizer::step(int64_t step, double lr_multiplier) {
  const StepContext context{
      .step = step, .lr_multiplier = lr_multiplier, .grad_scale = clipper.clip()};
  adamw.step(context);
  muon.step(context);
  return clipper.grad_norm();
}

void ClassicOptimizer::visit_state(StateVisitor& visitor) {
  adamw.visit_state(visitor);
  muon.visit_state(visitor);
}

}  // namespace nanochat
