/// The one list of kernels. A backend implements all of them on one device.
///
/// `reference` is the specification: plain loops that accumulate in double, and the oracle of every
/// test. It takes f64, f32 and bf16 (f64 for finite differences). `cpu` is the fast one and takes
/// f32 and bf16; `cuda` takes these and f16.
///
/// Rules that hold for every operation:
///  - Callers (autograd functions, optimizers) have checked shapes and dtypes; operations trust
///    them, allocate no tensors, and cannot fail on valid input.
///  - Tensors are contiguous and on this backend's device; there are no host pointers, so that a
///    GPU can honour every signature. TokenRuns is the exception: a GPU's backend copies its table.
///  - Operations are ordered on the backend's one stream; synchronize() waits for it. On the CPU
///    they are done when they return.
///  - An output does not overlap an input unless the comment says so. "=" overwrites (the bytes may
///    be uninitialised, NaN included), "+=" adds to what is there.
///  - One backend, one thread count, the same input: the same bits.
///
/// Shape letters: N rows (tokens), C = n_embd, H query heads, Hkv key/value heads, D head_dim, V
/// vocabulary. "act" = the activation dtype: f32, bf16 or (reference) f64. "stat" =
/// stats_dtype(act): f64 beside f64, else f32.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/arena.h"
#include "core/tensor.h"
#include "ops/packed_weights.h"
#include "ops/token_runs.h"

namespace nanochat {

/// Head layout and mask of attention.
///   logits[i, j] = scale * q_i . k_j  for the keys j of the same sequence with
///   max(0, p_i - window) <= p_j <= p_i  (so window + 1 keys; window < 0: no limit)
/// Query head h reads key/value head h / (n_head / n_kv_head).
struct AttentionShape {
  int64_t n_head = 0;
  int64_t n_kv_head = 0;
  int64_t head_dim = 0;
  int64_t window = -1;
  float scale = 0;  ///< usually 1 / sqrt(head_dim)

  /// Columns of the packed tensor qkv: [q heads | k heads | v heads].
  [[nodiscard]] int64_t qkv_dim() const noexcept { return (n_head + 2 * n_kv_head) * head_dim; }
  [[nodiscard]] int64_t q_dim() const noexcept { return n_head * head_dim; }
  [[nodiscard]] int64_t kv_dim() const noexcept { return n_kv_head * head_dim; }
};

/// What matmul does to each element before it is rounded to c's dtype.
enum class Epilogue : uint8_t { kNone, kReluSquared };

struct AdamWParams {
  float lr = 0;
  float beta1 = 0, beta2 = 0;
  float eps = 0;
  float weight_decay = 0;
  int64_t step = 1;  ///< 1 at the first update
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// "reference", "cpu", "cuda".
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// What runs underneath, for people: "avx512_bf16, oneDNN 2.6.3".
  [[nodiscard]] virtual std::string description() const = 0;
  [[nodiscard]] virtual Device device() const noexcept = 0;
  /// The activation dtype that is fastest here: bf16 where the hardware multiplies it, else f32.
  [[nodiscard]] virtual DType preferred_dtype() const noexcept = 0;
  [[nodiscard]] virtual bool supports(DType act) const noexcept = 0;
  /// Waits until every operation before it is done.
  virtual void synchronize() = 0;

  /// Where tensors on device() come from that live long: weights, an optimizer's state, caches.
  [[nodiscard]] virtual Allocator& allocator() noexcept { return host_allocator(); }
  /// Addresses on device() for an Arena, where activations live. Throws OutOfMemoryError.
  [[nodiscard]] virtual std::unique_ptr<AddressRange> reserve_addresses() {
    return reserve_host_addresses();
  }

  // ---- moving and converting -----------------------------------------------------------------

  /// y = 0, any dtype.
  virtual void zero(Tensor& y) = 0;
  /// y = x, same dtype and numel; either may be on the host or on device(). From the host: x may be
  /// changed when this returns. To the host: y holds the numbers after synchronize().
  virtual void copy(const Tensor& x, Tensor& y) = 0;
  /// y = x rounded to y's dtype (to nearest even). f64/f32/bf16 to f64/f32/bf16. x may be on the
  /// host, and be changed when this returns.
  virtual void cast(const Tensor& x, Tensor& y) = 0;

  // ---- element-wise --------------------------------------------------------------------------

  /// y = a + b. act, same numel; y may be a or b.
  virtual void add(const Tensor& a, const Tensor& b, Tensor& y) = 0;
  /// y = a x + b y, in f32 (f64 when either is), rounded to y's dtype once. x and y of any floating
  /// dtypes, same numel. b == 0 ignores what y held, NaN included.
  virtual void axpby(float a, const Tensor& x, float b, Tensor& y) = 0;
  /// y = -1, 0 or 1. Same dtype and numel; y may be x.
  virtual void sign(const Tensor& x, Tensor& y) = 0;
  /// y = max(x, 0)^2. act; y may be x. Usually fused: Epilogue::kReluSquared.
  virtual void relu_squared(const Tensor& x, Tensor& y) = 0;
  /// dx = dy * 2 max(x, 0), with max(x, 0) taken back from y = max(x, 0)^2 as sqrt(y), so that x
  /// need not be kept. act; dx may be dy.
  virtual void relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) = 0;

  // ---- embedding -----------------------------------------------------------------------------

  /// y[n] = w[ids[n]]. w [V, C] f32 or act, ids [N] i32 in [0, V), y [N, C] act.
  virtual void embedding(const Tensor& w, const Tensor& ids, Tensor& y) = 0;
  /// dw[ids[n]] += dy[n], rows with one id in order of n. dy [N, C] act, dw [V, C] f32 (f64).
  virtual void embedding_backward(const Tensor& dy, const Tensor& ids, Tensor& dw) = 0;

  // ---- norm and rotary positions -------------------------------------------------------------

  /// RMSNorm without a learned scale (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4).
  ///   rstd[n] = 1 / sqrt(mean_c x[n,c]^2 + eps),   y[n,c] = x[n,c] * rstd[n]
  /// x, y [N, C] act, y may be x. rstd [N] stat.
  virtual void rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) = 0;
  /// dx = residual + rstd * (dy - y * mean_c(dy * y)). It needs y and rstd but not x, so the
  /// residual stream is not kept.
  /// dy, y, dx [N, C] act; residual likewise, or an undefined tensor for 0. dx may be dy or
  /// residual.
  virtual void rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                                 const Tensor& residual, Tensor& dx) = 0;

  /// In place on the q and k heads of qkv [N, (H + 2 Hkv) D] (v is left alone), for the row at
  /// position p and every head x [D], half-split ("NeoX") layout, i < D/2:
  ///   z[i]       =  x[i] cos[p,i] + x[i + D/2] sin[p,i]
  ///   z[i + D/2] = -x[i] sin[p,i] + x[i + D/2] cos[p,i]      (a turn by -theta, as upstream)
  ///   rstd = 1 / sqrt(mean z^2 + eps),   x = gain * z * rstd
  /// The norm is taken after the turn: tables rounded to bf16 do not keep lengths.
  /// cos, sin [P, D/2] f32 (f64 when act is), P >= runs.end_position(). rstd [N, H + Hkv] stat.
  /// gain: 1 in classic, 1.2 in modern.
  virtual void rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                            const Tensor& cos, const Tensor& sin, float gain, float eps,
                            Tensor& rstd) = 0;
  /// In place on dqkv, from gradients of the outputs to gradients of the inputs. qkv as
  /// rope_qk_norm left it.
  virtual void rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                                     const AttentionShape& shape, const Tensor& cos,
                                     const Tensor& sin, float gain, const Tensor& rstd) = 0;

  // ---- attention -----------------------------------------------------------------------------

  /// out[i] = sum_j softmax_j(logits[i, j]) v_j per head, within each run (see AttentionShape).
  /// qkv [N, (H + 2 Hkv) D] act. out [N, H D] act. lse [N, H] stat: log sum_j exp(logits[i, j]),
  /// kept for backward; undefined when no backward follows.
  /// Never stores T x T (flash attention, Dao et al. 2022, arXiv:2205.14135).
  virtual void attention(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                         Tensor& out, Tensor& lse) = 0;
  /// dqkv = gradient, all columns. dout, out [N, H D], qkv, dqkv [N, (H + 2 Hkv) D] act.
  virtual void attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                                  const Tensor& lse, const TokenRuns& runs,
                                  const AttentionShape& shape, Tensor& dqkv) = 0;
  /// Writes the k and v heads of qkv's rows into the cache, at the position and slot of their run
  /// (KvCache says where). cache.k, cache.v [n_slots, capacity, Hkv D], act or bf16.
  virtual void kv_cache_append(const Tensor& qkv, const TokenRuns& runs,
                               const AttentionShape& shape, KvCache& cache) = 0;
  /// As attention, with the keys and values of positions 0 .. p_i taken from the run's slot of the
  /// cache (append first). A row of out depends on that row of q and the slot's keys alone, in its
  /// bits. Inference only.
  virtual void attention_cached(const Tensor& qkv, const KvCache& cache, const TokenRuns& runs,
                                const AttentionShape& shape, Tensor& out) = 0;

  // ---- matrix multiplication -----------------------------------------------------------------

  /// c = epilogue(alpha op(a) op(b) + beta c), op(x) = x or x^T in the last two extents.
  /// Rank 2, or rank 3 with a batch as the first extent of all three. op(a) [M, K], op(b) [K, N],
  /// c [M, N], row-major. a and b of one dtype; c act or f32. Sums in f32 at least (reference:
  /// double), rounded once. beta == 0 ignores what c held. K == 0 gives epilogue(beta c).
  virtual void matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                      Tensor& c, float alpha = 1, float beta = 0,
                      Epilogue epilogue = Epilogue::kNone) = 0;

  /// y = epilogue(x w^T), for inference. x [N, in] act, y [N, out] act or f32. The weights are
  /// w.at(); sums in f32 at least, rounded once. A row of y depends on that row of x alone, in its
  /// bits: not on N, nor on the number of threads. (matmul does not promise that.)
  virtual void matmul_packed(const Tensor& x, const PackedWeights& w, Tensor& y,
                             Epilogue epilogue = Epilogue::kNone) = 0;

  // ---- loss ----------------------------------------------------------------------------------

  /// Softcap cross-entropy of a block of rows, and its gradient in place.
  ///   z = cap * tanh(logits / cap),  loss[n] = log sum_v exp(z[n,v]) - z[n, target]
  ///   dlogits[n,v] = weight[n] * (softmax(z)[n,v] - [v == target]) * (1 - (z/cap)^2)
  /// target < 0: the row is ignored, loss 0 and gradient 0. weight[n] == 0 gives gradient 0 too.
  /// logits [N, V] act, overwritten by dlogits when with_gradient, else left as they are.
  /// targets [N] i32 in [-1, V), weight [N] f32, loss [N] stat. cap > 0. inf is capped, NaN stays.
  virtual void softcap_cross_entropy(Tensor& logits, const Tensor& targets, const Tensor& weight,
                                     float cap, bool with_gradient, Tensor& loss) = 0;
  /// y = cap * tanh(x / cap). x act, y act or f32, same numel; y may be x.
  virtual void softcap(const Tensor& x, float cap, Tensor& y) = 0;

  // ---- reductions ----------------------------------------------------------------------------

  /// out[0] = beta out[0] + sum_i a[i] b[i], in double. a, b same numel, any of f64, f32, bf16;
  /// out [1] f64.
  virtual void dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) = 0;
  /// scale[0] = min(1, max_norm / (sqrt(norm_squared[0]) + 1e-6)), torch's clip_grad_norm_.
  /// norm_squared [1] f64, scale [1] f32. A non-finite norm gives a scale of 0.
  virtual void clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) = 0;
  /// out[m] = ||x[m]||_F^2 for a batch of matrices x [B, R, C] (f32 or bf16; f64), out [B] f64.
  virtual void squared_norms(const Tensor& x, Tensor& out) = 0;

  // ---- optimizers ----------------------------------------------------------------------------

  /// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) as torch's fused kernel:
  ///   g' = scale g;  p *= 1 - lr wd;  m += (1 - b1)(g' - m);  v = b2 v + (1 - b2) g'^2
  ///   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
  /// p, g, m, v same numel, f32 (f64). scale [1] f32, or undefined for 1: the clip factor stays on
  /// the device.
  virtual void adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
                     const AdamWParams& params) = 0;
  /// Nesterov momentum: g' = scale g;  m += (1 - mu)(g' - m);  u = (1 - mu) g' + mu m.
  /// g, m f32 (f64); u f32, bf16 (f64). Same numel.
  virtual void nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu, Tensor& u) = 0;
  /// x[i] *= 1 / (sqrt(norm_squared[i]) + eps) for a batch of matrices x [B, R, C] (f32 or bf16;
  /// f64), norm_squared [B] f64.
  virtual void normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) = 0;

  /// Scratch memory that calls of this backend share, and the memory it holds now, in bytes.
  [[nodiscard]] virtual int64_t workspace_bytes() const noexcept = 0;
};

/// The specification. One per process; stateless.
[[nodiscard]] Backend& reference_backend();
/// The fast CPU backend for the best instruction set found (or the one named by NANOCHAT_CPU_ISA).
/// One per process. Throws DeviceError when the name is unknown or the CPU lacks it.
[[nodiscard]] Backend& cpu_backend();
/// A cpu backend for one instruction set: "avx512_bf16", "avx2", "portable". For tests and benches;
/// throws DeviceError as cpu_backend().
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(std::string_view isa);

}  // namespace nanochat
