/// The specification of every kernel: plain loops, one rounding per result.
///
/// Read these files to learn what an operation is, and its backward pass with it. They are made for
/// that, and to be the oracle of the tests of the fast backends; nothing in them is made for speed.
/// Sums and all arithmetic are in double whatever the dtype, so with f64 tensors the gradients can
/// be held against finite differences (tests/ops/gradient_check_test.cpp does).
///
/// Each method's contract is in ops/backend.h; its maths is worked out where it is defined:
///   elementwise.cpp    moving, converting, add, axpby, sign, relu^2
///   embedding.cpp      rms_norm.cpp    rope_qk_norm.cpp    attention.cpp    matmul.cpp
///   cross_entropy.cpp  softcap and softcap cross-entropy
///   reductions.cpp     dot, norms, the clip factor
///   optim.cpp          AdamW, Nesterov momentum, normalisation of matrices
#pragma once

#include <string>
#include <string_view>

#include "ops/backend.h"

namespace nanochat::reference {

/// Stateless, so threads may share it as long as they write different tensors.
class ReferenceBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "reference"; }
  [[nodiscard]] std::string description() const override {
    return "plain loops, sums in double precision";
  }
  [[nodiscard]] Device device() const noexcept override { return {}; }
  [[nodiscard]] DType preferred_dtype() const noexcept override { return DType::kF32; }
  [[nodiscard]] bool supports(DType act) const noexcept override {
    return act == DType::kF64 || act == DType::kF32 || act == DType::kBf16;
  }
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

  [[nodiscard]] int64_t workspace_bytes() const noexcept override { return 0; }
};

}  // namespace nanochat::reference
