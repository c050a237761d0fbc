#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {

void ReferenceBackend::matmul_packed(const Tensor& x, const PackedWeights& w, Tensor& y,
                                     Epilogue epilogue) {
  const int64_t N = x.dim(0);
  dispatch_floats(x.dtype(), y.dtype(), [&](auto x_tag, auto y_tag) {
    using X = typename decltype(x_tag)::type;
    using Y = typename decltype(y_tag)::type;
    parallel_for(w.out, grain_for(N * w.in), [&](int64_t begin, int64_t end) {
      std::vector<double> row(static_cast<size_t>(w.in));
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t k = 0; k < w.in; ++k) row[k] = double{w.at(o, k)};
        for (int64_t n = 0; n < N; ++n) {
          double sum = 0;
          for (int64_t k = 0; k < w.in; ++k) sum += widen(x.data<X>()[n * w.in + k]) * row[k];
          if (epilogue == Epilogue::kReluSquared) {
            const double positive = std::max(sum, 0.0);
            sum = positive * positive;
          }
          y.data<Y>()[n * w.out + o] = round_to<Y>(sum);
        }
      }
    });
  });
}

}  // namespace nanochat::reference
