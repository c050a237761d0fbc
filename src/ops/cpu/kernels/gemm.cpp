/// The block of our own matrix product, used where oneDNN is not: panels of a and b are packed as
/// floats, then kTileRows x 2 vectors of sums stay in registers along the whole depth.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

/// AVX-512 has 32 registers: 8 x 2 sums, two vectors of b, one of a. AVX2 and SSE have 16: 4 x 2 is
/// the 8 independent sums that latency 4 x 2 multiply-adds per cycle asks for.
#if defined(NC_ISA_AVX512)
inline constexpr int kTileRows = 8;
#else
inline constexpr int kTileRows = 4;
#endif
inline constexpr int kTileColumns = 2 * kLanes;
static_assert(kGemmRows % kTileRows == 0 && kGemmColumns % kTileColumns == 0);

NC_INLINE float to_float(float x) { return x; }
NC_INLINE float to_float(bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/// Rows [0, m) of a, columns [begin, begin + depth), as strips of kTileRows: packed[strip][k][row].
template <typename T>
NC_INLINE void pack_a(const GemmBlock& g, int64_t begin, int64_t depth, float* packed) {
  for (int64_t strip = 0; strip < g.m; strip += kTileRows) {
    for (int64_t row = 0; row < kTileRows; ++row) {
      float* to = packed + strip * depth + row;
      if (strip + row >= g.m) {
        for (int64_t k = 0; k < depth; ++k) to[k * kTileRows] = 0;
        continue;
      }
      const T* from = static_cast<const T*>(g.a) + (strip + row) * g.a_row + begin * g.a_column;
      for (int64_t k = 0; k < depth; ++k) to[k * kTileRows] = to_float(from[k * g.a_column]);
    }
  }
}

/// Columns [0, n) of b, rows [begin, begin + depth), as strips: packed[strip][k][column].
template <typename T>
NC_INLINE void pack_b(const GemmBlock& g, int64_t begin, int64_t depth, float* packed) {
  for (int64_t strip = 0; strip < g.n; strip += kTileColumns) {
    float* to = packed + strip * depth;
    const int64_t width = g.n - strip < kTileColumns ? g.n - strip : kTileColumns;
    const T* from = static_cast<const T*>(g.b) + begin * g.b_row + strip * g.b_column;
    if (g.b_column == 1 && width == kTileColumns) {
      for (int64_t k = 0; k < depth; ++k) {
        store(to + k * kTileColumns, load(from + k * g.b_row));
        store(to + k * kTileColumns + kLanes, load(from + k * g.b_row + kLanes));
      }
      continue;
    }
    for (int64_t column = 0; column < kTileColumns; ++column) {
      for (int64_t k = 0; k < depth; ++k) {
        to[k * kTileColumns + column] =
            column < width ? to_float(from[k * g.b_row + column * g.b_column]) : 0;
      }
    }
  }
}

/// sums += a b over `depth`, one register tile.
NC_INLINE void tile(const float* a, const float* b, int64_t depth, float* sums) {
  F32 low[kTileRows], high[kTileRows];
#pragma GCC unroll 8
  for (int row = 0; row < kTileRows; ++row) {
    low[row] = load(sums + row * kGemmColumns);
    high[row] = load(sums + row * kGemmColumns + kLanes);
  }
  for (int64_t k = 0; k < depth; ++k) {
    const F32 b0 = load(b + k * kTileColumns), b1 = load(b + k * kTileColumns + kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < kTileRows; ++row) {
      const F32 x = set1(a[k * kTileRows + row]);
      low[row] = fma(x, b0, low[row]);
      high[row] = fma(x, b1, high[row]);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kTileRows; ++row) {
    store(sums + row * kGemmColumns, low[row]);
    store(sums + row * kGemmColumns + kLanes, high[row]);
  }
}

template <typename T>
NC_INLINE void write(const GemmBlock& g, const float* sums) {
  const F32 alpha = set1(g.alpha), beta = set1(g.beta);
  for (int64_t row = 0; row < g.m; ++row) {
    T* c = static_cast<T*>(g.c) + row * g.c_row;
    const float* from = sums + row * kGemmColumns;
    for_vectors(g.n, [&](int64_t i, auto part) {
      F32 y = alpha * load_at(from + i, part);
      if (g.beta != 0) y = fma(beta, load_at(c + i, part), y);
      if (g.relu_squared) {
        y = max(zero(), y);  // this order lets a NaN through
        y = y * y;
      }
      store_at(c + i, y, part);
    });
  }
}

template <typename In, typename Out>
void block(const GemmBlock& g, float* scratch) {
  float* packed_a = scratch;
  float* packed_b = packed_a + kGemmRows * kGemmDepth;
  float* sums = packed_b + kGemmDepth * kGemmColumns;
  memset(sums, 0, sizeof(float) * kGemmRows * kGemmColumns);
  for (int64_t begin = 0; begin < g.k; begin += kGemmDepth) {
    const int64_t depth = g.k - begin < kGemmDepth ? g.k - begin : kGemmDepth;
    pack_a<In>(g, begin, depth, packed_a);
    pack_b<In>(g, begin, depth, packed_b);
    for (int64_t column = 0; column < g.n; column += kTileColumns) {
      for (int64_t row = 0; row < g.m; row += kTileRows) {
        tile(packed_a + row * depth, packed_b + column * depth, depth,
             sums + row * kGemmColumns + column);
      }
    }
  }
  write<Out>(g, sums);
}

}  // namespace

constinit const GemmKernels kGemmKernels = {
    .block = {{block<float, float>, block<float, bf16>}, {block<bf16, float>, block<bf16, bf16>}},
};

}  // namespace nanochat::cpu::NC_ISA
