/// The differentiable functions: each checks its arguments, computes, and records its backward.
///
/// Shapes that do not fit throw ShapeError with both shapes; nothing below this room checks again.
/// Letters as in ops/backend.h: N tokens, C width, V vocabulary; "act" is the activation dtype.
#pragma once

#include "autograd/parameter.h"
#include "autograd/tape.h"

namespace nanochat {

/// What a linear function multiplies with and where its gradient goes. Two views of a Parameter, or
/// of several that lie beneath one another (c_q, c_k, c_v), so that they share one product.
struct Weight {
  Tensor value;  ///< [out, in] act
  Tensor grad;   ///< [out, in] f32 (f64), accumulated into; undefined: frozen
  const PackedWeights* packed = nullptr;  ///< in place of `value`, for inference
};

/// y[n] = wte[ids[n]], rounded to `act`. ids [N] i32; an id outside the table is a DataError
/// (checked on the host; a device's kernels trust it). ids on the host are
/// copied to the tape's device; targets and weights below likewise.
[[nodiscard]] Var embedding(Tape& tape, const Parameter& wte, const Tensor& ids, DType act);

/// y = x / sqrt(mean x^2 + eps) per row. x [N, C].
[[nodiscard]] Var rms_norm(Tape& tape, const Var& x, float eps);

/// y = x w^T. x [N, in], w [out, in], y [N, out].
[[nodiscard]] Var linear(Tape& tape, const Var& x, const Weight& w);
/// y = max(x w^T, 0)^2, the product never stored.
[[nodiscard]] Var linear_relu_squared(Tape& tape, const Var& x, const Weight& w);

/// y = a + b.
[[nodiscard]] Var add(Tape& tape, const Var& a, const Var& b);

/// Rotary positions and QK norm (Backend::rope_qk_norm), in place: qkv's tensor becomes the result
/// and the old values are gone. qkv [N, (H + 2 Hkv) D].
[[nodiscard]] Var rope_qk_norm(Tape& tape, Var qkv, const TokenRuns& runs,
                               const AttentionShape& shape, const Tensor& cos, const Tensor& sin,
                               float gain, float eps);

/// Causal attention within runs. qkv [N, (H + 2 Hkv) D] -> [N, H D]. `runs` must live until
/// backward.
[[nodiscard]] Var attention(Tape& tape, const Var& qkv, const TokenRuns& runs,
                            const AttentionShape& shape);
/// The same against a cache, to which the new keys and values are appended first. Inference only.
[[nodiscard]] Var attention_cached(Tape& tape, const Var& qkv, const TokenRuns& runs,
                                   const AttentionShape& shape, KvCache& cache);

struct LossOptions {
  float softcap = 15.0F;
  int64_t vocab_size = 0;  ///< rows of lm_head that are real tokens; the rest is padding
  /// Rows of logits held at once, rounded up to whole blocks of block_rows; <= 0: all. Any value
  /// gives the same bits.
  int64_t chunk_rows = kLossBlockRows;
  /// The lm_head gradient is summed over blocks of this many rows, whatever the chunk.
  int64_t block_rows = kLossBlockRows;

  /// For a CPU. At 1024 rows reading and writing the f32 gradient costs 4 % of the product that
  /// fills it (C = 384); a block of bf16 logits at V = 32768 is 64 MiB.
  static constexpr int64_t kLossBlockRows = 1024;
  /// For a GPU, whose memory is as slow beside its products: 8192 rows by the same arithmetic cost
  /// 6 % (800 TFLOP/s, 4 TB/s, whatever C), and a block of logits at V = 65536 is 1 GiB.
  static constexpr int64_t kGpuLossBlockRows = 8192;
};
struct LossResult {
  Tensor total;      ///< [1] f64: sum_n weights[n] per_token[n]
  Tensor per_token;  ///< [N] stat: -log p(target), 0 where ignored
};

/// loss = sum_n weights[n] * cross_entropy(softcap(x[n] lm_head^T), targets[n]), straight from the
/// hidden states x [N, C]: of the [N, V] logits only a chunk of rows exists at any time.
/// targets [N] i32, < 0 ignored; weights [N] f32, 1 / (valid targets x micro-batches) for a mean.
///
/// This function is the root of a training tape: d loss / d logits is known while a chunk is hot,
/// so when recording it forms the gradients at once: lm_head's is accumulated during this call,
/// that of x is kept for backward. Record only what you will run backward.
[[nodiscard]] LossResult softcap_cross_entropy(Tape& tape, const Var& x, const Weight& lm_head,
                                               const Tensor& targets, const Tensor& weights,
                                               const LossOptions& options);

}  // namespace nanochat
