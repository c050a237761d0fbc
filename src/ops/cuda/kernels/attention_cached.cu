/// Attention against a cache of keys and values, split over the context (Flash-Decoding, Dao et al.
/// 2023): one query sees thousands of keys, so that a block per query would leave the card idle.
/// A block takes one row, one key head and 256 positions, for all query heads that read that key
/// head, so that the cache is read once; a second kernel joins the parts.
///
/// Positions are cut at multiples of 256 counted from 0, not from where a row begins to see, and
/// parts are joined in their order: a row's bits do not depend on what else is in the batch.
#include <cmath>

#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kLanesPerKey = 8;
constexpr int kSides = kThreads / kLanesPerKey;  // keys side by side

template <typename T, typename K>
__global__ void append_kernel(const T* qkv, AttentionArguments a, K* k, K* v, int64_t capacity) {
  const int64_t row = blockIdx.x;
  const DeviceRun run = a.runs[a.run_of_row[row]];
  const int64_t position = int64_t{run.position} + (row - run.row_begin);
  const int64_t kv_dim = a.heads.kv_dim();
  const T* const from = qkv + row * a.heads.qkv_dim() + a.heads.q_dim();  // (Hkv D), then values
  const int64_t at = (int64_t{run.slot} * capacity + position % capacity) * kv_dim;
  for (int64_t c = threadIdx.x; c < kv_dim; c += blockDim.x) {
    k[at + c] = round_to<K>(widen<float>(from[c]));
    v[at + c] = round_to<K>(widen<float>(from[kv_dim + c]));
  }
}

/// Where the part of (row, head, chunk) is: largest logit, sum, then D sums of values.
__device__ __forceinline__ float* part_of(float* scratch, const AttentionArguments& a, int64_t row,
                                          int head, int64_t chunk, int64_t n_chunks) {
  return scratch + ((row * a.heads.n_head + head) * n_chunks + chunk) * (a.heads.head_dim + 2);
}

/// First and last position that the row sees in positions [chunk kCacheChunk, ...): begin >= end
/// when none.
struct Seen {
  int64_t begin, end;
};
__device__ __forceinline__ Seen seen_in_chunk(int64_t position, int window, int64_t chunk) {
  const int64_t from = window < 0 || position < window ? 0 : position - window;
  const int64_t begin = chunk * kCacheChunk, end = begin + kCacheChunk;
  return {from > begin ? from : begin, position + 1 < end ? position + 1 : end};
}

/// kVec divides D and the addresses are aligned to it.
template <int kVec, typename T, typename K>
__global__ void __launch_bounds__(kThreads)
    cached_part_kernel(const T* qkv, AttentionArguments a, const K* k_cache, const K* v_cache,
                       int64_t capacity, int64_t first_chunk, int64_t n_chunks, float* scratch) {
  extern __shared__ float memory[];
  const HeadLayout heads = a.heads;
  const int D = heads.head_dim;
  const int group = heads.n_head / heads.n_kv_head;
  const int64_t row = blockIdx.x / heads.n_kv_head;
  const int kv_head = static_cast<int>(blockIdx.x % heads.n_kv_head);
  const int64_t chunk = blockIdx.y;
  const DeviceRun run = a.runs[a.run_of_row[row]];
  const int64_t position = int64_t{run.position} + (row - run.row_begin);
  const Seen seen = seen_in_chunk(position, a.window, first_chunk + chunk);
  const int n = static_cast<int>(seen.end - seen.begin);
  const int thread = static_cast<int>(threadIdx.x);
  if (n <= 0) {
    for (int h = thread; h < group; h += kThreads) {
      float* const part = part_of(scratch, a, row, kv_head * group + h, chunk, n_chunks);
      part[0] = -INFINITY;
      part[1] = 0;
    }
    return;
  }

  float* const q = memory;                      // (group, D)
  float* const p = q + group * D;               // (group, kCacheChunk)
  float* const sums = p + group * kCacheChunk;  // (kThreads * kVec): parts of the sums of values
  __shared__ float warp_scratch[kThreads / kWarp];
  for (int i = thread; i < group * D; i += kThreads) {
    q[i] = a.scale * widen<float>(qkv[row * heads.qkv_dim() + int64_t{kv_head} * group * D + i]);
  }
  __syncthreads();

  const int64_t stride = heads.kv_dim();
  const int64_t base = int64_t{run.slot} * capacity * stride + int64_t{kv_head} * D;
  // A slot that is a ring holds all that a row sees, so n <= capacity and it wraps once at most.
  const int64_t ring_begin = seen.begin % capacity;
  const auto row_of = [&](int j) {
    const int64_t at = ring_begin + j;
    return base + (at < capacity ? at : at - capacity) * stride;
  };

  // Logits: eight lanes to a key.
  const int side = thread / kLanesPerKey, lane = thread % kLanesPerKey;
  for (int j0 = 0; j0 < n; j0 += kSides) {  // whole warps, because of the shuffles
    const int j = j0 + side;
    const K* const key = k_cache + row_of(j < n ? j : n - 1);
    for (int h = 0; h < group; ++h) {
      float sum = 0;
      for (int d = lane * kVec; d < D; d += kLanesPerKey * kVec) {
        const Vector<K, kVec> x = load<kVec>(key + d);
#pragma unroll
        for (int e = 0; e < kVec; ++e) sum += q[h * D + d + e] * widen<float>(x.at[e]);
      }
#pragma unroll
      for (int offset = kLanesPerKey / 2; offset > 0; offset /= 2) {
        sum += __shfl_xor_sync(0xffffffffU, sum, offset);
      }
      if (lane == 0 && j < n) p[h * kCacheChunk + j] = sum;
    }
  }
  __syncthreads();

  for (int h = 0; h < group; ++h) {
    float* const logits = p + h * kCacheChunk;
    float largest = -INFINITY;
    for (int j = 0; j < n; ++j) largest = fmaxf(largest, logits[j]);  // a broadcast for all
    __syncthreads();  // all have read what is written next
    float part_sum = 0;
    for (int j = thread; j < n; j += kThreads) {
      const float e = expf(logits[j] - largest);
      logits[j] = e;
      part_sum += e;
    }
    const float sum = block_sum(part_sum, warp_scratch);
    float* const part = part_of(scratch, a, row, kv_head * group + h, chunk, n_chunks);
    if (thread == 0) {
      part[0] = largest;
      part[1] = sum;
    }
    // Values: kVec columns to a thread, keys dealt out among the threads of the same columns.
    const int pieces = D / kVec;
    const int dealers = pieces < kThreads ? kThreads / pieces : 1;
    for (int piece0 = 0; piece0 < pieces; piece0 += kThreads) {
      const int piece = piece0 + thread % (pieces < kThreads ? pieces : kThreads);
      const int dealer = pieces < kThreads ? thread / pieces : 0;
      float acc[kVec] = {};
      if (piece < pieces && dealer < dealers) {
        for (int j = dealer; j < n; j += dealers) {
          const Vector<K, kVec> x = load<kVec>(v_cache + row_of(j) + piece * kVec);
#pragma unroll
          for (int e = 0; e < kVec; ++e) acc[e] += logits[j] * widen<float>(x.at[e]);
        }
      }
#pragma unroll
      for (int e = 0; e < kVec; ++e) sums[thread * kVec + e] = acc[e];
      __syncthreads();
      if (piece < pieces && dealer == 0) {
#pragma unroll
        for (int e = 0; e < kVec; ++e) {
          float total = 0;
          for (int i = 0; i < dealers; ++i) total += sums[(i * pieces + thread) * kVec + e];
          part[2 + piece * kVec + e] = total;
        }
      }
      __syncthreads();
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    join_kernel(AttentionArguments a, int64_t n_chunks, float* scratch, T* out) {
  const int D = a.heads.head_dim;
  const int64_t row = blockIdx.x / a.heads.n_head;
  const int head = static_cast<int>(blockIdx.x % a.heads.n_head);
  const float* const parts = part_of(scratch, a, row, head, 0, n_chunks);
  const int64_t size = D + 2;
  float largest = -INFINITY;
  for (int64_t c = 0; c < n_chunks; ++c) largest = fmaxf(largest, parts[c * size]);
  float sum = 0;
  for (int64_t c = 0; c < n_chunks; ++c) {
    sum += parts[c * size + 1] * expf(parts[c * size] - largest);
  }
  T* const to = out + row * a.heads.q_dim() + int64_t{head} * D;
  for (int d = static_cast<int>(threadIdx.x); d < D; d += kThreads) {
    float value = 0;
    for (int64_t c = 0; c < n_chunks; ++c) {
      if (parts[c * size + 1] == 0) continue;  // nothing was seen there, nor written
      value += parts[c * size + 2 + d] * expf(parts[c * size] - largest);
    }
    to[d] = round_to<T>(value / sum);
  }
}

/// f(tag of the activations, tag of the cache): equal, or the latter bf16.
template <typename F>
void dispatch_cache(DType act, DType cache, F&& f) {
  dispatch_act(act, [&](auto tag) {
    if (cache == act) return f(tag, tag);
    f(tag, TypeTag<bf16>{});
  });
}

}  // namespace

void launch_kv_cache_append(cudaStream_t stream, DType act, const void* qkv,
                            const AttentionArguments& a, const DeviceKvCache& cache) {
  if (a.N <= 0) return;
  dispatch_cache(act, cache.dtype, [&](auto tag, auto cache_tag) {
    using T = typename decltype(tag)::type;
    using K = typename decltype(cache_tag)::type;
    append_kernel<<<static_cast<unsigned>(a.N), kThreads, 0, stream>>>(
        static_cast<const T*>(qkv), a, static_cast<K*>(cache.k), static_cast<K*>(cache.v),
        cache.capacity);
  });
}

int64_t attention_cached_scratch_floats(int64_t N, HeadLayout heads, int64_t n_chunks) {
  return N * heads.n_head * n_chunks * (heads.head_dim + 2);
}

void launch_attention_cached(cudaStream_t stream, DType act, const void* qkv,
                             const AttentionArguments& a, const DeviceKvCache& cache,
                             int64_t first_chunk, int64_t n_chunks, void* out, float* scratch) {
  if (a.N <= 0 || n_chunks <= 0) return;
  const int group = a.heads.n_head / a.heads.n_kv_head;
  const int D = a.heads.head_dim;
  const dim3 grid(static_cast<unsigned>(a.N * a.heads.n_kv_head), static_cast<unsigned>(n_chunks));
  dispatch_cache(act, cache.dtype, [&](auto tag, auto cache_tag) {
    using T = typename decltype(tag)::type;
    using K = typename decltype(cache_tag)::type;
    constexpr int kVec = kLanes<K>;
    const auto* from = static_cast<const T*>(qkv);
    const auto* k = static_cast<const K*>(cache.k);
    const auto* v = static_cast<const K*>(cache.v);
    const bool wide = D % kVec == 0 && is_aligned<kVec>(k) && is_aligned<kVec>(v);
    const auto launch = [&](auto kernel, int vec) {
      const int floats = group * D + group * kCacheChunk + kThreads * vec;
      const int bytes = floats * static_cast<int>(sizeof(float));
      if (bytes > 48 << 10) {
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      }
      kernel<<<grid, kThreads, bytes, stream>>>(from, a, k, v, cache.capacity, first_chunk,
                                                n_chunks, scratch);
    };
    if (wide) {
      launch(cached_part_kernel<kVec, T, K>, kVec);
    } else {
      launch(cached_part_kernel<1, T, K>, 1);
    }
    join_kernel<<<static_cast<unsigned>(a.N * a.heads.n_head), kThreads, 0, stream>>>(
        a, n_chunks, scratch, static_cast<T*>(out));
  });
}

}  // namespace nanochat::cuda
