/// RMSNorm over rows. Sums run in f32 over 4 x kLanes lanes, in one fixed order; a row is read from
/// memory once and from the first-level cache after that.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

/// sum_i a[i] b[i]. Four sums hide the latency of the multiply-add (4 cycles on Zen 4).
template <typename T>
NC_INLINE float dot(const T* a, const T* b, int64_t n) {
  F32 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    s0 = fma(load(a + i), load(b + i), s0);
    s1 = fma(load(a + i + kLanes), load(b + i + kLanes), s1);
    s2 = fma(load(a + i + 2 * kLanes), load(b + i + 2 * kLanes), s2);
    s3 = fma(load(a + i + 3 * kLanes), load(b + i + 3 * kLanes), s3);
  }
  for_vectors(n - i, [&](int64_t j, auto part) {
    s0 = fma(load_at(a + i + j, part), load_at(b + i + j, part), s0);
  });
  return reduce_add((s0 + s1) + (s2 + s3));
}

template <typename T>
void rms_norm(const void* x_bytes, void* y_bytes, float* rstd, int64_t n_rows, int64_t C,
              float eps) {
  for (int64_t row = 0; row < n_rows; ++row) {
    const T* x = static_cast<const T*>(x_bytes) + row * C;
    T* y = static_cast<T*>(y_bytes) + row * C;
    rstd[row] = 1.0F / __builtin_sqrtf(dot(x, x, C) / static_cast<float>(C) + eps);
    const F32 scale = set1(rstd[row]);
    for_vectors(C,
                [&](int64_t i, auto part) { store_at(y + i, scale * load_at(x + i, part), part); });
  }
}

template <typename T, bool kResidual>
NC_INLINE void rms_norm_backward_rows(const T* dy, const T* y, const float* rstd, const T* residual,
                                      T* dx, int64_t n_rows, int64_t C) {
  for (int64_t row = 0; row < n_rows; ++row) {
    const F32 scale = set1(rstd[row]);
    const F32 mean = set1(dot(dy, y, C) / static_cast<float>(C));
    for_vectors(C, [&](int64_t i, auto part) {
      const F32 d = load_at(dy + i, part) - mean * load_at(y + i, part);
      F32 base = zero();
      if constexpr (kResidual) base = load_at(residual + i, part);
      store_at(dx + i, fma(scale, d, base), part);
    });
    dy += C;
    y += C;
    dx += C;
    if constexpr (kResidual) residual += C;
  }
}

template <typename T>
void rms_norm_backward(const void* dy_bytes, const void* y_bytes, const float* rstd,
                       const void* residual_bytes, void* dx_bytes, int64_t n_rows, int64_t C) {
  const T* dy = static_cast<const T*>(dy_bytes);
  const T* y = static_cast<const T*>(y_bytes);
  const T* residual = static_cast<const T*>(residual_bytes);
  T* dx = static_cast<T*>(dx_bytes);
  if (residual) {
    rms_norm_backward_rows<T, true>(dy, y, rstd, residual, dx, n_rows, C);
  } else {
    rms_norm_backward_rows<T, false>(dy, y, rstd, residual, dx, n_rows, C);
  }
}

}  // namespace

constinit const NormKernels kNormKernels = {
    .rms_norm = {rms_norm<float>, rms_norm<bf16>},
    .rms_norm_backward = {rms_norm_backward<float>, rms_norm_backward<bf16>},
};

}  // namespace nanochat::cpu::NC_ISA
