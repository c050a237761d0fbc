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

/// c += a b
template <typename T>
__device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  if constexpr (std::is_same_v<T, bf16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void ldmatrix(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
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

/// 16 bytes from global to shared memory, or zeros; complete after wait_copies and a barrier.
__device__ __forceinline__ void copy_16_bytes(void* shared, const void* global, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)),
               "l"(global), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
/// Waits until at most kPending of this thread's newest groups are under way.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
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
