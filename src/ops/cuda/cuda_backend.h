/// The backend of one NVIDIA GPU: shapes, dtypes and memory. The arithmetic is in kernels/ (*.cu),
/// matrix products are cuBLASLt's (gemm.h).
///
/// Everything runs on one stream. Results are a function of shapes and numbers alone: sums are cut
/// and ordered by size, nothing is added by atomic operations, and products take the algorithm that
/// cuBLAS's heuristics name first (gemm.h says when not).
///
/// Not thread-safe: one thread at a time calls.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <cuda_runtime_api.h>

#include "ops/backend.h"
#include "ops/cuda/gemm.h"
#include "ops/cuda/memory.h"
#include "ops/cuda/module.h"
#include "ops/cuda/run_tables.h"

namespace nanochat::cuda {

/// What there is, or why there is nothing.
[[nodiscard]] CudaInventory make_inventory();

class CudaBackend final : public Backend {
 public:
  /// Throws DeviceError and OutOfMemoryError.
  CudaBackend(int index, const CudaDevice& device);
  ~CudaBackend() override;
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  std::string_view name() const noexcept override { return "cuda"; }
  std::string description() const override { return description_; }
  Device device() const noexcept override {
    return {.kind = DeviceKind::kCuda, .index = static_cast<int8_t>(index_)};
  }
  DType preferred_dtype() const noexcept override { return DType::kBf16; }
  bool supports(DType act) const noexcept override {
    return act == DType::kF32 || act == DType::kBf16 || act == DType::kF16;
  }
  void synchronize() override;
  Allocator& allocator() noexcept override { return allocator_; }
  std::unique_ptr<AddressRange> reserve_addresses() override {
    return reserve_device_addresses(index_);
  }

  void zero(Tensor& y) override;
  void copy(const Tensor& x, Tensor& y) override;
  void cast(const Tensor& x, Tensor& y) override;

  void add(const Tensor& a, const Tensor& b, Tensor& y) override;
  void axpby(float a, const Tensor& x, float b, Tensor& y) override;
  void sign(const Tensor& x, Tensor& y) override;
  void relu_squared(const Tensor& x, Tensor& y) override;
  void relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) override;

  void embedding(const Tensor& w, const Tensor& ids, Tensor& y) override;
  void embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) override;

  void rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) override;
  void rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                         const Tensor& residual, Tensor& dx) override;
  void rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                    const Tensor& cos, const Tensor& sin, float gain, float eps,
                    Tensor& rstd) override;
  void rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                             const AttentionShape& shape, const Tensor& cos, const Tensor& sin,
                             float gain, const Tensor& rstd) override;

  void attention(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape, Tensor& out,
                 Tensor& lse) override;
  void attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                          const Tensor& lse, const TokenRuns& runs, const AttentionShape& shape,
                          Tensor& dqkv) override;
  void kv_cache_append(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                       KvCache& cache) override;
  void attention_cached(const Tensor& qkv, const KvCache& cache, const TokenRuns& runs,
                        const AttentionShape& shape, Tensor& out) override;

  void matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, Tensor& c,
              float alpha, float beta, Epilogue epilogue) override;
  void matmul_packed(const Tensor& x, const PackedWeights& w, Tensor& y,
                     Epilogue epilogue) override;

  void softcap_cross_entropy(Tensor& logits, const Tensor& targets, const Tensor& weight, float cap,
                             bool with_gradient, Tensor& loss) override;
  void softcap(const Tensor& x, float cap, Tensor& y) override;

  void dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) override;
  void clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) override;
  void squared_norms(const Tensor& x, Tensor& out) override;

  void adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
             const AdamWParams& params) override;
  void nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu, Tensor& u) override;
  void normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) override;

  int64_t workspace_bytes() const noexcept override;

 private:
  /// The stream, with this device made the calling thread's.
  [[nodiscard]] cudaStream_t stream() const;
  [[nodiscard]] AttentionArguments attention_arguments(const TokenRuns& runs,
                                                       const AttentionShape& shape);

  int index_;
  std::string description_;
  cudaStream_t stream_;
  DeviceAllocator allocator_;
  Workspace workspace_;
  Uploader uploader_;
  RunTables tables_;
  Gemm gemm_;
};

}  // namespace nanochat::cuda
