/// Softcap cross-entropy of one row, and its gradient.
///
/// With r = 1 / (e^(2x/cap) + 1):   tanh(x/cap) = 1 - 2r,   z = cap (1 - 2r),
///                                  1 - (z/cap)^2 = 4 r (1 - r)      (exact where tanh is near 1)
/// so one pass finds e^z and e^z 4 r (1 - r) from two exponentials and a reciprocal; the second
/// pass only scales what the first left in a row of scratch (128 KiB at V = 32768: L2).
/// For cap <= kNoMaximum no maximum is needed, because |z| <= cap.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

inline constexpr float kLog2E = 1.44269504F;
/// V e^cap must stay far below 3e38: 2^31 e^40 = 5e26. Above it the values lose their digits to
/// 1 - 2r as well, and the careful path below takes over.
inline constexpr float kNoMaximum = 40;
/// Vectors whose e^z are added in f32 before the sum moves into double.
inline constexpr int64_t kFold = 128;

/// e^z and 4 r (1 - r) of one vector of logits, for a small cap.
struct Terms {
  F32 exp_z, slope;
};
struct SmallCap {
  F32 to_exponent;  // 2 log2(e) / cap
  F32 cap_log2e, minus_two_cap_log2e;

  NC_INLINE explicit SmallCap(float cap)
      : to_exponent(set1(2 * kLog2E / cap)),
        cap_log2e(set1(cap * kLog2E)),
        minus_two_cap_log2e(set1(-2 * cap * kLog2E)) {}

  NC_INLINE Terms operator()(F32 x) const {
    // At |z/cap| = 1 - 2^-100 f32 has long stopped to tell z from cap. A NaN stays one: it comes
    // second in min and max.
    const F32 y = max(set1(-100.0F), min(set1(100.0F), x * to_exponent));
    const F32 r = reciprocal(exp2_bounded(y) + 1.0F);
    return {exp2_bounded(fma(r, minus_two_cap_log2e, cap_log2e)), 4.0F * fma(-r, r, r)};
  }
};

/// dlogits = factor * scratch everywhere; the target's own element is the caller's.
template <typename T>
NC_INLINE void write_gradient(T* logits, const float* scratch, float factor, int64_t V) {
  const F32 f = set1(factor);
  for_vectors(
      V, [&](int64_t i, auto part) { store_at(logits + i, f * load_at(scratch + i, part), part); });
}

template <typename T>
NC_INLINE void write_zero(T* logits, int64_t V) {
  for_vectors(V, [&](int64_t i, auto part) { store_at(logits + i, zero(), part); });
}

template <typename T>
NC_INLINE void write_target(T* logits, int32_t target, float gradient) {
  store_partial(logits + target, set1(gradient), 1);
}

template <typename T, bool kGradient>
NC_INLINE float small_cap_row(T* logits, int64_t V, int32_t target, float weight, float cap,
                              float* scratch) {
  const SmallCap terms_of(cap);
  const float x_target = load_partial(logits + target, 1)[0];
  double sum = 0;
  for (int64_t block = 0; block < V; block += kFold * kLanes) {
    const int64_t n = V - block < kFold * kLanes ? V - block : kFold * kLanes;
    F32 partial = zero();
    for_vectors(n, [&](int64_t i, auto part) {
      const F32 x = load_at(logits + block + i, part);
      const Terms t = terms_of(x);
      partial += inside(t.exp_z, 0, part);
      if constexpr (kGradient) store_at(scratch + block + i, t.exp_z * t.slope, part);
    });
    sum += static_cast<double>(reduce_add(partial));
  }

  const Terms t = terms_of(set1(x_target));
  const float p_target = static_cast<float>(static_cast<double>(t.exp_z[0]) / sum);
  if constexpr (kGradient) {
    if (weight == 0) {
      write_zero(logits, V);
    } else {
      write_gradient(logits, scratch, static_cast<float>(static_cast<double>(weight) / sum), V);
      write_target(logits, target, weight * (p_target - 1) * t.slope[0]);
    }
  }
  const F32 z = set1(cap) * tanh(set1(x_target / cap));
  return static_cast<float>(__builtin_log(sum) - static_cast<double>(z[0]));
}

/// Any cap: the values first, then their maximum taken off before the exponential.
template <typename T, bool kGradient>
NC_INLINE float large_cap_row(T* logits, int64_t V, int32_t target, float weight, float cap,
                              float* scratch) {
  const F32 vcap = set1(cap), inv_cap = set1(1 / cap);
  F32 largest = set1(-3.4e38F);
  for_vectors(V, [&](int64_t i, auto part) {
    const F32 x = load_at(logits + i, part);
    const F32 z = vcap * tanh(x / vcap);
    store_at(scratch + i, z, part);
    largest = max(largest, inside(z, -3.4e38F, part));
  });
  const float top = reduce_max(largest);
  const float z_target = scratch[target];
  const float t_target = z_target / cap;
  const float slope_target = (1 - t_target) * (1 + t_target);
  const F32 vtop = set1(top);
  double sum = 0;
  for (int64_t block = 0; block < V; block += kFold * kLanes) {
    const int64_t n = V - block < kFold * kLanes ? V - block : kFold * kLanes;
    F32 partial = zero();
    for_vectors(n, [&](int64_t i, auto part) {
      const F32 z = load_at(scratch + block + i, part);
      const F32 e = exp(z - vtop);
      const F32 t = z * inv_cap;
      partial += inside(e, 0, part);
      if constexpr (kGradient) {
        store_at(scratch + block + i, e * (1.0F - t) * (1.0F + t), part);
      }
    });
    sum += static_cast<double>(reduce_add(partial));
  }

  const float p_target =
      static_cast<float>(static_cast<double>(exp(set1(z_target - top))[0]) / sum);
  if constexpr (kGradient) {
    if (weight == 0) {
      write_zero(logits, V);
    } else {
      write_gradient(logits, scratch, static_cast<float>(static_cast<double>(weight) / sum), V);
      write_target(logits, target, weight * (p_target - 1) * slope_target);
    }
  }
  return static_cast<float>(__builtin_log(sum) + static_cast<double>(top) -
                            static_cast<double>(z_target));
}

template <typename T>
float softcap_cross_entropy(void* logits_bytes, int64_t V, int32_t target, float weight, float cap,
                            bool with_gradient, float* scratch) {
  T* logits = static_cast<T*>(logits_bytes);
  if (target < 0) {
    if (with_gradient) write_zero(logits, V);
    return 0;
  }
  if (cap <= kNoMaximum) {
    return with_gradient ? small_cap_row<T, true>(logits, V, target, weight, cap, scratch)
                         : small_cap_row<T, false>(logits, V, target, weight, cap, scratch);
  }
  return with_gradient ? large_cap_row<T, true>(logits, V, target, weight, cap, scratch)
                       : large_cap_row<T, false>(logits, V, target, weight, cap, scratch);
}

}  // namespace

constinit const CrossEntropyKernels kCrossEntropyKernels = {
    .row = {softcap_cross_entropy<float>, softcap_cross_entropy<bf16>},
};

}  // namespace nanochat::cpu::NC_ISA
