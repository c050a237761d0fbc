/// How surprised the model is by the next token, and the gradient of that.
///
/// Softcap (Gemma 2, arXiv:2408.00118) keeps logits within (-cap, cap): z = cap tanh(x / cap), so
///   dz/dx = 1 - tanh^2(x / cap) = 1 - (z / cap)^2.
/// Cross-entropy of one row with target t: loss = -log softmax(z)_t = log sum_v exp(z_v) - z_t, so
///   dloss/dz_v = exp(z_v) / sum_v' exp(z_v') - [v == t] = softmax(z)_v - [v == t]:
/// push every logit down by its probability, and the right one up by 1.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {

void ReferenceBackend::softcap_cross_entropy(Tensor& logits, const Tensor& targets,
                                             const Tensor& weight, float cap, bool with_gradient,
                                             Tensor& loss) {
  const int64_t V = logits.dim(1);
  dispatch_float(logits.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(logits.dim(0), grain_for(10 * V), [&](int64_t row_begin, int64_t row_end) {
      std::vector<double> z(static_cast<size_t>(V));
      for (int64_t n = row_begin; n < row_end; ++n) {
        T* x = logits.data<T>() + n * V;  // (V)
        const int32_t target = targets.data<int32_t>()[n];
        const double w = double{weight.data<float>()[n]};
        Stat<T>& row_loss = loss.data<Stat<T>>()[n];
        if (target < 0) {
          row_loss = 0;
          if (with_gradient) std::fill(x, x + V, T(0));
          continue;
        }

        double largest = -HUGE_VAL;
        for (int64_t v = 0; v < V; ++v) {
          z[v] = double{cap} * std::tanh(widen(x[v]) / double{cap});
          largest = std::max(largest, z[v]);
        }
        double sum = 0;
        for (int64_t v = 0; v < V; ++v) sum += std::exp(z[v] - largest);
        const double log_sum = largest + std::log(sum);
        row_loss = static_cast<Stat<T>>(log_sum - z[target]);

        if (!with_gradient) continue;
        for (int64_t v = 0; v < V; ++v) {
          const double dz = std::exp(z[v] - log_sum) - (v == target ? 1 : 0);
          const double t = z[v] / double{cap};
          x[v] = w == 0 ? T(0) : round_to<T>(w * dz * (1 - t * t));
        }
      }
    });
  });
}

void ReferenceBackend::softcap(const Tensor& x, float cap, Tensor& y) {
  dispatch_floats(x.dtype(), y.dtype(), [&](auto x_tag, auto y_tag) {
    using X = typename decltype(x_tag)::type;
    using Y = typename decltype(y_tag)::type;
    std::transform(x.data<X>(), x.data<X>() + x.numel(), y.data<Y>(), [&](X element) {
      return round_to<Y>(double{cap} * std::tanh(widen(element) / double{cap}));
    });
  });
}

}  // namespace nanochat::reference
