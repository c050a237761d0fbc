/// Looking tokens up, and gathering their gradients without a race: the rows of one token are
/// summed by one block in the order in which they lie in the batch, after a stable sort by token.
#include <cub/device/device_radix_sort.cuh>

#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kScratchAlignment = 256;

/// One block to a row.
template <int kVec, typename W, typename Y>
__global__ void __launch_bounds__(kThreads)
    embedding_kernel(const W* w, const int32_t* ids, Y* y, int64_t C) {
  const int64_t n = blockIdx.x;
  const W* row = w + int64_t{ids[n]} * C;  // (C)
  for (int64_t c = int64_t{threadIdx.x} * kVec; c < C; c += kThreads * kVec) {
    const Vector<W, kVec> in = load<kVec>(row + c);
    Vector<Y, kVec> out;
#pragma unroll
    for (int k = 0; k < kVec; ++k) out.at[k] = round_to<Y>(widen<float>(in.at[k]));
    store<kVec>(y + n * C + c, out);
  }
}

__global__ void count_up_kernel(int32_t* x, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) x[i] = static_cast<int32_t>(i);
}

/// Block i of sorted (tokens ascending, rows ascending within one) works if a token begins there.
template <int kVec, typename T>
__global__ void __launch_bounds__(kThreads)
    embedding_backward_kernel(const T* dy, const int32_t* tokens, const int32_t* rows, float* dw,
                              int64_t N, int64_t C) {
  const int64_t begin = blockIdx.x;
  const int32_t token = tokens[begin];
  if (begin > 0 && tokens[begin - 1] == token) return;
  int64_t end = begin + 1;
  while (end < N && tokens[end] == token) ++end;
  for (int64_t c = int64_t{threadIdx.x} * kVec; c < C; c += kThreads * kVec) {
    float sum[kVec];
    float* const out = dw + int64_t{token} * C + c;
#pragma unroll
    for (int k = 0; k < kVec; ++k) sum[k] = out[k];
#pragma unroll 4
    for (int64_t i = begin; i < end; ++i) {
      const Vector<T, kVec> g = load<kVec>(dy + int64_t{rows[i]} * C + c);
#pragma unroll
      for (int k = 0; k < kVec; ++k) sum[k] += widen<float>(g.at[k]);
    }
#pragma unroll
    for (int k = 0; k < kVec; ++k) out[k] = sum[k];
  }
}

int bits_of(int64_t V) {
  int bits = 1;
  while (bits < 31 && (int64_t{1} << bits) < V) ++bits;
  return bits;
}

int64_t aligned(int64_t bytes) {
  return (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
}

/// Of cub's own scratch.
size_t sort_bytes(int64_t N, int bits) {
  size_t bytes = 0;
  cub::DeviceRadixSort::SortPairs(
      nullptr, bytes, static_cast<const int32_t*>(nullptr), static_cast<int32_t*>(nullptr),
      static_cast<const int32_t*>(nullptr), static_cast<int32_t*>(nullptr), N, 0, bits);
  return bytes;
}

}  // namespace

void launch_embedding(cudaStream_t stream, In w, const int32_t* ids, Out y, int64_t N, int64_t C) {
  if (N <= 0 || C <= 0) return;
  const auto blocks = static_cast<unsigned>(N);
  dispatch_act(w.dtype, [&](auto w_tag) {
    dispatch_act(y.dtype, [&](auto y_tag) {
      using W = typename decltype(w_tag)::type;
      using Y = typename decltype(y_tag)::type;
      constexpr int kVec = kLanes<W, Y>;
      const auto* in = static_cast<const W*>(w.data);
      auto* out = static_cast<Y*>(y.data);
      if (C % kVec == 0 && is_aligned<kVec>(in) && is_aligned<kVec>(out)) {
        embedding_kernel<kVec><<<blocks, kThreads, 0, stream>>>(in, ids, out, C);
      } else {
        embedding_kernel<1><<<blocks, kThreads, 0, stream>>>(in, ids, out, C);
      }
    });
  });
}

int64_t embedding_backward_scratch_bytes(int64_t N, int64_t V) {
  return 3 * aligned(N * int64_t{sizeof(int32_t)}) +
         aligned(static_cast<int64_t>(sort_bytes(N, bits_of(V))));
}

void launch_embedding_backward(cudaStream_t stream, DType act, const void* dy, const int32_t* ids,
                               float* dw, int64_t N, int64_t C, int64_t V, void* scratch) {
  if (N <= 0 || C <= 0) return;
  const int64_t part = aligned(N * int64_t{sizeof(int32_t)});
  auto* bytes = static_cast<char*>(scratch);
  auto* order = reinterpret_cast<int32_t*>(bytes);
  auto* tokens = reinterpret_cast<int32_t*>(bytes + part);
  auto* rows = reinterpret_cast<int32_t*>(bytes + 2 * part);
  count_up_kernel<<<static_cast<unsigned>((N + 255) / 256), 256, 0, stream>>>(order, N);
  const int bits = bits_of(V);
  size_t temporary = sort_bytes(N, bits);
  cub::DeviceRadixSort::SortPairs(bytes + 3 * part, temporary, ids, tokens,
                                  static_cast<const int32_t*>(order), rows, N, 0, bits, stream);
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kVec = kLanes<T>;
    const auto* g = static_cast<const T*>(dy);
    const auto blocks = static_cast<unsigned>(N);
    if (C % kVec == 0 && is_aligned<kVec>(g)) {
      embedding_backward_kernel<kVec><<<blocks, kThreads, 0, stream>>>(g, tokens, rows, dw, N, C);
    } else {
      embedding_backward_kernel<1><<<blocks, kThreads, 0, stream>>>(g, tokens, rows, dw, N, C);
    }
  });
}

}  // namespace nanochat::cuda
