#include "optim/newton_schulz.h"

#include <algorithm>
#include <utility>

namespace nanochat {

namespace {

constexpr float kA = 3.4445F;
constexpr float kB = -4.7750F;
constexpr float kC = 2.0315F;
constexpr float kNormEps = 1e-7F;
constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Sizes of the five tensors of a batch.
struct Layout {
  int64_t x, a, norms;
  [[nodiscard]] int64_t total() const { return 2 * x + 2 * a + norms; }
};

Layout layout_of(int64_t n, int64_t R, int64_t C, DType dtype) {
  const int64_t m = std::min(R, C);
  return {.x = aligned(n * R * C * size_of(dtype)),
          .a = aligned(n * m * m * size_of(dtype)),
          .norms = aligned(n * size_of(DType::kF64))};
}

}  // namespace

NewtonSchulz::NewtonSchulz(Backend& backend, const NewtonSchulzConfig& config, Allocator& memory)
    : backend_(backend), config_(config), memory_(memory) {
  if (!backend.supports(config.dtype)) {
    throw UsageError("Newton-Schulz in {}: the {} backend cannot compute in it: choose f32",
                     name_of(config.dtype), backend.name());
  }
  NC_CHECK(config.iterations >= 1, "{} iterations", config.iterations);
}

int64_t NewtonSchulz::max_batch(int64_t R, int64_t C) const noexcept {
  const int64_t one = layout_of(1, R, C, config_.dtype).total();
  return std::max<int64_t>(1, config_.scratch_limit_bytes / one);
}

void NewtonSchulz::reserve(int64_t n, int64_t R, int64_t C) {
  const int64_t bytes = layout_of(n, R, C, config_.dtype).total();
  if (scratch_.defined() && bytes <= scratch_.size_bytes()) return;
  x_ = y_ = a_ = b_ = norms_ = scratch_ = {};  // give the old block back first
  scratch_ = Tensor({bytes}, DType::kU8, memory_);
}

Tensor NewtonSchulz::input(int64_t n, int64_t R, int64_t C) {
  reserve(n, R, C);
  const Layout layout = layout_of(n, R, C, config_.dtype);
  const int64_t m = std::min(R, C);
  const StoragePtr& storage = scratch_.storage();
  x_ = Tensor(storage, 0, {n, R, C}, config_.dtype);
  y_ = Tensor(storage, layout.x, {n, R, C}, config_.dtype);
  a_ = Tensor(storage, 2 * layout.x, {n, m, m}, config_.dtype);
  b_ = Tensor(storage, 2 * layout.x + layout.a, {n, m, m}, config_.dtype);
  norms_ = Tensor(storage, 2 * layout.x + 2 * layout.a, {n}, DType::kF64);
  return x_;
}

Tensor NewtonSchulz::run() {
  NC_CHECK(x_.defined(), "run() before input()");
  const bool tall = x_.dim(1) > x_.dim(2);
  backend_.squared_norms(x_, norms_);
  backend_.normalize_matrices(x_, norms_, kNormEps);
  for (int i = 0; i < config_.iterations; ++i) {
    backend_.matmul(x_, tall, x_, !tall, a_);  // A = X^T X or X X^T
    backend_.copy(a_, b_);
    backend_.matmul(a_, false, a_, false, b_, kC, kB);
    backend_.copy(x_, y_);
    if (tall) {
      backend_.matmul(x_, false, b_, false, y_, 1, kA);
    } else {
      backend_.matmul(b_, false, x_, false, y_, 1, kA);
    }
    std::swap(x_, y_);
  }
  return x_;
}

}  // namespace nanochat
