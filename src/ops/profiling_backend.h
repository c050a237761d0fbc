/// A backend that does nothing but tell how long another one takes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "ops/backend.h"

namespace nanochat {

/// Forwards every operation. While there is a listener, it waits for each operation to end and
/// reports it; without one it costs a virtual call.
class ProfilingBackend final : public Backend {
 public:
  using Clock = std::chrono::steady_clock;
  struct Operation {
    const char* name;  ///< "attention_backward", "matmul (lm_head)"; lives for ever
    Shape output;      ///< of the main result
    Clock::time_point begin, end;
  };
  using Listener = std::function<void(const Operation&)>;

  explicit ProfilingBackend(Backend& inner, Listener listener = {})
      : inner_(inner), listener_(std::move(listener)) {}
  /// Called on the thread that calls the operations; an empty one stops the timing.
  void set_listener(Listener listener) { listener_ = std::move(listener); }

  std::string_view name() const noexcept override { return inner_.name(); }
  std::string description() const override { return inner_.description(); }
  Device device() const noexcept override { return inner_.device(); }
  DType preferred_dtype() const noexcept override { return inner_.preferred_dtype(); }
  bool supports(DType act) const noexcept override { return inner_.supports(act); }
  void synchronize() override { inner_.synchronize(); }
  Allocator& allocator() noexcept override { return inner_.allocator(); }
  std::unique_ptr<AddressRange> reserve_addresses() override { return inner_.reserve_addresses(); }
  int64_t workspace_bytes() const noexcept override { return inner_.workspace_bytes(); }

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

 private:
  template <typename F>
  void timed(const char* operation, const Tensor& output, F&& f);

  Backend& inner_;
  Listener listener_;
};

}  // namespace nanochat
