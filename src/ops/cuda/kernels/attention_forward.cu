/// Flash attention, forward, on tensor cores (Dao 2023, arXiv:2307.08691): a block takes 128 (head
/// size 64: 64) queries of one head, a warp 16 of them, and walks over the keys 64 at a time. The
/// next keys and values come in (cp.async) while the current ones are multiplied. Probabilities go
/// from the accumulators of the first product straight into the operands of the second.
#include <cmath>

#include "ops/cuda/kernels/attention_mask.h"
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/mma.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kKeys = 64;
constexpr int kKeyTiles = kKeys / 8;  // of a product's n
template <int D>
constexpr int kThreads = forward_tile_rows(D) / 16 * kWarp;

/// Two stages of keys and values. The queries pass through the second stage first.
template <int D>
constexpr int kSharedElements = 2 * 2 * kKeys* kTileStride<D>;

template <typename T, int D>
__global__ void __launch_bounds__(kThreads<D>)
    flash_forward_kernel(const T* qkv, const AttentionTile* tiles, HeadLayout heads, int window,
                         float scale, T* out, float* lse) {
  extern __shared__ __align__(16) char shared[];
  constexpr int kQueries = forward_tile_rows(D);
  static_assert(kQueries <= 2 * kKeys, "the queries fit into one stage");
  constexpr int kTile = kKeys * kTileStride<D>;
  T* const stages = reinterpret_cast<T*>(shared);  // stage s: keys at 2 s kTile, then values
  T* const queries = stages + 2 * kTile;

  const int head = static_cast<int>(blockIdx.x) % heads.n_head;
  const AttentionTile tile = tiles[blockIdx.x / heads.n_head];
  const int kv_head = head / (heads.n_head / heads.n_kv_head);
  const int64_t stride = heads.qkv_dim();
  const T* const rows = qkv + int64_t{tile.run_begin} * stride;
  const T* const q = rows + int64_t{head} * D;
  const T* const k = rows + heads.q_dim() + int64_t{kv_head} * D;
  const T* const v = k + heads.kv_dim();

  const KeyRange range = keys_of_queries(tile.begin, kQueries, tile.run_length, window, kKeys);
  copy_tile<D, kQueries, kThreads<D>>(queries, q, stride, tile.begin, tile.run_length);
  commit_copies();
  copy_tile<D, kKeys, kThreads<D>>(stages, k, stride, range.begin, tile.run_length);
  copy_tile<D, kKeys, kThreads<D>>(stages + kTile, v, stride, range.begin, tile.run_length);
  commit_copies();
  wait_copies<1>();
  __syncthreads();

  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int g = lane / 4, t = lane % 4;
  uint32_t q_parts[D / 16][4];
#pragma unroll
  for (int d = 0; d < D / 16; ++d) load_a<D>(q_parts[d], queries, warp * 16, d * 16);
  __syncthreads();  // the queries' memory becomes the second stage

  float o[D / 8][4] = {};
  float largest[2] = {-INFINITY, -INFINITY};  // of rows g and g + 8, in units of the logits
  float sum[2] = {};                          // this lane's share
  const float to_log2 = scale * kLog2E;
  const int row0 = tile.begin + warp * 16 + g;  // of the run; the other row is 8 further

  int stage = 0;
  for (int j = range.begin; j < range.end; j += kKeys, stage ^= 1) {
    T* const next = stages + (stage ^ 1) * 2 * kTile;
    if (j + kKeys < range.end) {
      copy_tile<D, kKeys, kThreads<D>>(next, k, stride, j + kKeys, tile.run_length);
      copy_tile<D, kKeys, kThreads<D>>(next + kTile, v, stride, j + kKeys, tile.run_length);
    }
    commit_copies();  // perhaps an empty group, so that the count below is right
    wait_copies<1>();
    __syncthreads();
    const T* const keys = stages + stage * 2 * kTile;
    const T* const values = keys + kTile;

    float s[kKeyTiles][4] = {};
#pragma unroll
    for (int d = 0; d < D / 16; ++d) {
#pragma unroll
      for (int n = 0; n < kKeyTiles; n += 2) {
        uint32_t b[4];
        load_b<D>(b, keys, n * 8, d * 16);
        mma<T>(s[n], q_parts[d], b[0], b[1]);
        mma<T>(s[n + 1], q_parts[d], b[2], b[3]);
      }
    }
    if (needs_mask(tile.begin, kQueries, j, kKeys, window)) {
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int query = row0 + e / 2 * 8, key = j + n * 8 + 2 * t + e % 2;
          if (!is_visible(query, key, window)) s[n][e] = -INFINITY;
        }
      }
    }

    float rescale[2], offset[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float m = largest[r];
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n) m = fmaxf(m, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
      m = fmaxf(m, __shfl_xor_sync(0xffffffffU, m, 1));
      m = fmaxf(m, __shfl_xor_sync(0xffffffffU, m, 2));
      // A row that has seen no key yet (a window can do that) keeps -inf, and 0 to subtract.
      offset[r] = m == -INFINITY ? 0.0F : m * to_log2;
      rescale[r] = exp2f(largest[r] * to_log2 - offset[r]);
      largest[r] = m;
      sum[r] *= rescale[r];
    }
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        s[n][e] = exp2f(s[n][e] * to_log2 - offset[e / 2]);
        sum[e / 2] += s[n][e];
      }
    }
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) o[n][e] *= rescale[e / 2];
    }
#pragma unroll
    for (int kk = 0; kk < kKeys / 16; ++kk) {
      const uint32_t p[4] = {
          pack<T>(s[2 * kk][0], s[2 * kk][1]), pack<T>(s[2 * kk][2], s[2 * kk][3]),
          pack<T>(s[2 * kk + 1][0], s[2 * kk + 1][1]), pack<T>(s[2 * kk + 1][2], s[2 * kk + 1][3])};
#pragma unroll
      for (int n = 0; n < D / 8; n += 2) {
        uint32_t b[4];
        load_b_transposed<D>(b, values, kk * 16, n * 8);
        mma<T>(o[n], p, b[0], b[1]);
        mma<T>(o[n + 1], p, b[2], b[3]);
      }
    }
    __syncthreads();  // the next round's copies overwrite this stage
  }
  wait_copies<0>();

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += __shfl_xor_sync(0xffffffffU, sum[r], 1);
    sum[r] += __shfl_xor_sync(0xffffffffU, sum[r], 2);
    const int row = row0 + r * 8;
    if (row >= tile.run_length) continue;
    const int64_t at = int64_t{tile.run_begin} + row;
    const float inverse = 1.0F / sum[r];
    T* const to = out + at * heads.q_dim() + int64_t{head} * D;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      *reinterpret_cast<uint32_t*>(to + n * 8 + 2 * t) =
          pack<T>(o[n][2 * r] * inverse, o[n][2 * r + 1] * inverse);
    }
    if (lse != nullptr && t == 0) {
      lse[at * heads.n_head + head] = largest[r] * scale + logf(sum[r]);
    }
  }
}

template <typename T, int D>
void launch(cudaStream_t stream, const void* qkv, const AttentionTile* tiles, int64_t n_tiles,
            const AttentionArguments& a, void* out, float* lse) {
  constexpr int kBytes = kSharedElements<D> * static_cast<int>(sizeof(T));
  const auto kernel = flash_forward_kernel<T, D>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  kernel<<<static_cast<unsigned>(n_tiles * a.heads.n_head), kThreads<D>, kBytes, stream>>>(
      static_cast<const T*>(qkv), tiles, a.heads, a.window, a.scale, static_cast<T*>(out), lse);
}

}  // namespace

bool flash_attention_supports(DType act, const AttentionArguments& a, const void* qkv,
                              const void* out) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return (act == DType::kBf16 || act == DType::kF16) &&
         (a.heads.head_dim == 64 || a.heads.head_dim == 128) && a.scale > 0 && aligned(qkv) &&
         aligned(out);
}

void launch_flash_forward(cudaStream_t stream, DType act, const void* qkv,
                          const AttentionTile* tiles, int64_t n_tiles, const AttentionArguments& a,
                          void* out, float* lse) {
  if (n_tiles <= 0) return;
  const bool wide = a.heads.head_dim == 128;
  if (act == DType::kBf16) {
    (wide ? launch<bf16, 128> : launch<bf16, 64>)(stream, qkv, tiles, n_tiles, a, out, lse);
  } else {
    (wide ? launch<f16, 128> : launch<f16, 64>)(stream, qkv, tiles, n_tiles, a, out, lse);
  }
}

}  // namespace nanochat::cuda
