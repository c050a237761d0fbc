/// The optimizers of classic nanochat: AdamW for the two embeddings, Muon for the blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/muon.h"

namespace nanochat {

/// Defaults are those of base_train.
struct ClassicOptimConfig {
  int64_t n_embd = 768;
  double unembedding_lr = 0.004;  ///< tuned at n_embd 768; scaled by (n_embd / 768)^-0.5
  double embedding_lr = 0.2;      ///< likewise
  double matrix_lr = 0.02;        ///< not scaled
  double weight_decay = 0;        ///< AdamW's
  double grad_clip = 1;           ///< largest global gradient norm; 0: no clipping
  NewtonSchulzConfig newton_schulz = {};
  std::function<double(int64_t step)> muon_momentum = classic_muon_momentum;
};

/// Groups "lm_head" and "wte" by AdamW, "matrices" by Muon, told apart by Parameter::kind.
struct ClassicOptimizer {
  /// The parameters (Gpt::parameters()) stay where they are for the life of this object.
  ClassicOptimizer(Backend& backend, std::span<Parameter> parameters,
                   const ClassicOptimConfig& config, Allocator& memory = host_allocator());

  /// Step i of the run, from accumulated gradients: clips, then AdamW, then Muon. Returns the
  /// gradient norm before clipping. The gradients are left as they are (Gpt::zero_grad). Throws
  /// NumericError before any weight has changed when a gradient is not finite.
  double step(int64_t step, double lr_multiplier);

  /// See Optimizer::visit_state.
  void visit_state(StateVisitor& visitor);
  [[nodiscard]] int64_t state_bytes() const noexcept {
    return adamw.state_bytes() + muon.state_bytes();
  }

  AdamW adamw;
  Muon muon;
  GradientClipper clipper;
};

}  // namespace nanochat
