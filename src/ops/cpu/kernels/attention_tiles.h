/// What attention's matrix products are made of: one micro-kernel and the packing that feeds it.
///
/// A product is C[row, col] += sum_k A[row, k] B[k, col], where k runs over 32-bit words: a float,
/// or (AVX-512) two bf16 that are neighbours along k, which vdpbf16ps multiplies and adds at twice
/// the rate of floats. A is read one word at a time with any two strides, so that P, dS and their
/// transposes need no copy; B lies in panels [k][kPanel], so that its rows are neighbours in L1.
#pragma once

#include "ops/cpu/simd.h"

namespace nanochat::cpu::NC_ISA {

// Accumulators: 6 rows x 4 vectors = 24 of AVX-512's 32 registers leave 4 for B and 1 for A. An
// FMA takes 4 cycles (vdpbf16ps: 6) and one starts per cycle, so 24 hide the latency. With 16
// registers, 6 x 2 + 2 + 1 fit.
inline constexpr int kMr = 6;
#if defined(NC_ISA_AVX512)
inline constexpr int kNr = 4;
#else
inline constexpr int kNr = 2;
#endif
inline constexpr int64_t kPanel = kNr * kLanes;

NC_INLINE int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
NC_INLINE int64_t round_down(int64_t n, int64_t multiple) { return n / multiple * multiple; }
NC_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
NC_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/// Cuts scratch memory into arrays that start on cache lines; with base null it only counts.
struct Carver {
  char* base = nullptr;
  int64_t used = 0;

  template <typename T>
  NC_INLINE T* take(int64_t n) {
    const int64_t at = used;
    used += round_up(n * static_cast<int64_t>(sizeof(T)), 64);
    return base != nullptr ? reinterpret_cast<T*>(base + at) : nullptr;
  }
};

// ---- words
// ---------------------------------------------------------------------------------------

/// Two bf16 along k in one word; the first in the low half.
struct __attribute__((may_alias)) Pair {
  uint32_t bits;
};

template <typename W>
struct Words;

template <>
struct Words<float> {
  static constexpr int kPerWord = 1;
  using Vec = F32;
  static NC_INLINE Vec load(const float* p) { return NC_ISA::load(p); }
  static NC_INLINE Vec broadcast(const float* p) { return set1(*p); }
  static NC_INLINE F32 multiply_add(Vec a, Vec b, F32 c) { return fma(a, b, c); }
};

#if defined(NC_ISA_AVX512)
template <>
struct Words<Pair> {
  static constexpr int kPerWord = 2;
  using Vec = __m512bh;
  static NC_INLINE Vec load(const Pair* p) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
  }
  static NC_INLINE Vec broadcast(const Pair* p) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(p->bits)));
  }
  static NC_INLINE F32 multiply_add(Vec a, Vec b, F32 c) { return _mm512_dpbf16_ps(c, b, a); }
};
#endif

template <typename W>
inline constexpr int64_t kPerWord = Words<W>::kPerWord;

/// Words along k that hold n elements.
template <typename W>
NC_INLINE int64_t words_for(int64_t n) {
  return (n + kPerWord<W> - 1) / kPerWord<W>;
}

// ---- the micro-kernel
// ----------------------------------------------------------------------------

template <typename W, int NR, bool kAdd>
__attribute__((noinline)) void multiply_tile(int64_t n_k, const W* a, int64_t row_stride,
                                             int64_t k_stride, const W* b, float* c,
                                             int64_t c_stride) {
  using Vec = typename Words<W>::Vec;
  F32 sum[kMr][NR];
#pragma GCC unroll 8
  for (int r = 0; r < kMr; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < NR; ++n) sum[r][n] = zero();
  }
  for (int64_t k = 0; k < n_k; ++k) {
    Vec bv[NR];
#pragma GCC unroll 4
    for (int n = 0; n < NR; ++n) bv[n] = Words<W>::load(b + n * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kMr; ++r) {
      const Vec av = Words<W>::broadcast(a + r * row_stride);
#pragma GCC unroll 4
      for (int n = 0; n < NR; ++n) sum[r][n] = Words<W>::multiply_add(av, bv[n], sum[r][n]);
    }
    a += k_stride;
    b += kPanel;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kMr; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < NR; ++n) {
      float* const at = c + r * c_stride + n * kLanes;
      store(at, kAdd ? load(at) + sum[r][n] : sum[r][n]);
    }
  }
}

/// C[kMr rows, n_vectors * kLanes columns] = or += A B, 1 <= n_vectors <= kNr. All kMr rows are
/// read and written: callers pad.
template <typename W, bool kAdd>
NC_INLINE void multiply(int64_t n_vectors, int64_t n_k, const W* a, int64_t row_stride,
                        int64_t k_stride, const W* b, float* c, int64_t c_stride) {
  switch (n_vectors) {
    case 1:
      return multiply_tile<W, 1, kAdd>(n_k, a, row_stride, k_stride, b, c, c_stride);
    case 2:
      return multiply_tile<W, 2, kAdd>(n_k, a, row_stride, k_stride, b, c, c_stride);
#if defined(NC_ISA_AVX512)
    case 3:
      return multiply_tile<W, 3, kAdd>(n_k, a, row_stride, k_stride, b, c, c_stride);
    case 4:
      return multiply_tile<W, 4, kAdd>(n_k, a, row_stride, k_stride, b, c, c_stride);
#endif
    default:
      return;
  }
}

// ---- packing
// -------------------------------------------------------------------------------------

/// Words [first, first + kLanes) of a row of `size` elements; beyond its end they are 0. The result
/// is bits: a F32 only so that it can be shuffled.
template <typename W, typename Source>
NC_INLINE F32 load_words(const Source* row, int64_t first, int64_t size) {
  const int64_t begin = first * kPerWord<W>;
  const int64_t n = size - begin;
  if constexpr (kPerWord<W> == 1) {
    if (n >= kLanes) return load(row + begin);
    return n > 0 ? load_partial(row + begin, static_cast<int>(n)) : zero();
  } else {
    F32 words;
    if (n >= 2 * kLanes) {
      memcpy(&words, row + begin, sizeof words);
      return words;
    }
    words = zero();
    if (n > 0) memcpy(&words, row + begin, static_cast<size_t>(n) * sizeof(Source));
    return words;
  }
}

/// Asks for a row of a strided matrix. Rows of one head lie far apart in qkv, where the hardware's
/// own prefetcher sees no stream: waiting for them took a sixth of the forward pass.
template <typename T>
NC_INLINE void prefetch_row(const T* row, int64_t size) {
  const char* const begin = reinterpret_cast<const char*>(row);
  const int64_t n_bytes = size * static_cast<int64_t>(sizeof(T));
  for (int64_t at = 0; at < n_bytes; at += 64) __builtin_prefetch(begin + at);
  __builtin_prefetch(begin + n_bytes - 1);  // when the row starts inside a line
}
template <typename T>
NC_INLINE void prefetch_rows(const T* x, int64_t x_stride, int64_t begin, int64_t end,
                             int64_t size) {
  for (int64_t row = begin; row < end; ++row) prefetch_row(x + row * x_stride, size);
}
inline constexpr int64_t kPrefetchRows = 16;

/// A operand: rows as they lie, [n_rows][stride] words with zeros behind the row.
template <typename W, typename Source>
NC_INLINE void pack_rows(const Source* x, int64_t x_stride, int64_t n_rows, int64_t size, W* packed,
                         int64_t stride) {
  for (int64_t row = 0; row < n_rows; ++row) {
    if (row + kPrefetchRows < n_rows) prefetch_row(x + (row + kPrefetchRows) * x_stride, size);
    for (int64_t w = 0; w < stride; w += kLanes) {
      const F32 words = load_words<W>(x + row * x_stride, w, size);
      memcpy(packed + row * stride + w, &words, sizeof words);
    }
  }
}

template <int... kIndex>
struct Ints {};
template <int kCount, int... kIndex>
struct MakeInts : MakeInts<kCount - 1, kCount - 1, kIndex...> {};
template <int... kIndex>
struct MakeInts<0, kIndex...> {
  using type = Ints<kIndex...>;
};

/// Exchanges the off-diagonal blocks of width kWidth between two rows of a square.
template <int kWidth, int... kLane>
NC_INLINE void exchange(F32& a, F32& b, Ints<kLane...>) {
  const F32 low =
      __builtin_shufflevector(a, b, ((kLane & kWidth) ? kLane - kWidth + kLanes : kLane)...);
  b = __builtin_shufflevector(a, b, ((kLane & kWidth) ? kLane + kLanes : kLane + kWidth)...);
  a = low;
}
template <int kWidth>
NC_INLINE void transpose_step(F32 (&x)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if ((i & kWidth) == 0) {
      exchange<kWidth>(x[i], x[i + kWidth], typename MakeInts<kLanes>::type{});
    }
  }
  if constexpr (kWidth > 1) transpose_step<kWidth / 2>(x);
}
/// A square of kLanes x kLanes words, in registers: log2(kLanes) rounds of block exchanges.
NC_INLINE void transpose(F32 (&x)[kLanes]) { transpose_step<kLanes / 2>(x); }

/// B operand of X^T, k along x's columns: [row / kPanel][k][row % kPanel] words. Rows from n_rows
/// to the end of the last panel become 0.
template <typename W, typename Source>
NC_INLINE void pack_transposed(const Source* x, int64_t x_stride, int64_t n_rows, int64_t size,
                               W* packed) {
  const int64_t n_words = words_for<W>(size);
  for (int64_t row = 0; row < round_up(n_rows, kPanel); row += kLanes) {
    W* const panel = packed + row / kPanel * kPanel * n_words + row % kPanel;
    prefetch_rows(x, x_stride, row + kLanes, smaller(row + 2 * kLanes, n_rows), size);
    for (int64_t w = 0; w < n_words; w += kLanes) {
      F32 square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        square[i] = row + i < n_rows ? load_words<W>(x + (row + i) * x_stride, w, size) : zero();
      }
      transpose(square);
      if (w + kLanes <= n_words) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          memcpy(panel + (w + i) * kPanel, &square[i], sizeof square[i]);
        }
      } else {
        for (int i = 0; w + i < n_words; ++i) {
          memcpy(panel + (w + i) * kPanel, &square[i], sizeof square[i]);
        }
      }
    }
  }
}

/// One vector of words from the same columns of two neighbouring rows of bf16.
NC_INLINE U32 interleave(const bf16* low, const bf16* high) {
#if defined(NC_ISA_AVX512)
  // GCC 12 makes two halves of a __builtin_convertvector this wide.
  const __m512i a =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(low)));
  const __m512i b =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(high)));
  return reinterpret_cast<U32>(_mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
#else
  U16 a;
  U16 b;
  memcpy(&a, low, sizeof a);
  memcpy(&b, high, sizeof b);
  return __builtin_convertvector(a, U32) | (__builtin_convertvector(b, U32) << 16);
#endif
}

/// B operand of X, k along x's rows: [column / kPanel][k][column % kPanel] words, n_k of them per
/// panel. Rows from n_rows to the end of n_k become 0; so do columns up to the next whole vector.
template <typename W, typename Source>
NC_INLINE void pack_columns(const Source* x, int64_t x_stride, int64_t n_rows, int64_t size,
                            int64_t n_k, W* packed) {
  for (int64_t k = 0; k < n_k; ++k) {
    const int64_t row = k * kPerWord<W>;
    prefetch_rows(x, x_stride, row + kPrefetchRows,
                  smaller(row + kPrefetchRows + kPerWord<W>, n_rows), size);
    for (int64_t d = 0; d < size; d += kLanes) {
      W* const at = packed + d / kPanel * kPanel * n_k + k * kPanel + d % kPanel;
      if constexpr (kPerWord<W> == 1) {
        const F32 words = row < n_rows ? load_words<W>(x + row * x_stride, d, size) : zero();
        memcpy(at, &words, sizeof words);
      } else {
        const bool both = row + 1 < n_rows;
        const bf16* const first = x + row * x_stride + d;
        U32 words{};
        if (both && d + kLanes <= size) {
          words = interleave(first, first + x_stride);
        } else if (row < n_rows) {
          bf16 halves[2][kLanes] = {};
          const auto n = static_cast<size_t>(smaller(size - d, kLanes)) * sizeof(bf16);
          memcpy(halves[0], first, n);
          if (both) memcpy(halves[1], first + x_stride, n);
          words = interleave(halves[0], halves[1]);
        }
        memcpy(at, &words, sizeof words);
      }
    }
  }
}

// ---- rows of probabilities
// -----------------------------------------------------------------------

struct Span {
  int64_t begin;
  int64_t end;
};

/// The keys that the query at `position` sees.
NC_INLINE Span visible_keys(int64_t position, int64_t window) {
  return {window < 0 ? 0 : larger(0, position - window), position + 1};
}
/// Those that any query of [first, last] sees, within a block, widened to whole vectors and counted
/// from the block's start. Empty: begin == end.
NC_INLINE Span columns_of_rows(int64_t first_position, int64_t last_position, int64_t window,
                               Span block) {
  const int64_t begin = larger(visible_keys(first_position, window).begin, block.begin);
  const int64_t end = smaller(last_position + 1, block.end);
  if (begin >= end) return {0, 0};
  return {round_down(begin - block.begin, kLanes), round_up(end - block.begin, kLanes)};
}

/// 2^x for x <= 126, but 0 below -126 (a masked score is -inf); NaN for NaN.
NC_INLINE F32 exp2_or_zero(F32 x) {
  const F32 y = exp2_bounded(x);
#if defined(NC_ISA_AVX512)
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, set1(-126.0F), _CMP_NLT_UQ), y);
#else
  return select(x < -126.0F, zero(), y);
#endif
}
inline constexpr float kLog2E = 1.44269504F;
inline constexpr float kLn2 = 0.693147181F;

/// -inf on the columns of [outer) that are not in [inner): they become probabilities of 0.
NC_INLINE void mask_columns(float* row, Span outer, Span inner) {
  const float minus_infinity = -__builtin_inff();
  for (int64_t j = outer.begin; j < inner.begin; ++j) row[j] = minus_infinity;
  for (int64_t j = inner.end; j < outer.end; ++j) row[j] = minus_infinity;
}

}  // namespace nanochat::cpu::NC_ISA
