/// The fast CPU backend: shapes and threads. The arithmetic is in kernels/, once per instruction
/// set, the matrix products in gemm_*.cpp, attention in attention.cpp.
///
/// Work is cut by parallel_for at fixed sizes and every sum has a fixed order, so that results do
/// not depend on scheduling; those of everything but GEMM and attention_backward do not depend on
/// the number of threads either.
///
/// Not thread-safe: one thread calls, the backend spreads.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ops/backend.h"
#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/row_kernels.h"
#include "ops/cpu/workspace.h"

namespace nanochat::cpu {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(Isa isa);

  std::string_view name() const noexcept override { return "cpu"; }
  std::string description() const override;
  Device device() const noexcept override { return {}; }
  DType preferred_dtype() const noexcept override;
  bool supports(DType act) const noexcept override;
  void synchronize() override {}

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

  int64_t workspace_bytes() const noexcept override {
    return workspace_.size_bytes() + gemm_->workspace_bytes();
  }

 private:
  /// c = epilogue(beta c), for a product over no terms.
  void finish_without_terms(Tensor& c, float beta, Epilogue epilogue);
  /// Calls f(first row in the batch, RopeArgs) for every stretch of rows of one run, in parallel.
  template <typename F>
  void for_rope_rows(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                     const Tensor& cos, const Tensor& sin, F&& f);

  Isa isa_;
  const RowKernels& kernels_;
  const AttentionKernels& attention_kernels_;
  std::unique_ptr<Gemm> gemm_;
  Workspace workspace_;
};

}  // namespace nanochat::cpu
