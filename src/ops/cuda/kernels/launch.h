/// The launchers of all kernels, for the host files above this folder. They take raw device
/// pointers, because nvcc's front end cannot read what those files include (fmt).
///
/// Letters and formulas are those of ops/backend.h. `act` names the dtype of activations: f32, bf16
/// or f16; other dtypes are named beside their pointer. A launcher does its grid's arithmetic,
/// launches on `stream` and returns; zero elements launch nothing. Launch errors are found by
/// the caller (cudaGetLastError).
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include "core/dtype_enum.h"

namespace nanochat::cuda {

/// A pointer and what it points to.
struct In {
  const void* data = nullptr;
  DType dtype = DType::kF32;
};
struct Out {
  void* data = nullptr;
  DType dtype = DType::kF32;
  operator In() const { return {data, dtype}; }  // NOLINT(google-explicit-constructor)
};

// ---- elementwise.cu ----------------------------------------------------------------------------

void launch_cast(cudaStream_t stream, In x, Out y, int64_t n);
void launch_add(cudaStream_t stream, DType act, const void* a, const void* b, void* y, int64_t n);
void launch_axpby(cudaStream_t stream, float a, In x, float b, Out y, int64_t n);
void launch_sign(cudaStream_t stream, In x, Out y, int64_t n);
void launch_relu_squared(cudaStream_t stream, In x, Out y, int64_t n);
void launch_relu_squared_backward(cudaStream_t stream, DType act, const void* dy, const void* y,
                                  void* dx, int64_t n);
void launch_softcap(cudaStream_t stream, In x, float cap, Out y, int64_t n);

// ---- embedding.cu ------------------------------------------------------------------------------

void launch_embedding(cudaStream_t stream, In w, const int32_t* ids, Out y, int64_t N, int64_t C);
/// Bytes of scratch that launch_embedding_backward needs.
[[nodiscard]] int64_t embedding_backward_scratch_bytes(int64_t N, int64_t V);
/// dw is f32.
void launch_embedding_backward(cudaStream_t stream, DType act, const void* dy, const int32_t* ids,
                               float* dw, int64_t N, int64_t C, int64_t V, void* scratch);

// ---- rms_norm.cu, rope_qk_norm.cu --------------------------------------------------------------

void launch_rms_norm(cudaStream_t stream, DType act, const void* x, void* y, float* rstd, int64_t N,
                     int64_t C, float eps);
/// residual may be null.
void launch_rms_norm_backward(cudaStream_t stream, DType act, const void* dy, const void* y,
                              const float* rstd, const void* residual, void* dx, int64_t N,
                              int64_t C);

/// A run as ops/token_runs.h has it.
struct DeviceRun {
  int32_t row_begin, length, position, slot;
};
/// run_of_row[n] = the run that row n belongs to.
void launch_run_of_row(cudaStream_t stream, const DeviceRun* runs, int64_t n_runs,
                       int32_t* run_of_row);

struct HeadLayout {
  int32_t n_head, n_kv_head, head_dim;
  [[nodiscard]] __host__ __device__ int64_t qkv_dim() const {
    return int64_t{n_head + 2 * n_kv_head} * head_dim;
  }
  [[nodiscard]] __host__ __device__ int64_t q_dim() const { return int64_t{n_head} * head_dim; }
  [[nodiscard]] __host__ __device__ int64_t kv_dim() const { return int64_t{n_kv_head} * head_dim; }
};

void launch_rope_qk_norm(cudaStream_t stream, DType act, void* qkv, const DeviceRun* runs,
                         const int32_t* run_of_row, HeadLayout heads, const float* cos,
                         const float* sin, float gain, float eps, float* rstd, int64_t N);
void launch_rope_qk_norm_backward(cudaStream_t stream, DType act, void* dqkv, const void* qkv,
                                  const DeviceRun* runs, const int32_t* run_of_row,
                                  HeadLayout heads, const float* cos, const float* sin, float gain,
                                  const float* rstd, int64_t N);

// ---- attention ---------------------------------------------------------------------------------

/// Rows of one run that one block of the tensor-core kernels works on (its queries, or its keys):
/// what registers allow without spills.
constexpr int forward_tile_rows(int head_dim) { return head_dim == 64 ? 64 : 128; }
inline constexpr int kBackwardTileRows = 64;
struct AttentionTile {
  int32_t run_begin;   ///< row of the batch
  int32_t run_length;  ///< of the run
  int32_t begin;       ///< first row of the tile, counted from run_begin
};

struct AttentionArguments {
  HeadLayout heads;
  int32_t window;  ///< < 0: no limit
  float scale;
  const DeviceRun* runs;
  const int32_t* run_of_row;
  int64_t N;
};

/// Whether the tensor-core kernels do this: bf16 or f16, head_dim 64 or 128, 16-byte addresses.
[[nodiscard]] bool flash_attention_supports(DType act, const AttentionArguments& a, const void* qkv,
                                            const void* out);
/// attention_forward.cu. lse may be null. tiles of forward_tile_rows.
void launch_flash_forward(cudaStream_t stream, DType act, const void* qkv,
                          const AttentionTile* tiles, int64_t n_tiles, const AttentionArguments& a,
                          void* out, float* lse);
/// attention_backward.cu. delta [N, H] is scratch; tiles of kBackwardTileRows.
void launch_flash_backward(cudaStream_t stream, DType act, const void* dout, const void* qkv,
                           const void* out, const float* lse, const AttentionTile* tiles,
                           int64_t n_tiles, const AttentionArguments& a, float* delta, void* dqkv);
/// attention_simple.cu: any dtype and head size.
void launch_simple_forward(cudaStream_t stream, DType act, const void* qkv,
                           const AttentionArguments& a, void* out, float* lse);
void launch_simple_backward(cudaStream_t stream, DType act, const void* dout, const void* qkv,
                            const void* out, const float* lse, const AttentionArguments& a,
                            float* delta, void* dqkv);
/// delta[n, h] = sum_d dout[n, h, d] out[n, h, d]
void launch_attention_delta(cudaStream_t stream, DType act, const void* dout, const void* out,
                            HeadLayout heads, int64_t N, float* delta);

// ---- attention_cached.cu -----------------------------------------------------------------------

struct DeviceKvCache {
  void *k, *v;
  DType dtype;
  int64_t capacity;
};
void launch_kv_cache_append(cudaStream_t stream, DType act, const void* qkv,
                            const AttentionArguments& a, const DeviceKvCache& cache);
/// Positions are cut at multiples of this, whatever the batch: a row's result depends on it alone.
inline constexpr int kCacheChunk = 256;
/// f32 of scratch; `n_chunks`: the most that any row needs.
[[nodiscard]] int64_t attention_cached_scratch_floats(int64_t N, HeadLayout heads,
                                                      int64_t n_chunks);
void launch_attention_cached(cudaStream_t stream, DType act, const void* qkv,
                             const AttentionArguments& a, const DeviceKvCache& cache,
                             int64_t first_chunk, int64_t n_chunks, void* out, float* scratch);

// ---- matmul.cu ---------------------------------------------------------------------------------

struct MatmulArguments {
  int64_t batch, M, N, K;
  bool transpose_a, transpose_b;
  float alpha, beta;
  bool relu_squared;
};
/// Plain tiles without tensor cores: whatever cuBLAS does not take (mixed dtypes, odd alignment).
void launch_simple_matmul(cudaStream_t stream, In a, In b, Out c, const MatmulArguments& m);

/// The layout is PackedWeights'.
enum class PackedFormat : uint8_t { kF32, kBf16, kInt8 };
void launch_packed_matmul(cudaStream_t stream, In x, PackedFormat format, const void* data,
                          const float* scales, Out y, int64_t N, int64_t in, int64_t out,
                          bool relu_squared);

// ---- cross_entropy.cu --------------------------------------------------------------------------

void launch_softcap_cross_entropy(cudaStream_t stream, DType act, void* logits,
                                  const int32_t* targets, const float* weight, float cap,
                                  bool with_gradient, float* loss, int64_t N, int64_t V);

// ---- reductions.cu -----------------------------------------------------------------------------

/// f64 of scratch for each of launch_dot and launch_squared_norms.
[[nodiscard]] int64_t dot_scratch_doubles(int64_t n);
void launch_dot(cudaStream_t stream, In a, In b, double beta, double* out, int64_t n,
                double* scratch);
void launch_squared_norms(cudaStream_t stream, In x, int64_t batch, int64_t matrix_numel,
                          double* out, double* scratch);
void launch_clip_scale(cudaStream_t stream, const double* norm_squared, float max_norm,
                       float* scale);

// ---- optim.cu ----------------------------------------------------------------------------------

struct AdamWArguments {
  float step_size;           ///< lr / (1 - beta1^t)
  float inv_correction2;     ///< 1 / sqrt(1 - beta2^t)
  float one_minus_lr_decay;  ///< 1 - lr weight_decay
  float beta1, beta2, eps;
};
/// All f32; scale may be null.
void launch_adamw(cudaStream_t stream, float* p, const float* g, float* m, float* v,
                  const float* scale, const AdamWArguments& a, int64_t n);
void launch_nesterov(cudaStream_t stream, const float* g, float* m, const float* scale, float mu,
                     Out u, int64_t n);
void launch_normalize_matrices(cudaStream_t stream, Out x, const double* norm_squared, float eps,
                               int64_t batch, int64_t matrix_numel);

}  // namespace nanochat::cuda
