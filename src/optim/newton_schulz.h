/// Newton-Schulz iteration: the nearest (semi-)orthogonal matrix, roughly, by products alone.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "ops/backend.h"

namespace nanochat {

struct NewtonSchulzConfig {
  int iterations = 5;
  DType dtype = DType::kBf16;  ///< of X and its products; f32 for parity tests and research
  /// Batches stay below this many bytes of scratch, unless a single matrix needs more. 64 MiB holds
  /// all matrices of one shape up to depth 6 and is small beside the weights from there on.
  int64_t scratch_limit_bytes = int64_t{64} << 20;
};

/// Orthogonalizes matrices of one shape together (Jordan 2024, "Muon"):
///   X = X / (||X||_F + 1e-7);  then in each iteration, with (a, b, c) = (3.4445, -4.7750, 2.0315),
///   R <= C:  A = X X^T,  B = b A + c A A,  X = a X + B X
///   R >  C:  A = X^T X,  B = b A + c A A,  X = a X + X B
/// The second form is the first one for X^T, so nothing is ever transposed in memory. All singular
/// values go near 1 (0.5 to 1.5): the constants trade accuracy for speed.
/// X, A and B are rounded to `dtype` each time they are written; sums inside a product are f32.
class NewtonSchulz {
 public:
  NewtonSchulz(Backend& backend, const NewtonSchulzConfig& config,
               Allocator& memory = host_allocator());

  /// Matrices [R, C] that one batch may hold, at least 1.
  [[nodiscard]] int64_t max_batch(int64_t R, int64_t C) const noexcept;
  /// Makes room for batches of n matrices; the calls below then allocate nothing.
  void reserve(int64_t n, int64_t R, int64_t C);

  /// X [n, R, C] of config.dtype, to be filled by the caller. Valid until the next call.
  [[nodiscard]] Tensor input(int64_t n, int64_t R, int64_t C);
  /// The orthogonalized X [n, R, C], valid until the next input(). Needs a freshly filled input.
  [[nodiscard]] Tensor run();

  [[nodiscard]] int64_t scratch_bytes() const noexcept { return scratch_.size_bytes(); }

 private:
  Backend& backend_;
  NewtonSchulzConfig config_;
  Allocator& memory_;
  Tensor scratch_;  // bytes; the tensors below are views of it
  Tensor x_, y_;    // [n, R, C], the current X and the next
  Tensor a_, b_;    // [n, min(R, C), min(R, C)]
  Tensor norms_;    // [n] f64
};

}  // namespace nanochat
