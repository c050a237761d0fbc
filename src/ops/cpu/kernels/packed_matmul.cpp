/// Products with packed weights (ops/packed_weights.h). Each output is the sum of two chains, over
/// even and over odd steps along k, whatever the tile it is computed in: so a row's bits depend on
/// that row alone. One chain would not do: with a single row, each step waits for the last one, and
/// 64 bytes per 6 cycles (vdpbf16ps on Zen 4) is close to what memory gives.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

/// Vectors of a panel's 16 rows.
inline constexpr int kVectors = 16 / kLanes;
/// Vectors of sums that stay in registers beside what a step needs, and rows of x in one tile.
/// Where both chains of a tile do not fit, they are summed one after the other.
#if defined(NC_ISA_AVX512)
inline constexpr int kSums = 24;
inline constexpr int kTile = 12;
#else
inline constexpr int kSums = 12;
inline constexpr int kTile = kSums / kVectors;
#endif
/// What is asked for from memory while a tile is computed: with one tile per panel what comes 4 KiB
/// later, else a tile's share of the next panel.
struct Ahead {
  const char* at;
  int64_t step;  // per two steps along k
};
inline constexpr int64_t kAhead = 4096;

/// Step c (0 or 1) of two along k of one panel. Of two such loads the second comes from L1; to keep
/// both in registers would leave too few for the sums.
struct WordF32 {
  using X = float;
  static constexpr int64_t kBytes = 2 * 16 * 4;  // of a panel, per two steps
  static NC_INLINE void load(const char* panel, int c, F32 (&w)[kVectors]) {
    const float* p = reinterpret_cast<const float*>(panel) + c * 16;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = NC_ISA::load(p + v * kLanes);
  }
};

/// A word holds two bf16 along k, the first in its low half.
struct WordBf16 {
  using X = float;
  static constexpr int64_t kBytes = 16 * 4;
  static NC_INLINE void load(const char* panel, int c, F32 (&w)[kVectors]) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      U32 words;
      memcpy(&words, panel + v * kLanes * 4, sizeof words);
      w[v] = as_f32(c == 0 ? words << 16 : words & 0xffff0000U);
    }
  }
};

struct WordInt8 {
  using X = float;
  static constexpr int64_t kBytes = 2 * 16;
  static NC_INLINE F32 widen(const char* p) {
#if defined(NC_ISA_AVX512)
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(NC_ISA_AVX2)
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
    F32 y;
    for (int i = 0; i < kLanes; ++i) y[i] = static_cast<float>(static_cast<int8_t>(p[i]));
    return y;
#endif
  }
  static NC_INLINE void load(const char* panel, int c, F32 (&w)[kVectors]) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = widen(panel + c * 16 + v * kLanes);
  }
};

/// sums[c - kFirst][row] = chain c of x[row] . panel, for the chains kFirst .. kLast.
template <typename Word, int kRows, int kFirst, int kLast, bool kPrefetch>
NC_INLINE void chains(const float* x, int64_t x_stride, const char* panel, int64_t K, Ahead ahead,
                      F32 (&sums)[kLast - kFirst + 1][kRows][kVectors]) {
#pragma GCC unroll 2
  for (auto& chain : sums) {
#pragma GCC unroll 12
    for (auto& row : chain) {
#pragma GCC unroll 4
      for (F32& sum : row) sum = zero();
    }
  }
  for (int64_t k = 0; k < K; k += 2) {
    if constexpr (kPrefetch) {
      __builtin_prefetch(ahead.at);
      if (Word::kBytes > 64) __builtin_prefetch(ahead.at + ahead.step / 2);
      ahead.at += ahead.step;
    }
#pragma GCC unroll 2
    for (int c = kFirst; c <= kLast; ++c) {
      F32 w[kVectors];
      Word::load(panel, c, w);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const F32 xk = set1(x[r * x_stride + k + c]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          sums[c - kFirst][r][v] = fma(xk, w[v], sums[c - kFirst][r][v]);
        }
      }
    }
    panel += Word::kBytes;
  }
}

/// y [kRows][16] = x[row] . panel.
template <typename Word, int kRows>
NC_INLINE void tile(const float* x, int64_t x_stride, const char* panel, int64_t K, Ahead ahead,
                    float* y) {
  if constexpr (2 * kRows * kVectors <= kSums) {
    F32 sums[2][kRows][kVectors];
    chains<Word, kRows, 0, 1, true>(x, x_stride, panel, K, ahead, sums);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        store(y + r * 16 + v * kLanes, sums[0][r][v] + sums[1][r][v]);
      }
    }
  } else {
    F32 sums[1][kRows][kVectors];
    chains<Word, kRows, 0, 0, true>(x, x_stride, panel, K, ahead, sums);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) store(y + r * 16 + v * kLanes, sums[0][r][v]);
    }
    chains<Word, kRows, 1, 1, false>(x, x_stride, panel, K, ahead, sums);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        float* const at = y + r * 16 + v * kLanes;
        store(at, load(at) + sums[0][r][v]);
      }
    }
  }
}

#if defined(NC_ISA_AVX512)
/// Pairs of bf16 times pairs of bf16: a step is a pair.
struct PairBf16 {
  using X = uint32_t;
  static constexpr int64_t kBytes = 2 * 16 * 2;
  static NC_INLINE __m512bh load(const char* panel) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel));
  }
};

/// A byte is exact as a bf16, the upper half of its float.
struct PairInt8 {
  using X = uint32_t;
  static constexpr int64_t kBytes = 2 * 16;
  static NC_INLINE __m512bh load(const char* panel) {
    const auto row = [&](int k) __attribute__((always_inline)) {
      return _mm512_castps_si512(WordInt8::widen(panel + k * 16));
    };
    return reinterpret_cast<__m512bh>(
        _mm512_mask_blend_epi16(0xaaaaaaaaU, _mm512_srli_epi32(row(0), 16), row(1)));
  }
};

template <typename Pair, int kRows>
NC_INLINE void pair_tile(const uint32_t* x, int64_t x_stride, const char* panel, int64_t n_pairs,
                         Ahead ahead, float* y) {
  F32 sums[2][kRows];
#pragma GCC unroll 2
  for (int c = 0; c < 2; ++c) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) sums[c][r] = zero();
  }
  const auto step = [&](int64_t k, int c) __attribute__((always_inline)) {
    __builtin_prefetch(ahead.at);
    ahead.at += ahead.step;
    const __m512bh w = Pair::load(panel);
    panel += Pair::kBytes;
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const __m512bh xk =
          reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x[r * x_stride + k])));
      sums[c][r] = _mm512_dpbf16_ps(sums[c][r], w, xk);
    }
  };
  int64_t k = 0;
  for (; k + 2 <= n_pairs; k += 2) {
    step(k, 0);
    step(k + 1, 1);
  }
  if (k < n_pairs) step(k, 0);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) store(y + r * 16, sums[0][r] + sums[1][r]);
}
#endif

template <typename Word, int kRows>
NC_INLINE void tile_of(int64_t rows, const typename Word::X* x, int64_t x_stride, const char* panel,
                       int64_t K, Ahead ahead, float* y) {
  if (rows == kRows) {
#if defined(NC_ISA_AVX512)
    if constexpr (__is_same(typename Word::X, uint32_t)) {
      return pair_tile<Word, kRows>(x, x_stride, panel, K, ahead, y);
    } else
#endif
      return tile<Word, kRows>(x, x_stride, panel, K, ahead, y);
  }
  if constexpr (kRows > 1) tile_of<Word, kRows - 1>(rows, x, x_stride, panel, K, ahead, y);
}

/// Scales, squares and rounds `rows` rows of up to 16 sums.
template <typename Y>
NC_INLINE void write(const PackedItem& item, const float* sums, int64_t row, int64_t rows,
                     int64_t column) {
  const int64_t n = item.out - column < 16 ? item.out - column : 16;
  for (int64_t r = 0; r < rows; ++r) {
    Y* const y = static_cast<Y*>(item.y) + (row + r) * item.out + column;
    for_vectors(n, [&](int64_t i, auto part) {
      F32 value = load(sums + r * 16 + i);
      if (item.scales != nullptr) value = value * load(item.scales + column + i);
      if (item.relu_squared) {
        value = max(zero(), value);  // this order lets a NaN through
        value = value * value;
      }
      store_at(y + i, value, part);
    });
  }
}

template <typename Word, typename Y>
void multiply(const PackedItem& item) {
  using X = typename Word::X;
  const X* const x = static_cast<const X*>(item.x);
  // Tiles of equal height: 16 rows are 8 + 8, not 12 + 4.
  const int64_t n_tiles = (item.rows + kTile - 1) / kTile;
  for (int64_t panel = item.panel_begin; panel < item.panel_end; ++panel) {
    const char* const w = static_cast<const char*>(item.panels) + panel * item.panel_bytes;
    for (int64_t t = 0; t < n_tiles; ++t) {
      const int64_t begin = item.rows * t / n_tiles, end = item.rows * (t + 1) / n_tiles;
      alignas(64) float sums[kTile * 16];
      const Ahead ahead =
          n_tiles == 1 ? Ahead{w + kAhead, Word::kBytes}
                       : Ahead{w + item.panel_bytes + item.panel_bytes * t / n_tiles / 64 * 64,
                               Word::kBytes / n_tiles};
      tile_of<Word, kTile>(end - begin, x + begin * item.x_stride, item.x_stride, w, item.steps,
                           ahead, sums);
      write<Y>(item, sums, begin, end - begin, panel * 16);
    }
  }
}

/// x [rows, in] as the words that multiply() wants, with zeros up to `stride`.
template <typename X>
void widen_rows(const void* from, int64_t rows, int64_t in, void* to, int64_t stride) {
  const X* x = static_cast<const X*>(from);
  float* y = static_cast<float*>(to);
  for (int64_t r = 0; r < rows; ++r) {
    for_vectors(in, [&](int64_t i, auto part) {
      store_at(y + r * stride + i, load_at(x + r * in + i, part), part);
    });
    for (int64_t i = in; i < stride; ++i) y[r * stride + i] = 0;
  }
}

#if defined(NC_ISA_AVX512)
void pair_rows(const void* from, int64_t rows, int64_t in, void* to, int64_t stride) {
  const bf16* x = static_cast<const bf16*>(from);
  bf16* y = static_cast<bf16*>(to);
  for (int64_t r = 0; r < rows; ++r) {
    memcpy(y + r * 2 * stride, x + r * in, static_cast<size_t>(in) * sizeof(bf16));
    if (in % 2 != 0) y[r * 2 * stride + in] = 0;
  }
}
#endif

template <typename Word, typename X>
constexpr PackedKernels::Format kWidened = {
    .prepare = widen_rows<X>,
    .multiply = {multiply<Word, float>, multiply<Word, bf16>},
    .elements_per_word = 1};

#if defined(NC_ISA_AVX512)
template <typename Pair>
constexpr PackedKernels::Format kPaired = {
    .prepare = pair_rows,
    .multiply = {multiply<Pair, float>, multiply<Pair, bf16>},
    .elements_per_word = 2};
constexpr PackedKernels::Format kBf16OfBf16 = kPaired<PairBf16>, kInt8OfBf16 = kPaired<PairInt8>;
#else
constexpr PackedKernels::Format kBf16OfBf16 = kWidened<WordBf16, bf16>,
                                kInt8OfBf16 = kWidened<WordInt8, bf16>;
#endif

}  // namespace

constinit const PackedKernels kPackedKernels = {
    .of = {{kWidened<WordF32, float>, kWidened<WordF32, bf16>},
           {kWidened<WordBf16, float>, kBf16OfBf16},
           {kWidened<WordInt8, float>, kInt8OfBf16}},
    .tile_rows = kTile,
};

}  // namespace nanochat::cpu::NC_ISA
