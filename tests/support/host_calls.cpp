#include "support/host_calls.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nanochat::test {
namespace {

constexpr int64_t kFenceBytes = 256;

/// One call: what it got, where that is on the device, and what comes back.
class Call {
 public:
  Call(Backend& inner, const char* operation) : inner_(inner), operation_(operation) {}

  [[nodiscard]] Tensor in(const Tensor& x) { return place(x, /*written=*/false); }
  [[nodiscard]] Tensor out(Tensor& y) { return place(y, /*written=*/true); }

  void finish() {
    inner_.synchronize();
    for (const Buffer& b : buffers_) {
      Tensor all(b.device.shape(), DType::kU8);
      inner_.copy(b.device, all);
      inner_.synchronize();
      const auto* bytes = static_cast<const uint8_t*>(std::as_const(all).raw());
      for (int64_t i = 0; i < all.numel(); ++i) {
        const bool inside = i >= b.begin && i < b.begin + b.size_bytes;
        if (inside || bytes[i] == fence_byte(i)) continue;
        ADD_FAILURE() << fmt::format("{}: a stray write at byte {} of {}", operation_, i - b.begin,
                                     b.size_bytes);
        break;
      }
      if (b.size_bytes == 0) continue;
      if (b.written) {
        std::memcpy(b.host, bytes + b.begin, static_cast<size_t>(b.size_bytes));
      } else {
        EXPECT_EQ(std::memcmp(b.host, bytes + b.begin, static_cast<size_t>(b.size_bytes)), 0)
            << operation_ << ": an input was changed";
      }
    }
  }

 private:
  struct Buffer {
    char* host;
    int64_t size_bytes, begin;  // in `device`
    bool written;
    Tensor device;  // bytes
  };

  static uint8_t fence_byte(int64_t i) { return i % 2 == 0 ? 0xf5 : 0xff; }

  Tensor place(const Tensor& x, bool written) {
    if (!x) return {};
    // The bytes are only written to when the caller gave a tensor to write to.
    char* const host = const_cast<char*>(static_cast<const char*>(x.raw()));
    for (Buffer& b : buffers_) {
      if (b.host != host || b.size_bytes != x.size_bytes()) continue;
      b.written = b.written || written;
      return {b.device.storage(), b.begin, x.shape(), x.dtype()};
    }
    const auto misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(host) % 16);
    const int64_t begin = kFenceBytes + misaligned;
    Tensor bytes({begin + x.size_bytes() + kFenceBytes}, DType::kU8);
    for (int64_t i = 0; i < bytes.numel(); ++i) bytes.data<uint8_t>()[i] = fence_byte(i);
    if (x.size_bytes() > 0) {
      std::memcpy(static_cast<char*>(bytes.raw()) + begin, host,
                  static_cast<size_t>(x.size_bytes()));
    }
    Tensor device(bytes.shape(), DType::kU8, inner_.allocator());
    inner_.copy(bytes, device);
    buffers_.push_back({host, x.size_bytes(), begin, written, device});
    return {device.storage(), begin, x.shape(), x.dtype()};
  }

  Backend& inner_;
  const char* operation_;
  std::deque<Buffer> buffers_;
};

class HostCalls final : public Backend {
 public:
  explicit HostCalls(Backend& inner) : inner_(inner) {}

  std::string_view name() const noexcept override { return inner_.name(); }
  std::string description() const override { return inner_.description(); }
  Device device() const noexcept override { return {}; }
  DType preferred_dtype() const noexcept override { return inner_.preferred_dtype(); }
  bool supports(DType act) const noexcept override { return inner_.supports(act); }
  void synchronize() override { inner_.synchronize(); }
  int64_t workspace_bytes() const noexcept override { return inner_.workspace_bytes(); }

  void zero(Tensor& y) override {
    run("zero", [&](Call& c) {
      Tensor dy = c.out(y);
      inner_.zero(dy);
    });
  }
  void copy(const Tensor& x, Tensor& y) override {
    run("copy", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor dy = c.out(y);
      inner_.copy(dx, dy);
    });
  }
  void cast(const Tensor& x, Tensor& y) override {
    run("cast", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor dy = c.out(y);
      inner_.cast(dx, dy);
    });
  }
  void add(const Tensor& a, const Tensor& b, Tensor& y) override {
    run("add", [&](Call& c) {
      const Tensor da = c.in(a), db = c.in(b);
      Tensor dy = c.out(y);
      inner_.add(da, db, dy);
    });
  }
  void axpby(float a, const Tensor& x, float b, Tensor& y) override {
    run("axpby", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor dy = c.out(y);
      inner_.axpby(a, dx, b, dy);
    });
  }
  void sign(const Tensor& x, Tensor& y) override {
    run("sign", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor dy = c.out(y);
      inner_.sign(dx, dy);
    });
  }
  void relu_squared(const Tensor& x, Tensor& y) override {
    run("relu_squared", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor dy = c.out(y);
      inner_.relu_squared(dx, dy);
    });
  }
  void relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) override {
    run("relu_squared_backward", [&](Call& c) {
      const Tensor ddy = c.in(dy), yy = c.in(y);
      Tensor ddx = c.out(dx);
      inner_.relu_squared_backward(ddy, yy, ddx);
    });
  }
  void embedding(const Tensor& w, const Tensor& ids, Tensor& y) override {
    run("embedding", [&](Call& c) {
      const Tensor dw = c.in(w), d_ids = c.in(ids);
      Tensor dy = c.out(y);
      inner_.embedding(dw, d_ids, dy);
    });
  }
  void embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) override {
    run("embedding_backward", [&](Call& c) {
      const Tensor ddy = c.in(dy), d_ids = c.in(ids);
      Tensor ddw = c.out(dw);
      inner_.embedding_backward(ddy, d_ids, ddw);
    });
  }
  void rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) override {
    run("rms_norm", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor dy = c.out(y), d_rstd = c.out(rstd);
      inner_.rms_norm(dx, dy, d_rstd, eps);
    });
  }
  void rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                         const Tensor& residual, Tensor& dx) override {
    run("rms_norm_backward", [&](Call& c) {
      const Tensor ddy = c.in(dy), yy = c.in(y), d_rstd = c.in(rstd), beside = c.in(residual);
      Tensor ddx = c.out(dx);
      inner_.rms_norm_backward(ddy, yy, d_rstd, beside, ddx);
    });
  }
  void rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                    const Tensor& cos, const Tensor& sin, float gain, float eps,
                    Tensor& rstd) override {
    run("rope_qk_norm", [&](Call& c) {
      const Tensor d_cos = c.in(cos), d_sin = c.in(sin);
      Tensor d_qkv = c.out(qkv), d_rstd = c.out(rstd);
      inner_.rope_qk_norm(d_qkv, runs, shape, d_cos, d_sin, gain, eps, d_rstd);
    });
  }
  void rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                             const AttentionShape& shape, const Tensor& cos, const Tensor& sin,
                             float gain, const Tensor& rstd) override {
    run("rope_qk_norm_backward", [&](Call& c) {
      const Tensor d_qkv = c.in(qkv), d_cos = c.in(cos), d_sin = c.in(sin), d_rstd = c.in(rstd);
      Tensor gradient = c.out(dqkv);
      inner_.rope_qk_norm_backward(gradient, d_qkv, runs, shape, d_cos, d_sin, gain, d_rstd);
    });
  }
  void attention(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape, Tensor& out,
                 Tensor& lse) override {
    run("attention", [&](Call& c) {
      const Tensor d_qkv = c.in(qkv);
      Tensor d_out = c.out(out), d_lse = c.out(lse);
      inner_.attention(d_qkv, runs, shape, d_out, d_lse);
    });
  }
  void attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                          const Tensor& lse, const TokenRuns& runs, const AttentionShape& shape,
                          Tensor& dqkv) override {
    run("attention_backward", [&](Call& c) {
      const Tensor d_dout = c.in(dout), d_qkv = c.in(qkv), d_out = c.in(out), d_lse = c.in(lse);
      Tensor gradient = c.out(dqkv);
      inner_.attention_backward(d_dout, d_qkv, d_out, d_lse, runs, shape, gradient);
    });
  }
  void kv_cache_append(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                       KvCache& cache) override {
    run("kv_cache_append", [&](Call& c) {
      const Tensor d_qkv = c.in(qkv);
      KvCache d_cache{c.out(cache.k), c.out(cache.v)};
      inner_.kv_cache_append(d_qkv, runs, shape, d_cache);
    });
  }
  void attention_cached(const Tensor& qkv, const KvCache& cache, const TokenRuns& runs,
                        const AttentionShape& shape, Tensor& out) override {
    run("attention_cached", [&](Call& c) {
      const Tensor d_qkv = c.in(qkv);
      const KvCache d_cache{c.in(cache.k), c.in(cache.v)};
      Tensor d_out = c.out(out);
      inner_.attention_cached(d_qkv, d_cache, runs, shape, d_out);
    });
  }
  void matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, Tensor& y,
              float alpha, float beta, Epilogue epilogue) override {
    run("matmul", [&](Call& c) {
      const Tensor da = c.in(a), db = c.in(b);
      Tensor dy = c.out(y);
      inner_.matmul(da, transpose_a, db, transpose_b, dy, alpha, beta, epilogue);
    });
  }
  void matmul_packed(const Tensor& x, const PackedWeights& w, Tensor& y,
                     Epilogue epilogue) override {
    run("matmul_packed", [&](Call& c) {
      const Tensor dx = c.in(x);
      const PackedWeights dw(w.format, w.out, w.in, c.in(w.data), c.in(w.scales));
      Tensor dy = c.out(y);
      inner_.matmul_packed(dx, dw, dy, epilogue);
    });
  }
  void softcap_cross_entropy(Tensor& logits, const Tensor& targets, const Tensor& weight, float cap,
                             bool with_gradient, Tensor& loss) override {
    run("softcap_cross_entropy", [&](Call& c) {
      const Tensor d_targets = c.in(targets), d_weight = c.in(weight);
      Tensor d_logits = c.out(logits), d_loss = c.out(loss);
      inner_.softcap_cross_entropy(d_logits, d_targets, d_weight, cap, with_gradient, d_loss);
    });
  }
  void softcap(const Tensor& x, float cap, Tensor& y) override {
    run("softcap", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor dy = c.out(y);
      inner_.softcap(dx, cap, dy);
    });
  }
  void dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) override {
    run("dot", [&](Call& c) {
      const Tensor da = c.in(a), db = c.in(b);
      Tensor d_out = c.out(out);
      inner_.dot(da, db, beta, d_out);
    });
  }
  void clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) override {
    run("clip_scale", [&](Call& c) {
      const Tensor d_norm = c.in(norm_squared);
      Tensor d_scale = c.out(scale);
      inner_.clip_scale(d_norm, max_norm, d_scale);
    });
  }
  void squared_norms(const Tensor& x, Tensor& out) override {
    run("squared_norms", [&](Call& c) {
      const Tensor dx = c.in(x);
      Tensor d_out = c.out(out);
      inner_.squared_norms(dx, d_out);
    });
  }
  void adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
             const AdamWParams& params) override {
    run("adamw", [&](Call& c) {
      const Tensor dg = c.in(g), d_scale = c.in(scale);
      Tensor dp = c.out(p), dm = c.out(m), dv = c.out(v);
      inner_.adamw(dp, dg, dm, dv, d_scale, params);
    });
  }
  void nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu, Tensor& u) override {
    run("nesterov", [&](Call& c) {
      const Tensor dg = c.in(g), d_scale = c.in(scale);
      Tensor dm = c.out(m), du = c.out(u);
      inner_.nesterov(dg, dm, d_scale, mu, du);
    });
  }
  void normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) override {
    run("normalize_matrices", [&](Call& c) {
      const Tensor d_norms = c.in(norm_squared);
      Tensor dx = c.out(x);
      inner_.normalize_matrices(dx, d_norms, eps);
    });
  }

 private:
  template <typename F>
  void run(const char* operation, F&& f) {
    Call call(inner_, operation);
    f(call);
    call.finish();
  }

  Backend& inner_;
};

}  // namespace

std::unique_ptr<Backend> make_host_calls(Backend& inner) {
  return std::make_unique<HostCalls>(inner);
}

}  // namespace nanochat::test
