/// A trainable tensor of a model.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"
#include "ops/packed_weights.h"

namespace nanochat {

/// What a parameter is for; optimizers group by it.
enum class ParameterKind : uint8_t {
  kEmbedding,    ///< wte: one row per token
  kUnembedding,  ///< lm_head
  kMatrix,       ///< a linear weight inside a block
  kScalar,       ///< anything small or one-dimensional
};

/// value is the f32 master copy (f64 in gradient checks) that the optimizer moves; compute is what
/// forward multiplies with: the same tensor when the activations are f32, else its rounding to
/// bf16, made anew after every optimizer step (Gpt::refresh_compute_weights). grad accumulates over
/// micro-batches.
struct Parameter {
  std::string name;  ///< upstream's state-dict key: "transformer.h.0.attn.c_q.weight"
  ParameterKind kind = ParameterKind::kMatrix;
  Tensor value{};                 ///< [out, in] f32
  Tensor grad{};                  ///< like value; undefined in a model made for inference
  Tensor compute{};               ///< like value, act
  int64_t rows = 0, columns = 0;  ///< [out, in] of all of these

  /// A model that only infers may keep a matrix packed and nowhere else: in rows packed_row and
  /// following of this. It is then without data until weights are loaded.
  PackedWeights* packed = nullptr;
  int64_t packed_row = 0;
};

}  // namespace nanochat
