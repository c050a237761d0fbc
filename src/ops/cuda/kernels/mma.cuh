/// The tensor-core instructions that attention is made of, and how their operands lie in the
/// registers of a warp (PTX ISA, "Matrix Fragments for mma.m16n8k16"). All of it runs from sm_80
/// on.
///
/// With g = lane / 4 and t = lane % 4:
///   A [16 x 16]  a0 = (g, 2t..2t+1)  a1 = (g+8, 2t..)  a2 = (g, 2t+8..)  a3 = (g+8, 2t+8..)
///   B [16 x 8]   b0 = (2t..2t+1, g)  b1 = (2t+8..2t+9, g)
///   C [16 x 8]   c0, c1 = (g, 2t..2t+1)   c2, c3 = (g+8, 2t..2t+1)
/// ldmatrix reads 8 x 8 matrices, one row of 16 bytes at the address of each lane of a group of
/// eight, and gives lane (g, t) the elements 2t, 2t+1 of row g: with rows of A that is a0..a3, with
/// rows of B^T (one row per n) it is b0, b1. With .trans it gives elements (2t, g), (2t+1, g): b0,
/// b1 from rows of B itself (one row per k).
#pragma once

#include <cstdint>

#include "ops/cuda/kernels/fragments.h"
#include "ops/cuda/kernels/numbers.cuh"
#include "ops/cuda/kernels/tensor_core.cuh"

namespace nanochat::cuda {

/// Two numbers, rounded to T, in one register: the first in the lower half.
template <typename T>
__device__ __forceinline__ uint32_t pack(float low, float high) {
  if constexpr (std::is_same_v<T, bf16>) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  } else {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
}

/// A tile in shared memory: rows of D elements with 16 bytes between them, which puts the rows of
/// an 8 x 8 matrix into different banks for every D that is a multiple of 16 (D/8 + 1 is odd).
template <int D>
inline constexpr int kTileStride = D + 8;

/// A [16 x 16] from rows row0.. and columns column0.. of a tile.
template <int D, typename T>
__device__ __forceinline__ void load_a(uint32_t (&a)[4], const T* tile, int row0, int column0) {
  const TilePlace at = place_in_a(static_cast<int>(threadIdx.x) % kWarp);
  ldmatrix(a, tile + (row0 + at.row) * kTileStride<D> + column0 + at.column);
}
/// B [16 x 8] of two neighbours in n, where the tile's rows are n and its columns k:
/// {b[0], b[1]} for n0..n0+7 and {b[2], b[3]} for n0+8..n0+15.
template <int D, typename T>
__device__ __forceinline__ void load_b(uint32_t (&b)[4], const T* tile, int n0, int k0) {
  const TilePlace at = place_in_b(static_cast<int>(threadIdx.x) % kWarp);
  ldmatrix(b, tile + (n0 + at.row) * kTileStride<D> + k0 + at.column);
}
/// The same where the tile's rows are k and its columns n.
template <int D, typename T>
__device__ __forceinline__ void load_b_transposed(uint32_t (&b)[4], const T* tile, int k0, int n0) {
  const TilePlace at = place_in_b_transposed(static_cast<int>(threadIdx.x) % kWarp);
  ldmatrix_transposed(b, tile + (k0 + at.row) * kTileStride<D> + n0 + at.column);
}

/// Starts to copy rows begin .. begin + kRows - 1 of a matrix with `stride` elements between rows
/// into a tile; rows outside [0, n_rows) become zeros. `base` points to row 0.
template <int D, int kRows, int kThreads, typename T>
__device__ __forceinline__ void copy_tile(T* tile, const T* base, int64_t stride, int begin,
                                          int n_rows) {
  constexpr int kPieces = D / 8;  // of 16 bytes, in a row
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kPieces; i += kThreads) {
    const int row = i / kPieces, piece = i % kPieces;
    const bool valid = begin + row < n_rows;
    const int64_t from = valid ? begin + row : 0;  // some address that may be read
    copy_16_bytes(tile + row * kTileStride<D> + piece * 8, base + from * stride + piece * 8, valid);
  }
}

inline constexpr float kLog2E = 1.4426950408889634F;

}  // namespace nanochat::cuda
