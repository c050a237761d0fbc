/// One vector of floats, three times over: AVX-512, AVX2 and plain C++.
///
/// A kernel file in ops/cpu/kernels/ is compiled once per instruction set, each time with its own
/// flags and with NC_ISA naming a namespace, and written against this header alone. Such a file
/// holds only functions inside nanochat::cpu::NC_ISA and includes nothing that defines inline
/// functions with external linkage: the linker keeps one copy of those, which might be the AVX-512
/// one, and an older CPU would then die far away from here (tests/ops/isa_symbols checks it).
///
/// Kernels see bf16 as its bits, uint16_t.
#pragma once

#include <stdint.h>
#include <string.h>

#if !defined(NC_ISA)
#error "compile this through nanochat_cpu_kernels() in CMake"
#endif

#if defined(NC_ISA_AVX512) || defined(NC_ISA_AVX2)
#include <immintrin.h>
#endif

#define NC_INLINE inline __attribute__((always_inline))

namespace nanochat::cpu::NC_ISA {

using bf16 = uint16_t;

#if defined(NC_ISA_AVX512)
inline constexpr int kLanes = 16;
#elif defined(NC_ISA_AVX2)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;  // SSE2 and NEON have this much on every x86-64 and aarch64
#endif

// GCC and clang vectors: + - * / and comparisons work element by element.
typedef float F32 __attribute__((vector_size(kLanes * 4)));
typedef int32_t I32 __attribute__((vector_size(kLanes * 4)));
typedef uint32_t U32 __attribute__((vector_size(kLanes * 4)));
typedef uint16_t U16 __attribute__((vector_size(kLanes * 2)));
// The same at any address.
typedef float F32u __attribute__((vector_size(kLanes * 4), aligned(4)));

NC_INLINE F32 set1(float x) {
#if defined(NC_ISA_AVX512)
  return _mm512_set1_ps(x);
#elif defined(NC_ISA_AVX2)
  return _mm256_set1_ps(x);
#else
  return F32{x, x, x, x};         // not F32{} + x, which is an addition: -0 would become 0
#endif
}
NC_INLINE F32 zero() { return F32{}; }
NC_INLINE F32 as_f32(U32 u) { return reinterpret_cast<F32>(u); }
NC_INLINE U32 as_u32(F32 f) { return reinterpret_cast<U32>(f); }

NC_INLINE F32 load(const float* p) { return *reinterpret_cast<const F32u*>(p); }
NC_INLINE void store(float* p, F32 x) { *reinterpret_cast<F32u*>(p) = x; }
NC_INLINE F32 load(const bf16* p) {
#if defined(NC_ISA_AVX512)
  const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
#elif defined(NC_ISA_AVX2)
  // GCC 12 makes two halves of __builtin_convertvector here.
  const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
#else
  U16 h;
  memcpy(&h, p, sizeof h);
  return as_f32(__builtin_convertvector(h, U32) << 16);
#endif
}
/// To nearest even; a NaN stays one.
NC_INLINE void store_exact(bf16* p, F32 x) {
  const U32 u = as_u32(x);
  const U32 rounded = (u + 0x7fffU + ((u >> 16) & 1U)) >> 16;
  const U32 nan = (u >> 16) | 0x40U;
  const U32 is_nan = reinterpret_cast<U32>(x != x);
  const U16 h = __builtin_convertvector((is_nan & nan) | (~is_nan & rounded), U16);
  memcpy(p, &h, sizeof h);
}
/// The same, but AVX-512's own instruction, which takes a fifth of the time, flushes subnormals to
/// zero.
NC_INLINE void store(bf16* p, F32 x) {
#if defined(NC_ISA_AVX512)
  const __m256bh h = _mm512_cvtneps_pbh(x);
  memcpy(p, &h, sizeof h);
#else
  store_exact(p, x);
#endif
}

/// The first n < kLanes elements; the rest read as 0 and are not written.
NC_INLINE F32 load_partial(const float* p, int n) {
#if defined(NC_ISA_AVX512)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1), p);
#else
  float t[kLanes] = {};
  memcpy(t, p, static_cast<size_t>(n) * sizeof *p);
  return load(t);
#endif
}
NC_INLINE F32 load_partial(const bf16* p, int n) {
  bf16 t[kLanes] = {};
  memcpy(t, p, static_cast<size_t>(n) * sizeof *p);
  return load(t);
}
NC_INLINE void store_partial(float* p, F32 x, int n) {
#if defined(NC_ISA_AVX512)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1U << n) - 1), x);
#else
  float t[kLanes];
  store(t, x);
  memcpy(p, t, static_cast<size_t>(n) * sizeof *p);
#endif
}
NC_INLINE void store_partial(bf16* p, F32 x, int n) {
  bf16 t[kLanes];
  store(t, x);
  memcpy(p, t, static_cast<size_t>(n) * sizeof *p);
}

/// a * b + c, rounded once where the hardware can.
NC_INLINE F32 fma(F32 a, F32 b, F32 c) {
#if defined(NC_ISA_AVX512)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(NC_ISA_AVX2)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}
/// Where the mask is all ones x, where it is zero y.
NC_INLINE F32 select(I32 mask, F32 x, F32 y) {
  const U32 m = reinterpret_cast<U32>(mask);
  return as_f32((m & as_u32(x)) | (~m & as_u32(y)));
}
NC_INLINE F32 max(F32 a, F32 b) {  // b where either is a NaN
#if defined(NC_ISA_AVX512)
  return _mm512_max_ps(a, b);
#elif defined(NC_ISA_AVX2)
  return _mm256_max_ps(a, b);
#else
  return select(a > b, a, b);
#endif
}
NC_INLINE F32 min(F32 a, F32 b) {  // likewise
#if defined(NC_ISA_AVX512)
  return _mm512_min_ps(a, b);
#elif defined(NC_ISA_AVX2)
  return _mm256_min_ps(a, b);
#else
  return select(a < b, a, b);
#endif
}
NC_INLINE F32 sqrt(F32 x) {
#if defined(NC_ISA_AVX512)
  return _mm512_sqrt_ps(x);
#elif defined(NC_ISA_AVX2)
  return _mm256_sqrt_ps(x);
#else
  F32 y;
  for (int i = 0; i < kLanes; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
#endif
}

/// Sums and maxima over the lanes, always in the same tree: the upper half onto the lower one,
/// until one lane is left. (Through memory it would wait for the store.)
NC_INLINE float reduce_add(F32 x) {
#if defined(NC_ISA_AVX512)
  return _mm512_reduce_add_ps(x);
#elif defined(NC_ISA_AVX2)
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  return (x[0] + x[2]) + (x[1] + x[3]);
#endif
}
NC_INLINE float reduce_max(F32 x) {
#if defined(NC_ISA_AVX512)
  return _mm512_reduce_max_ps(x);
#elif defined(NC_ISA_AVX2)
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
#else
  const float a = x[0] > x[2] ? x[0] : x[2], b = x[1] > x[3] ? x[1] : x[3];
  return a > b ? a : b;
#endif
}

/// e^x, relative error below 3e-7; 0 below -87.3 (-inf included), e^88.3 above 88.3, NaN for NaN.
///   x = n ln 2 + r,  |r| <= ln 2 / 2,  e^x = 2^n (1 + r + ... + r^6 / 6!)
NC_INLINE F32 exp(F32 x) {
  const F32 clamped = max(min(x, set1(88.3F)), set1(-87.3F));
#if defined(NC_ISA_AVX512)
  const F32 n = _mm512_roundscale_ps(clamped * 1.44269504F, 0);
#elif defined(NC_ISA_AVX2)
  const F32 n =
      _mm256_round_ps(clamped * 1.44269504F, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const F32 magic = set1(12582912.0F);  // 1.5 * 2^23: adding it drops the fraction, to nearest
  const F32 n = (clamped * 1.44269504F + magic) - magic;
#endif
  F32 r = fma(n, set1(-0.693359375F), clamped);  // ln 2 in two parts; the first has few bits
  r = fma(n, set1(2.12194440e-4F), r);
  F32 p = set1(1.0F / 720);
  p = fma(p, r, set1(1.0F / 120));
  p = fma(p, r, set1(1.0F / 24));
  p = fma(p, r, set1(1.0F / 6));
  p = fma(p, r, set1(0.5F));
  p = fma(p, r, set1(1.0F));
  p = fma(p, r, set1(1.0F));
#if defined(NC_ISA_AVX512)
  const F32 y = _mm512_scalef_ps(p, n);
  return _mm512_mask_mov_ps(
      _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, set1(-87.3F), _CMP_NLT_UQ), y),
      _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
#else
  const I32 exponent = (__builtin_convertvector(n, I32) + 127) << 23;
  const F32 y = select(x < -87.3F, zero(), p * reinterpret_cast<F32>(exponent));
  return select(x != x, x, y);
#endif
}

/// 2^x for |x| <= 126, relative error below 2e-7 (5e-8 of them the polynomial); NaN for NaN.
///   x = n + f,  |f| <= 1/2,  2^x = 2^n p(f)   with p the minimax polynomial of degree 5
/// A third of exp's work: no clamps, and ln 2 is the caller's to multiply in.
NC_INLINE F32 exp2_bounded(F32 x) {
#if defined(NC_ISA_AVX512)
  const F32 n = _mm512_roundscale_ps(x, 0);
#elif defined(NC_ISA_AVX2)
  const F32 n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const F32 magic = set1(12582912.0F);  // as in exp
  const F32 n = (x + magic) - magic;
#endif
  const F32 f = x - n;
  F32 p = set1(0.00132764713F);
  p = fma(p, f, set1(0.00967554096F));
  p = fma(p, f, set1(0.0555071309F));
  p = fma(p, f, set1(0.240221202F));
  p = fma(p, f, set1(0.693146944F));
  p = fma(p, f, set1(1.00000012F));
#if defined(NC_ISA_AVX512)
  return _mm512_scalef_ps(p, n);
#else
  const I32 exponent = (__builtin_convertvector(n, I32) + 127) << 23;
  return p * reinterpret_cast<F32>(exponent);
#endif
}

/// 1 / x for 1e-37 < |x| < 1e37, relative error below 2e-7; NaN for NaN. A division takes a zmm
/// register 10 cycles on Zen 4, an estimate and a Newton step 4.
NC_INLINE F32 reciprocal(F32 x) {
#if defined(NC_ISA_AVX512)
  const F32 y = _mm512_rcp14_ps(x);
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, y, _mm512_set1_ps(1.0F)), y, y);
#else
  return 1.0F / x;
#endif
}

NC_INLINE F32 abs(F32 x) { return as_f32(as_u32(x) & 0x7fffffffU); }

/// tanh x, relative error below 4e-7; +-1 at infinity, NaN for NaN.
///   |x| <  0.64:  x + x^3 q(x^2), q minimax      (the other form would cancel)
///   |x| >= 0.64:  1 - 2 / (e^2x + 1)
NC_INLINE F32 tanh(F32 x) {
  const F32 s = x * x;
  F32 q = set1(-0.00569476793F);
  q = fma(q, s, set1(0.0206466987F));
  q = fma(q, s, set1(-0.053748887F));
  q = fma(q, s, set1(0.133316681F));
  q = fma(q, s, set1(-0.333332956F));
  const F32 small = fma(q * s, x, x);
  const F32 large = 1.0F - 2.0F / (exp(x + x) + 1.0F);
  return select(abs(x) < 0.64F, small, large);
}

/// Calls body(i, Full{}) for every whole vector of [0, n) and body(i, Partial{rest}) for what is
/// left; load_at and store_at below take that second argument.
struct Full {};
struct Partial {
  int n;
};
template <typename T>
NC_INLINE F32 load_at(const T* p, Full) {
  return load(p);
}
template <typename T>
NC_INLINE F32 load_at(const T* p, Partial part) {
  return load_partial(p, part.n);
}
template <typename T>
NC_INLINE void store_at(T* p, F32 x, Full) {
  store(p, x);
}
template <typename T>
NC_INLINE void store_at(T* p, F32 x, Partial part) {
  store_partial(p, x, part.n);
}
/// x, with `fill` in the lanes past the end: before a sum or a maximum over lanes.
NC_INLINE F32 inside(F32 x, float, Full) { return x; }
NC_INLINE F32 inside(F32 x, float fill, Partial part) {
  for (int i = part.n; i < kLanes; ++i) x[i] = fill;
  return x;
}
template <typename Body>
NC_INLINE void for_vectors(int64_t n, Body&& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, Full{});
  if (i < n) body(i, Partial{static_cast<int>(n - i)});
}

}  // namespace nanochat::cpu::NC_ISA
