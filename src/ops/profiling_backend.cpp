#include "ops/profiling_backend.h"

namespace nanochat {

template <typename F>
void ProfilingBackend::timed(const char* operation, const Tensor& output, F&& f) {
  if (!listener_) return f();
  const Clock::time_point begin = Clock::now();
  f();
  inner_.synchronize();
  listener_({.name = operation, .output = output.shape(), .begin = begin, .end = Clock::now()});
}

void ProfilingBackend::zero(Tensor& y) {
  timed("zero", y, [&] { inner_.zero(y); });
}
void ProfilingBackend::copy(const Tensor& x, Tensor& y) {
  timed("copy", y, [&] { inner_.copy(x, y); });
}
void ProfilingBackend::cast(const Tensor& x, Tensor& y) {
  timed("cast", y, [&] { inner_.cast(x, y); });
}
void ProfilingBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  timed("add", y, [&] { inner_.add(a, b, y); });
}
void ProfilingBackend::axpby(float a, const Tensor& x, float b, Tensor& y) {
  timed("axpby", y, [&] { inner_.axpby(a, x, b, y); });
}
void ProfilingBackend::sign(const Tensor& x, Tensor& y) {
  timed("sign", y, [&] { inner_.sign(x, y); });
}
void ProfilingBackend::relu_squared(const Tensor& x, Tensor& y) {
  timed("relu_squared", y, [&] { inner_.relu_squared(x, y); });
}
void ProfilingBackend::relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  timed("relu_squared_backward", dx, [&] { inner_.relu_squared_backward(dy, y, dx); });
}
void ProfilingBackend::embedding(const Tensor& w, const Tensor& ids, Tensor& y) {
  timed("embedding", y, [&] { inner_.embedding(w, ids, y); });
}
void ProfilingBackend::embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) {
  timed("embedding_backward", dw, [&] { inner_.embedding_backward(dy, ids, dw); });
}
void ProfilingBackend::rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) {
  timed("rms_norm", y, [&] { inner_.rms_norm(x, y, rstd, eps); });
}
void ProfilingBackend::rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                                         const Tensor& residual, Tensor& dx) {
  timed("rms_norm_backward", dx, [&] { inner_.rms_norm_backward(dy, y, rstd, residual, dx); });
}
void ProfilingBackend::rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                                    const Tensor& cos, const Tensor& sin, float gain, float eps,
                                    Tensor& rstd) {
  timed("rope_qk_norm", qkv,
        [&] { inner_.rope_qk_norm(qkv, runs, shape, cos, sin, gain, eps, rstd); });
}
void ProfilingBackend::rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                                             const AttentionShape& shape, const Tensor& cos,
                                             const Tensor& sin, float gain, const Tensor& rstd) {
  timed("rope_qk_norm_backward", dqkv,
        [&] { inner_.rope_qk_norm_backward(dqkv, qkv, runs, shape, cos, sin, gain, rstd); });
}
void ProfilingBackend::attention(const Tensor& qkv, const TokenRuns& runs,
                                 const AttentionShape& shape, Tensor& out, Tensor& lse) {
  timed("attention", out, [&] { inner_.attention(qkv, runs, shape, out, lse); });
}
void ProfilingBackend::attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                                          const Tensor& lse, const TokenRuns& runs,
                                          const AttentionShape& shape, Tensor& dqkv) {
  timed("attention_backward", dqkv,
        [&] { inner_.attention_backward(dout, qkv, out, lse, runs, shape, dqkv); });
}
void ProfilingBackend::kv_cache_append(const Tensor& qkv, const TokenRuns& runs,
                                       const AttentionShape& shape, KvCache& cache) {
  timed("kv_cache_append", qkv, [&] { inner_.kv_cache_append(qkv, runs, shape, cache); });
}
void ProfilingBackend::attention_cached(const Tensor& qkv, const KvCache& cache,
                                        const TokenRuns& runs, const AttentionShape& shape,
                                        Tensor& out) {
  timed("attention_cached", out, [&] { inner_.attention_cached(qkv, cache, runs, shape, out); });
}
void ProfilingBackend::matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                              Tensor& c, float alpha, float beta, Epilogue epilogue) {
  // The vocabulary is far larger than any other extent.
  const auto large = [](const Tensor& t) { return t.dim(0) >= 16384 || t.dim(-1) >= 16384; };
  timed(c.rank() == 2 && (large(a) || large(b) || large(c)) ? "matmul (lm_head)" : "matmul", c,
        [&] { inner_.matmul(a, transpose_a, b, transpose_b, c, alpha, beta, epilogue); });
}
void ProfilingBackend::matmul_packed(const Tensor& x, const PackedWeights& w, Tensor& y,
                                     Epilogue epilogue) {
  timed(w.out >= 16384 ? "matmul_packed (lm_head)" : "matmul_packed", y,
        [&] { inner_.matmul_packed(x, w, y, epilogue); });
}
void ProfilingBackend::softcap_cross_entropy(Tensor& logits, const Tensor& targets,
                                             const Tensor& weight, float cap, bool with_gradient,
                                             Tensor& loss) {
  timed("softcap_cross_entropy", logits,
        [&] { inner_.softcap_cross_entropy(logits, targets, weight, cap, with_gradient, loss); });
}
void ProfilingBackend::softcap(const Tensor& x, float cap, Tensor& y) {
  timed("softcap", y, [&] { inner_.softcap(x, cap, y); });
}
void ProfilingBackend::dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) {
  timed("dot", a, [&] { inner_.dot(a, b, beta, out); });
}
void ProfilingBackend::clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) {
  timed("clip_scale", scale, [&] { inner_.clip_scale(norm_squared, max_norm, scale); });
}
void ProfilingBackend::squared_norms(const Tensor& x, Tensor& out) {
  timed("squared_norms", x, [&] { inner_.squared_norms(x, out); });
}
void ProfilingBackend::adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
                             const AdamWParams& params) {
  timed("adamw", p, [&] { inner_.adamw(p, g, m, v, scale, params); });
}
void ProfilingBackend::nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu,
                                Tensor& u) {
  timed("nesterov", u, [&] { inner_.nesterov(g, m, scale, mu, u); });
}
void ProfilingBackend::normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) {
  timed("normalize_matrices", x, [&] { inner_.normalize_matrices(x, norm_squared, eps); });
}

}  // namespace nanochat
