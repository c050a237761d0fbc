/// Rotary positions (Su et al. 2021, arXiv:2104.09864), then RMSNorm of every query and key head.
///
/// A head is D/2 points in the plane, (x_i, x_{i + D/2}); the row at position p turns point i by
/// -p theta_i. Since q . k of two turned heads depends on the difference of their positions alone,
/// attention sees how far apart two tokens are.
///
/// Backward goes through the steps in reverse. Forward, for one head at one position:
///   z = R x           R turns each point:  [ c  s; -s  c ]
///   o = gain z rstd
/// The norm's part is that of rms_norm with y = z rstd = o / gain and dy = gain do:
///   dz = rstd (dy - y mean(dy y)) = rstd (gain do - o / gain mean(do o))
/// and the turn is linear, so its gradient is the transpose (for exact tables: the turn back):
///   dx = R^T dz,      R^T = [ c -s; s  c ]
#include <vector>

#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {
namespace {

/// f(row, position) for every row of the batch.
template <typename F>
void for_each_row(const TokenRuns& runs, F&& f) {
  for (const Run& run : runs.runs()) {
    for (int64_t t = 0; t < run.length; ++t) f(run.row_begin + t, run.position + t);
  }
}

}  // namespace

void ReferenceBackend::rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                                    const Tensor& cos, const Tensor& sin, float gain, float eps,
                                    Tensor& rstd) {
  const int64_t D = shape.head_dim;
  const int64_t half = D / 2;
  const int64_t n_normed = shape.n_head + shape.n_kv_head;  // q heads, then k heads
  dispatch_float(qkv.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<double> z(static_cast<size_t>(D));
    for_each_row(runs, [&](int64_t row, int64_t position) {
      const Stat<T>* c = cos.data<Stat<T>>() + position * half;  // (D/2)
      const Stat<T>* s = sin.data<Stat<T>>() + position * half;  // (D/2)
      for (int64_t head = 0; head < n_normed; ++head) {
        T* x = qkv.data<T>() + row * shape.qkv_dim() + head * D;  // (D)
        double sum = 0;
        for (int64_t i = 0; i < half; ++i) {
          const double first = widen(x[i]);
          const double second = widen(x[i + half]);
          z[i] = first * double{c[i]} + second * double{s[i]};
          z[i + half] = -first * double{s[i]} + second * double{c[i]};
          sum += z[i] * z[i] + z[i + half] * z[i + half];
        }
        const double scale = 1 / std::sqrt(sum / static_cast<double>(D) + double{eps});
        for (int64_t i = 0; i < D; ++i) x[i] = round_to<T>(double{gain} * z[i] * scale);
        rstd.data<Stat<T>>()[row * n_normed + head] = static_cast<Stat<T>>(scale);
      }
    });
  });
}

void ReferenceBackend::rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                                             const AttentionShape& shape, const Tensor& cos,
                                             const Tensor& sin, float gain, const Tensor& rstd) {
  const int64_t D = shape.head_dim;
  const int64_t half = D / 2;
  const int64_t n_normed = shape.n_head + shape.n_kv_head;
  dispatch_float(qkv.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<double> dz(static_cast<size_t>(D));
    for_each_row(runs, [&](int64_t row, int64_t position) {
      const Stat<T>* c = cos.data<Stat<T>>() + position * half;  // (D/2)
      const Stat<T>* s = sin.data<Stat<T>>() + position * half;  // (D/2)
      for (int64_t head = 0; head < n_normed; ++head) {
        const int64_t at = row * shape.qkv_dim() + head * D;
        const T* o = qkv.data<T>() + at;    // (D) what forward left
        T* gradient = dqkv.data<T>() + at;  // (D) do, becomes dx
        double sum = 0;
        for (int64_t i = 0; i < D; ++i) sum += widen(gradient[i]) * widen(o[i]);
        const double mean = sum / static_cast<double>(D);
        const double scale = double{rstd.data<Stat<T>>()[row * n_normed + head]};
        for (int64_t i = 0; i < D; ++i) {
          dz[i] = scale * (double{gain} * widen(gradient[i]) - widen(o[i]) / double{gain} * mean);
        }
        for (int64_t i = 0; i < half; ++i) {
          gradient[i] = round_to<T>(dz[i] * double{c[i]} - dz[i + half] * double{s[i]});
          gradient[i + half] = round_to<T>(dz[i] * double{s[i]} + dz[i + half] * double{c[i]});
        }
      }
    });
  });
}

}  // namespace nanochat::reference
