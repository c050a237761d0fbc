/// How much memory training takes on each device: a sum that can be done before the run. Arithmetic
/// of our own implementation (docs/architecture.md, "Tensors and memory"), held against it by test.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "model/gpt_config.h"
#include "model/modern_config.h"

namespace nanochat {

/// Bytes on one device.
struct MemoryPlan {
  int64_t weights = 0;          ///< f32 masters, and in bf16 the copies that are computed with
  int64_t gradients = 0;        ///< f32
  int64_t optimizer_state = 0;  ///< AdamW's two moments, Muon's momentum and its scratch
  int64_t activations = 0;      ///< what backward needs when it begins
  int64_t workspace = 0;  ///< the loss's block of logits or backward's temporaries, the larger
  int64_t program = 0;    ///< code, libraries, kernels' scratch: an allowance

  [[nodiscard]] int64_t total() const noexcept {
    return weights + gradients + optimizer_state + activations + workspace + program;
  }
};

struct MemoryOptions {
  DType dtype = DType::kF32;      ///< of activations and compute weights
  int64_t device_batch_size = 1;  ///< sequences
  bool activation_checkpointing = false;
  int64_t world_size = 1;  ///< devices that share the optimizer's state
  bool on_gpu = false;     ///< the allowance for the program is then CUDA's
};

/// Classic. In a = bytes of dtype, N = device_batch_size x sequence_len tokens, C = n_embd:
///   kept: (10 L + 2) a N C and f32 statistics; with checkpointing (L + 1) a N C
///   loss: gradient of the hidden states a N C, logits of at most 1024 rows a 1024 V
///   backward: at most 5 a N C above what was kept; with checkpointing 16 a N C of the block that
///   is computed again, instead of its input
[[nodiscard]] MemoryPlan classic_memory(const GptConfig& config, const MemoryOptions& options);

/// Modern, as it would be with the same rules: value embeddings are f32 like wte, and every block
/// keeps its input too, for the gradient of its lambdas. An estimate of a model yet to be built.
[[nodiscard]] MemoryPlan modern_memory(const ModernConfig& config, const MemoryOptions& options);

}  // namespace nanochat
