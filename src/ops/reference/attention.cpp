/// Causal attention: every token takes a weighted mean of the values of the tokens before it.
///
/// For one query head, the row i of a run and the keys j that it may see:
///   l_ij = scale q_i . k_j,   p_ij = exp(l_ij) / sum_j' exp(l_ij'),   out_i = sum_j p_ij v_j
/// exp(l) would overflow for large l. Numerator and denominator may be divided by exp(max_j l_ij)
/// without changing p, and then the largest term is 1. One row of p is all that is stored; forward
/// leaves lse_i = log sum_j exp(l_ij), from which backward finds any p_ij = exp(l_ij - lse_i)
/// again.
///
/// Backward, from do_i = dL/dout_i:
///   out_i = sum_j p_ij v_j:   dv_j += p_ij do_i,     dp_ij = do_i . v_j
///   softmax:                  dl_ij = p_ij (dp_ij - sum_j' p_ij' dp_ij')
///                             and sum_j p_ij dp_ij = do_i . sum_j p_ij v_j = do_i . out_i
///   l_ij = scale q_i . k_j:   dq_i += scale dl_ij k_j,     dk_j += scale dl_ij q_i
/// A key head that several query heads read gets the sum of their gradients.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {
namespace {

/// Where the heads of one row of the packed tensor qkv begin.
struct Columns {
  explicit Columns(const AttentionShape& s) : D(s.head_dim), k0(s.q_dim()), v0(k0 + s.kv_dim()) {}
  [[nodiscard]] int64_t q(int64_t head) const { return head * D; }
  [[nodiscard]] int64_t k(int64_t kv_head) const { return k0 + kv_head * D; }
  [[nodiscard]] int64_t v(int64_t kv_head) const { return v0 + kv_head * D; }
  int64_t D, k0, v0;
};

/// The first key that the query at index (or position) t sees; the last is t itself.
int64_t first_key(int64_t t, const AttentionShape& shape) {
  return shape.window < 0 ? 0 : std::max<int64_t>(0, t - shape.window);
}

/// Multiplications, to the nearest power of ten: see grain_for.
int64_t work_per_head(const TokenRuns& runs, const AttentionShape& shape) {
  return runs.n_tokens() * runs.max_length() * shape.head_dim;
}

template <typename A, typename B>
double inner_product(const A* a, const B* b, int64_t D) {
  double sum = 0;
  for (int64_t d = 0; d < D; ++d) sum += widen(a[d]) * widen(b[d]);
  return sum;
}

/// One query and its keys first .. first + n_keys - 1, key j `stride` (j % ring) elements behind k:
/// out (D); returns log sum_j exp(l_j). p is scratch.
template <typename T, typename K>
double attend(const T* q, const K* k, const K* v, int64_t stride, int64_t first, int64_t n_keys,
              int64_t ring, const AttentionShape& shape, T* out, std::vector<double>& p) {
  const int64_t D = shape.head_dim;
  const auto row = [&](int64_t j) { return (first + j) % ring * stride; };
  p.resize(static_cast<size_t>(n_keys));
  double largest = -HUGE_VAL;
  for (int64_t j = 0; j < n_keys; ++j) {
    p[j] = double{shape.scale} * inner_product(q, k + row(j), D);
    largest = std::max(largest, p[j]);
  }
  double sum = 0;
  for (double& value : p) {
    value = std::exp(value - largest);
    sum += value;
  }
  for (int64_t d = 0; d < D; ++d) {
    double mean = 0;
    for (int64_t j = 0; j < n_keys; ++j) mean += p[j] * widen(v[row(j) + d]);
    out[d] = round_to<T>(mean / sum);
  }
  return largest + std::log(sum);
}

}  // namespace

void ReferenceBackend::attention(const Tensor& qkv, const TokenRuns& runs,
                                 const AttentionShape& shape, Tensor& out, Tensor& lse) {
  const Columns columns(shape);
  const int64_t stride = shape.qkv_dim();
  const int64_t group = shape.n_head / shape.n_kv_head;  // query heads that share a key head
  dispatch_float(qkv.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(shape.n_head, grain_for(work_per_head(runs, shape)),
                 [&](int64_t head_begin, int64_t head_end) {
                   std::vector<double> p;
                   for (int64_t head = head_begin; head < head_end; ++head) {
                     for (const Run& run : runs.runs()) {
                       const T* rows = qkv.data<T>() + run.row_begin * stride;  // (length, qkv_dim)
                       for (int64_t t = 0; t < run.length; ++t) {
                         const int64_t first = first_key(t, shape);
                         T* out_row = out.data<T>() + (run.row_begin + t) * shape.q_dim();
                         const double log_sum = attend(
                             rows + t * stride + columns.q(head), rows + columns.k(head / group),
                             rows + columns.v(head / group), stride, first, t + 1 - first,
                             run.length, shape, out_row + columns.q(head), p);
                         if (lse) {
                           lse.data<Stat<T>>()[(run.row_begin + t) * shape.n_head + head] =
                               static_cast<Stat<T>>(log_sum);
                         }
                       }
                     }
                   }
                 });
  });
}

void ReferenceBackend::attention_backward(const Tensor& dout, const Tensor& qkv, const Tensor& out,
                                          const Tensor& lse, const TokenRuns& runs,
                                          const AttentionShape& shape, Tensor& dqkv) {
  const Columns columns(shape);
  const int64_t D = shape.head_dim;
  const int64_t stride = shape.qkv_dim();
  const int64_t group = shape.n_head / shape.n_kv_head;
  const double scale = double{shape.scale};
  dispatch_float(qkv.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(
        shape.n_kv_head, grain_for(group * work_per_head(runs, shape)),
        [&](int64_t kv_begin, int64_t kv_end) {
          std::vector<double> dq(static_cast<size_t>(D));
          std::vector<double> dk, dv;  // (length, D): sums over queries and over the group's heads
          for (int64_t kv_head = kv_begin; kv_head < kv_end; ++kv_head) {
            for (const Run& run : runs.runs()) {
              const T* rows = qkv.data<T>() + run.row_begin * stride;  // (length, qkv_dim)
              T* drows = dqkv.data<T>() + run.row_begin * stride;      // (length, qkv_dim)
              dk.assign(static_cast<size_t>(run.length * D), 0);
              dv.assign(static_cast<size_t>(run.length * D), 0);

              for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
                for (int64_t t = 0; t < run.length; ++t) {
                  const int64_t row = run.row_begin + t;
                  const T* q = rows + t * stride + columns.q(head);  // (D)
                  const T* dout_row =
                      dout.data<T>() + row * shape.q_dim() + columns.q(head);                // (D)
                  const T* out_row = out.data<T>() + row * shape.q_dim() + columns.q(head);  // (D)
                  const double log_sum = double{lse.data<Stat<T>>()[row * shape.n_head + head]};
                  const double mean_dp = inner_product(dout_row, out_row, D);
                  std::fill(dq.begin(), dq.end(), 0);
                  for (int64_t j = first_key(t, shape); j <= t; ++j) {
                    const T* k = rows + j * stride + columns.k(kv_head);  // (D)
                    const T* v = rows + j * stride + columns.v(kv_head);  // (D)
                    const double p = std::exp(scale * inner_product(q, k, D) - log_sum);
                    const double dl = p * (inner_product(dout_row, v, D) - mean_dp);
                    for (int64_t d = 0; d < D; ++d) {
                      dq[d] += scale * dl * widen(k[d]);
                      dk[j * D + d] += scale * dl * widen(q[d]);
                      dv[j * D + d] += p * widen(dout_row[d]);
                    }
                  }
                  T* dq_out = drows + t * stride + columns.q(head);  // (D)
                  for (int64_t d = 0; d < D; ++d) dq_out[d] = round_to<T>(dq[d]);
                }
              }

              for (int64_t t = 0; t < run.length; ++t) {
                for (int64_t d = 0; d < D; ++d) {
                  drows[t * stride + columns.k(kv_head) + d] = round_to<T>(dk[t * D + d]);
                  drows[t * stride + columns.v(kv_head) + d] = round_to<T>(dv[t * D + d]);
                }
              }
            }
          }
        });
  });
}

void ReferenceBackend::kv_cache_append(const Tensor& qkv, const TokenRuns& runs,
                                       const AttentionShape& shape, KvCache& cache) {
  const int64_t kv_dim = shape.kv_dim();
  const int64_t capacity = cache.k.dim(1);
  dispatch_floats(qkv.dtype(), cache.k.dtype(), [&](auto tag, auto cache_tag) {
    using T = typename decltype(tag)::type;
    using K = typename decltype(cache_tag)::type;
    for (const Run& run : runs.runs()) {
      for (int64_t t = 0; t < run.length; ++t) {
        const T* row = qkv.data<T>() + (run.row_begin + t) * shape.qkv_dim();
        const T* k = row + shape.q_dim();  // (Hkv D)
        const T* v = k + kv_dim;           // (Hkv D)
        const int64_t at = (run.slot * capacity + (run.position + t) % capacity) * kv_dim;
        for (int64_t c = 0; c < kv_dim; ++c) {
          cache.k.data<K>()[at + c] = round_to<K>(widen(k[c]));
          cache.v.data<K>()[at + c] = round_to<K>(widen(v[c]));
        }
      }
    }
  });
}

void ReferenceBackend::attention_cached(const Tensor& qkv, const KvCache& cache,
                                        const TokenRuns& runs, const AttentionShape& shape,
                                        Tensor& out) {
  const Columns columns(shape);
  const int64_t group = shape.n_head / shape.n_kv_head;
  const int64_t stride = shape.kv_dim();
  const int64_t capacity = cache.k.dim(1);
  dispatch_floats(qkv.dtype(), cache.k.dtype(), [&](auto tag, auto cache_tag) {
    using T = typename decltype(tag)::type;
    using K = typename decltype(cache_tag)::type;
    std::vector<double> p;
    for (const Run& run : runs.runs()) {
      for (int64_t t = 0; t < run.length; ++t) {
        const int64_t position = run.position + t;
        const int64_t first = first_key(position, shape);
        const T* q_row = qkv.data<T>() + (run.row_begin + t) * shape.qkv_dim();
        T* out_row = out.data<T>() + (run.row_begin + t) * shape.q_dim();
        for (int64_t head = 0; head < shape.n_head; ++head) {
          const int64_t at = run.slot * capacity * stride + head / group * shape.head_dim;
          attend(q_row + columns.q(head), cache.k.data<K>() + at, cache.v.data<K>() + at, stride,
                 first, position + 1 - first, capacity, shape, out_row + columns.q(head), p);
        }
      }
    }
  });
}

}  // namespace nanochat::reference
