/// Flash attention, backward, on tensor cores. Two kernels, so that every gradient is summed by one
/// block in one order and needs neither atomics nor f32 copies of itself:
///   keys      a block takes 64 keys of one key head and walks over the queries that see them:
///             dV += P^T dO,  dK += scale dS^T Q
///   queries   a block takes 64 queries of one head and walks over the keys:  dQ += scale dS K
/// with P = exp(scale Q K^T - lse), dS = P (dO V^T - delta), delta = rowsum(dO O). P and dO V^T are
/// computed in both, which costs 7 products where 5 would do; that is the price of determinism.
///
/// Both have one shape: the operand that stays (64 rows of two tensors, A of the first products)
/// lies in shared memory; the other comes in stages of kBlock rows; a warp has 16 rows.
#include "ops/cuda/kernels/attention_mask.h"
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/mma.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kRows = kBackwardTileRows;
constexpr int kWarps = kRows / 16;
constexpr int kThreads = kWarps * kWarp;
/// Rows of a stage: what registers allow beside the accumulators.
template <int D>
constexpr int kBlock = D == 64 ? 64 : 32;

template <int D>
constexpr int kKeptTile = kRows* kTileStride<D>;
template <int D>
constexpr int kStageTile = kBlock<D>* kTileStride<D>;
/// Two kept tiles, two stages of two tiles; then, for the keys' kernel, two stages of lse and
/// delta.
template <typename T, int D>
constexpr int kSharedBytes = (2 * kKeptTile<D> + 4 * kStageTile<D>)*static_cast<int>(sizeof(T)) +
                             4 * kBlock<D>* static_cast<int>(sizeof(float));

/// s += a b^T, 16 rows of the kept tile (from row0) with all rows of the stage's tile.
template <typename T, int D>
__device__ __forceinline__ void multiply(float (&s)[kBlock<D> / 8][4], const T* kept, int row0,
                                         const T* staged) {
#pragma unroll
  for (int d = 0; d < D / 16; ++d) {
    uint32_t a[4];
    load_a<D>(a, kept, row0, d * 16);
#pragma unroll
    for (int n = 0; n < kBlock<D> / 8; n += 2) {
      uint32_t b[4];
      load_b<D>(b, staged, n * 8, d * 16);
      mma<T>(s[n], a, b[0], b[1]);
      mma<T>(s[n + 1], a, b[2], b[3]);
    }
  }
}

/// y += s x, s [16 x kBlock] from accumulators, x [kBlock x D] the stage's tile.
template <typename T, int D>
__device__ __forceinline__ void accumulate(float (&y)[D / 8][4], const float (&s)[kBlock<D> / 8][4],
                                           const T* staged) {
#pragma unroll
  for (int kk = 0; kk < kBlock<D> / 16; ++kk) {
    const uint32_t a[4] = {pack<T>(s[2 * kk][0], s[2 * kk][1]), pack<T>(s[2 * kk][2], s[2 * kk][3]),
                           pack<T>(s[2 * kk + 1][0], s[2 * kk + 1][1]),
                           pack<T>(s[2 * kk + 1][2], s[2 * kk + 1][3])};
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      uint32_t b[4];
      load_b_transposed<D>(b, staged, kk * 16, n * 8);
      mma<T>(y[n], a, b[0], b[1]);
      mma<T>(y[n + 1], a, b[2], b[3]);
    }
  }
}

/// Rows g and g + 8 of the accumulators, times `factor`, to `to` and 8 rows further, where they are
/// rows of the run.
template <typename T, int D>
__device__ __forceinline__ void write_rows(const float (&y)[D / 8][4], float factor, T* to,
                                           int64_t stride, int row0, int length) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (row0 + r * 8 >= length) continue;
    T* const row = to + int64_t{row0 + r * 8} * stride;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      *reinterpret_cast<uint32_t*>(row + n * 8 + 2 * t) =
          pack<T>(y[n][2 * r] * factor, y[n][2 * r + 1] * factor);
    }
  }
}

template <typename T, int D>
__global__ void __launch_bounds__(kThreads)
    flash_backward_keys_kernel(const T* dout, const T* qkv, const float* lse, const float* delta,
                               const AttentionTile* tiles, int n_tiles, HeadLayout heads,
                               int window, float scale, T* dqkv) {
  extern __shared__ __align__(16) char shared[];
  constexpr int kQueries = kBlock<D>;
  T* const keys = reinterpret_cast<T*>(shared);
  T* const values = keys + kKeptTile<D>;
  T* const stages = values + kKeptTile<D>;  // stage s: queries at 2 s kStageTile, then dout
  float* const statistics = reinterpret_cast<float*>(stages + 4 * kStageTile<D>);

  const int kv_head = static_cast<int>(blockIdx.x) % heads.n_kv_head;
  // The tiles come with most keys first; here the last of them have most queries.
  const AttentionTile tile = tiles[n_tiles - 1 - static_cast<int>(blockIdx.x) / heads.n_kv_head];
  const int group = heads.n_head / heads.n_kv_head;
  const int64_t stride = heads.qkv_dim(), out_stride = heads.q_dim();
  const int64_t kv_column = heads.q_dim() + int64_t{kv_head} * D;
  const T* const rows = qkv + int64_t{tile.run_begin} * stride;
  const T* const out_rows = dout + int64_t{tile.run_begin} * out_stride;

  const KeyRange range = queries_of_keys(tile.begin, kRows, tile.run_length, window, kQueries);
  const int blocks_per_head = (range.end - range.begin + kQueries - 1) / kQueries;
  const int n_rounds = blocks_per_head * group;  // heads one after the other

  const auto copy_stage = [&](int round, int stage) {
    const int head = kv_head * group + round / blocks_per_head;
    const int begin = range.begin + round % blocks_per_head * kQueries;
    T* const to = stages + stage * 2 * kStageTile<D>;
    copy_tile<D, kQueries, kThreads>(to, rows + int64_t{head} * D, stride, begin, tile.run_length);
    copy_tile<D, kQueries, kThreads>(to + kStageTile<D>, out_rows + int64_t{head} * D, out_stride,
                                     begin, tile.run_length);
    float* const numbers = statistics + stage * 2 * kQueries;
    for (int i = static_cast<int>(threadIdx.x); i < kQueries; i += kThreads) {
      const bool valid = begin + i < tile.run_length;
      const int64_t at = (int64_t{tile.run_begin} + begin + i) * heads.n_head + head;
      numbers[i] = valid ? lse[at] * kLog2E : INFINITY;  // a row that is not there: P = 0
      numbers[kQueries + i] = valid ? delta[at] : 0.0F;
    }
  };

  copy_tile<D, kRows, kThreads>(keys, rows + kv_column, stride, tile.begin, tile.run_length);
  copy_tile<D, kRows, kThreads>(values, rows + kv_column + heads.kv_dim(), stride, tile.begin,
                                tile.run_length);
  copy_stage(0, 0);
  commit_copies();

  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int g = lane / 4, t = lane % 4;
  const int row0 = tile.begin + warp * 16 + g;  // a key; the other is 8 further
  const float to_log2 = scale * kLog2E;
  float dk[D / 8][4] = {};
  float dv[D / 8][4] = {};

  for (int round = 0; round < n_rounds; ++round) {
    const int stage = round % 2;
    if (round + 1 < n_rounds) copy_stage(round + 1, stage ^ 1);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    const T* const queries = stages + stage * 2 * kStageTile<D>;
    const T* const douts = queries + kStageTile<D>;
    const float* const numbers = statistics + stage * 2 * kQueries;
    const int begin = range.begin + round % blocks_per_head * kQueries;

    float p[kQueries / 8][4] = {};  // transposed: rows are keys, columns queries
    multiply<T, D>(p, keys, warp * 16, queries);
    const bool masked = needs_mask(begin, kQueries, tile.begin, kRows, window);
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int column = n * 8 + 2 * t + e % 2;
        const bool seen = !masked || is_visible(begin + column, row0 + e / 2 * 8, window);
        p[n][e] = seen ? exp2f(p[n][e] * to_log2 - numbers[column]) : 0.0F;
      }
    }
    accumulate<T, D>(dv, p, douts);
    float ds[kQueries / 8][4] = {};
    multiply<T, D>(ds, values, warp * 16, douts);
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int column = n * 8 + 2 * t + e % 2;
        ds[n][e] = p[n][e] * (ds[n][e] - numbers[kQueries + column]);
      }
    }
    accumulate<T, D>(dk, ds, queries);
    __syncthreads();  // the next round's copies overwrite this stage
  }
  wait_copies<0>();

  T* const to = dqkv + int64_t{tile.run_begin} * stride + kv_column;
  write_rows<T, D>(dk, scale, to, stride, row0, tile.run_length);
  write_rows<T, D>(dv, 1.0F, to + heads.kv_dim(), stride, row0, tile.run_length);
}

template <typename T, int D>
__global__ void __launch_bounds__(kThreads)
    flash_backward_queries_kernel(const T* dout, const T* qkv, const float* lse, const float* delta,
                                  const AttentionTile* tiles, HeadLayout heads, int window,
                                  float scale, T* dqkv) {
  extern __shared__ __align__(16) char shared[];
  constexpr int kKeys = kBlock<D>;
  T* const queries = reinterpret_cast<T*>(shared);
  T* const douts = queries + kKeptTile<D>;
  T* const stages = douts + kKeptTile<D>;  // stage s: keys at 2 s kStageTile, then values

  const int head = static_cast<int>(blockIdx.x) % heads.n_head;
  const AttentionTile tile = tiles[blockIdx.x / heads.n_head];
  const int kv_head = head / (heads.n_head / heads.n_kv_head);
  const int64_t stride = heads.qkv_dim(), out_stride = heads.q_dim();
  const int64_t q_column = int64_t{head} * D;
  const T* const rows = qkv + int64_t{tile.run_begin} * stride;
  const T* const k = rows + heads.q_dim() + int64_t{kv_head} * D;
  const T* const v = k + heads.kv_dim();

  const KeyRange range = keys_of_queries(tile.begin, kRows, tile.run_length, window, kKeys);
  const auto copy_stage = [&](int begin, int stage) {
    T* const to = stages + stage * 2 * kStageTile<D>;
    copy_tile<D, kKeys, kThreads>(to, k, stride, begin, tile.run_length);
    copy_tile<D, kKeys, kThreads>(to + kStageTile<D>, v, stride, begin, tile.run_length);
  };
  copy_tile<D, kRows, kThreads>(queries, rows + q_column, stride, tile.begin, tile.run_length);
  copy_tile<D, kRows, kThreads>(douts, dout + int64_t{tile.run_begin} * out_stride + q_column,
                                out_stride, tile.begin, tile.run_length);
  copy_stage(range.begin, 0);
  commit_copies();

  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int g = lane / 4, t = lane % 4;
  const int row0 = tile.begin + warp * 16 + g;  // a query; the other is 8 further
  const float to_log2 = scale * kLog2E;
  float row_lse[2], row_delta[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const bool valid = row0 + r * 8 < tile.run_length;
    const int64_t at = (int64_t{tile.run_begin} + row0 + r * 8) * heads.n_head + head;
    row_lse[r] = valid ? lse[at] * kLog2E : INFINITY;  // a row that is not there: P = 0
    row_delta[r] = valid ? delta[at] : 0.0F;
  }
  float dq[D / 8][4] = {};

  int stage = 0;
  for (int j = range.begin; j < range.end; j += kKeys, stage ^= 1) {
    if (j + kKeys < range.end) copy_stage(j + kKeys, stage ^ 1);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    const T* const keys = stages + stage * 2 * kStageTile<D>;
    const T* const values = keys + kStageTile<D>;

    float p[kKeys / 8][4] = {};
    multiply<T, D>(p, queries, warp * 16, keys);
    const bool masked = needs_mask(tile.begin, kRows, j, kKeys, window);
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const bool seen =
            !masked || is_visible(row0 + e / 2 * 8, j + n * 8 + 2 * t + e % 2, window);
        p[n][e] = seen ? exp2f(p[n][e] * to_log2 - row_lse[e / 2]) : 0.0F;
      }
    }
    float ds[kKeys / 8][4] = {};
    multiply<T, D>(ds, douts, warp * 16, values);
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) ds[n][e] = p[n][e] * (ds[n][e] - row_delta[e / 2]);
    }
    accumulate<T, D>(dq, ds, keys);
    __syncthreads();  // the next round's copies overwrite this stage
  }
  wait_copies<0>();
  write_rows<T, D>(dq, scale, dqkv + int64_t{tile.run_begin} * stride + q_column, stride, row0,
                   tile.run_length);
}

template <typename T, int D>
void launch(cudaStream_t stream, const void* dout, const void* qkv, const float* lse,
            const float* delta, const AttentionTile* tiles, int64_t n_tiles,
            const AttentionArguments& a, void* dqkv) {
  constexpr int kBytes = kSharedBytes<T, D>;
  const auto* from = static_cast<const T*>(qkv);
  const auto* gradient = static_cast<const T*>(dout);
  auto* to = static_cast<T*>(dqkv);
  const auto keys = flash_backward_keys_kernel<T, D>;
  cudaFuncSetAttribute(keys, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  keys<<<static_cast<unsigned>(n_tiles * a.heads.n_kv_head), kThreads, kBytes, stream>>>(
      gradient, from, lse, delta, tiles, static_cast<int>(n_tiles), a.heads, a.window, a.scale, to);
  const auto queries = flash_backward_queries_kernel<T, D>;
  cudaFuncSetAttribute(queries, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  queries<<<static_cast<unsigned>(n_tiles * a.heads.n_head), kThreads, kBytes, stream>>>(
      gradient, from, lse, delta, tiles, a.heads, a.window, a.scale, to);
}

}  // namespace

void launch_flash_backward(cudaStream_t stream, DType act, const void* dout, const void* qkv,
                           const void* out, const float* lse, const AttentionTile* tiles,
                           int64_t n_tiles, const AttentionArguments& a, float* delta, void* dqkv) {
  if (n_tiles <= 0) return;
  launch_attention_delta(stream, act, dout, out, a.heads, a.N, delta);
  const bool wide = a.heads.head_dim == 128;
  if (act == DType::kBf16) {
    (wide ? launch<bf16, 128> : launch<bf16, 64>)(stream, dout, qkv, lse, delta, tiles, n_tiles, a,
                                                  dqkv);
  } else {
    (wide ? launch<f16, 128> : launch<f16, 64>)(stream, dout, qkv, lse, delta, tiles, n_tiles, a,
                                                dqkv);
  }
}

}  // namespace nanochat::cuda
