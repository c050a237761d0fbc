/// Which attention kernel, with which tables and scratch.
#include <algorithm>
#include <limits>

#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/tensors.h"

namespace nanochat::cuda {
namespace {

float* floats(void* memory) { return static_cast<float*>(memory); }

DeviceKvCache device_cache(const KvCache& cache) {
  Tensor k = cache.k, v = cache.v;  // handles: the launchers' struct is for reading and writing
  return {.k = k.raw(), .v = v.raw(), .dtype = k.dtype(), .capacity = k.dim(1)};
}

}  // namespace

AttentionArguments CudaBackend::attention_arguments(const TokenRuns& runs,
                                                    const AttentionShape& shape) {
  const RunTable& table = tables_.of(runs);
  constexpr int64_t kFar = std::numeric_limits<int32_t>::max();
  return {.heads = {.n_head = static_cast<int32_t>(shape.n_head),
                    .n_kv_head = static_cast<int32_t>(shape.n_kv_head),
                    .head_dim = static_cast<int32_t>(shape.head_dim)},
          .window = static_cast<int32_t>(std::clamp<int64_t>(shape.window, -1, kFar)),
          .scale = shape.scale,
          .runs = table.runs,
          .run_of_row = table.run_of_row,
          .N = runs.n_tokens()};
}

void CudaBackend::attention(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                            Tensor& out, Tensor& lse) {
  if (runs.n_tokens() == 0) return;
  const cudaStream_t s = stream();
  const AttentionArguments a = attention_arguments(runs, shape);
  float* const statistics = lse ? lse.data<float>() : nullptr;
  if (flash_attention_supports(qkv.dtype(), a, qkv.raw(), out.raw())) {
    const RunTable::Tiles& tiles = tables_.of(runs).tiles(forward_tile_rows(a.heads.head_dim));
    launch_flash_forward(s, qkv.dtype(), qkv.raw(), tiles.tiles, tiles.n, a, out.raw(), statistics);
  } else {
    launch_simple_forward(s, qkv.dtype(), qkv.raw(), a, out.raw(), statistics);
  }
  check_launch("attention");
}

void CudaBackend::attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                                     const Tensor& lse, const TokenRuns& runs,
                                     const AttentionShape& shape, Tensor& dqkv) {
  if (runs.n_tokens() == 0) return;
  const cudaStream_t s = stream();
  const AttentionArguments a = attention_arguments(runs, shape);
  float* const delta = floats(workspace_.get(a.N * shape.n_head * int64_t{sizeof(float)}));
  const float* const statistics = lse.data<float>();
  if (flash_attention_supports(qkv.dtype(), a, qkv.raw(), dout.raw()) &&
      flash_attention_supports(qkv.dtype(), a, dqkv.raw(), out.raw())) {
    const RunTable::Tiles& tiles = tables_.of(runs).tiles(kBackwardTileRows);
    launch_flash_backward(s, qkv.dtype(), dout.raw(), qkv.raw(), out.raw(), statistics, tiles.tiles,
                          tiles.n, a, delta, dqkv.raw());
  } else {
    launch_simple_backward(s, qkv.dtype(), dout.raw(), qkv.raw(), out.raw(), statistics, a, delta,
                           dqkv.raw());
  }
  check_launch("attention_backward");
}

void CudaBackend::kv_cache_append(const Tensor& qkv, const TokenRuns& runs,
                                  const AttentionShape& shape, KvCache& cache) {
  if (runs.n_tokens() == 0) return;
  const cudaStream_t s = stream();
  launch_kv_cache_append(s, qkv.dtype(), qkv.raw(), attention_arguments(runs, shape),
                         device_cache(cache));
  check_launch("kv_cache_append");
}

void CudaBackend::attention_cached(const Tensor& qkv, const KvCache& cache, const TokenRuns& runs,
                                   const AttentionShape& shape, Tensor& out) {
  if (runs.n_tokens() == 0) return;
  const cudaStream_t s = stream();
  const AttentionArguments a = attention_arguments(runs, shape);
  int64_t first = std::numeric_limits<int64_t>::max();  // the earliest position that a row sees
  for (const Run& run : runs.runs()) {
    if (run.length == 0) continue;
    first = std::min(first, a.window < 0 ? 0 : std::max<int64_t>(0, run.position - a.window));
  }
  const int64_t first_chunk = first / kCacheChunk;
  const int64_t n_chunks = (runs.end_position() - 1) / kCacheChunk - first_chunk + 1;
  const int64_t scratch = attention_cached_scratch_floats(a.N, a.heads, n_chunks);
  launch_attention_cached(s, qkv.dtype(), qkv.raw(), a, device_cache(cache), first_chunk, n_chunks,
                          out.raw(), floats(workspace_.get(scratch * int64_t{sizeof(float)})));
  check_launch("attention_cached");
}

}  // namespace nanochat::cuda
