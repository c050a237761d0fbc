/// A backend that does nothing but time another one.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "ops/backend.h"

namespace nanochat::bench {

/// Forwards every operation and adds its wall time to (phase, operation). The phase is whatever the
/// benchmark says it is in.
class ProfilingBackend final : public Backend {
 public:
  explicit ProfilingBackend(Backend& inner) : inner_(inner) {}

  std::string phase = "step";
  /// Seconds by phase and operation since the last clear().
  std::map<std::pair<std::string, std::string>, double> seconds;

  std::string_view name() const noexcept override { return inner_.name(); }
  std::string description() const override { return inner_.description(); }
  Device device() const noexcept override { return inner_.device(); }
  DType preferred_dtype() const noexcept override { return inner_.preferred_dtype(); }
  bool supports(DType act) const noexcept override { return inner_.supports(act); }
  void synchronize() override { inner_.synchronize(); }
  int64_t workspace_bytes() const noexcept override { return inner_.workspace_bytes(); }

  void zero(Tensor& y) override {
    timed("zero", [&] { inner_.zero(y); });
  }
  void copy(const Tensor& x, Tensor& y) override {
    timed("copy", [&] { inner_.copy(x, y); });
  }
  void cast(const Tensor& x, Tensor& y) override {
    timed("cast", [&] { inner_.cast(x, y); });
  }
  void add(const Tensor& a, const Tensor& b, Tensor& y) override {
    timed("add", [&] { inner_.add(a, b, y); });
  }
  void axpby(float a, const Tensor& x, float b, Tensor& y) override {
    timed("axpby", [&] { inner_.axpby(a, x, b, y); });
  }
  void sign(const Tensor& x, Tensor& y) override {
    timed("sign", [&] { inner_.sign(x, y); });
  }
  void relu_squared(const Tensor& x, Tensor& y) override {
    timed("relu_squared", [&] { inner_.relu_squared(x, y); });
  }
  void relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) override {
    timed("relu_squared_backward", [&] { inner_.relu_squared_backward(dy, y, dx); });
  }
  void embedding(const Tensor& w, const Tensor& ids, Tensor& y) override {
    timed("embedding", [&] { inner_.embedding(w, ids, y); });
  }
  void embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) override {
    timed("embedding_backward", [&] { inner_.embedding_backward(dy, ids, dw); });
  }
  void rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) override {
    timed("rms_norm", [&] { inner_.rms_norm(x, y, rstd, eps); });
  }
  void rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                         const Tensor& residual, Tensor& dx) override {
    timed("rms_norm_backward", [&] { inner_.rms_norm_backward(dy, y, rstd, residual, dx); });
  }
  void rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                    const Tensor& cos, const Tensor& sin, float gain, float eps,
                    Tensor& rstd) override {
    timed("rope_qk_norm",
          [&] { inner_.rope_qk_norm(qkv, runs, shape, cos, sin, gain, eps, rstd); });
  }
  void rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                             const AttentionShape& shape, const Tensor& cos, const Tensor& sin,
                             float gain, const Tensor& rstd) override {
    timed("rope_qk_norm_backward",
          [&] { inner_.rope_qk_norm_backward(dqkv, qkv, runs, shape, cos, sin, gain, rstd); });
  }
  void attention(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape, Tensor& out,
                 Tensor& lse) override {
    timed("attention", [&] { inner_.attention(qkv, runs, shape, out, lse); });
  }
  void attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                          const Tensor& lse, const TokenRuns& runs, const AttentionShape& shape,
                          Tensor& dqkv) override {
    timed("attention_backward",
          [&] { inner_.attention_backward(dout, qkv, out, lse, runs, shape, dqkv); });
  }
  void kv_cache_append(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                       KvCache& cache) override {
    timed("kv_cache_append", [&] { inner_.kv_cache_append(qkv, runs, shape, cache); });
  }
  void attention_cached(const Tensor& qkv, const KvCache& cache, const TokenRuns& runs,
                        const AttentionShape& shape, Tensor& out) override {
    timed("attention_cached", [&] { inner_.attention_cached(qkv, cache, runs, shape, out); });
  }
  void matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, Tensor& c,
              float alpha, float beta, Epilogue epilogue) override {
    // The vocabulary is far larger than any other extent.
    const auto large = [](const Tensor& t) { return t.dim(0) >= 16384 || t.dim(-1) >= 16384; };
    timed(c.rank() == 2 && (large(a) || large(b) || large(c)) ? "matmul (lm_head)" : "matmul",
          [&] { inner_.matmul(a, transpose_a, b, transpose_b, c, alpha, beta, epilogue); });
  }
  void softcap_cross_entropy(Tensor& logits, const Tensor& targets, const Tensor& weight, float cap,
                             bool with_gradient, Tensor& loss) override {
    timed("softcap_cross_entropy",
          [&] { inner_.softcap_cross_entropy(logits, targets, weight, cap, with_gradient, loss); });
  }
  void softcap(const Tensor& x, float cap, Tensor& y) override {
    timed("softcap", [&] { inner_.softcap(x, cap, y); });
  }
  void dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) override {
    timed("dot", [&] { inner_.dot(a, b, beta, out); });
  }
  void clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) override {
    timed("clip_scale", [&] { inner_.clip_scale(norm_squared, max_norm, scale); });
  }
  void squared_norms(const Tensor& x, Tensor& out) override {
    timed("squared_norms", [&] { inner_.squared_norms(x, out); });
  }
  void adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
             const AdamWParams& params) override {
    timed("adamw", [&] { inner_.adamw(p, g, m, v, scale, params); });
  }
  void nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu, Tensor& u) override {
    timed("nesterov", [&] { inner_.nesterov(g, m, scale, mu, u); });
  }
  void normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) override {
    timed("normalize_matrices", [&] { inner_.normalize_matrices(x, norm_squared, eps); });
  }

 private:
  template <typename F>
  void timed(const char* operation, F&& f) {
    const auto start = std::chrono::steady_clock::now();
    f();
    inner_.synchronize();
    seconds[{phase, operation}] +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Backend& inner_;
};

}  // namespace nanochat::bench
