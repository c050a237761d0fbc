/// Matrix products, and with them linear layers.
///
/// A linear layer is y = x W^T, x (N, in), W (out, in), y (N, out). From dy = dL/dy,
///   y_no = sum_i x_ni W_oi:   dx_ni = sum_o dy_no W_oi = (dy W)_ni
///                             dW_oi = sum_n dy_no x_ni = (dy^T x)_oi
/// so forward and backward are this one operation with other transposes:
///   y  = matmul(x,  no,  W, yes)      dx = matmul(dy, no, W, no)      dW += matmul(dy, yes, x, no)
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {
namespace {

/// op(x) (rows, columns) as doubles, with x stored as that or as its transpose.
template <typename T>
std::vector<double> widened(const T* x, bool transposed, int64_t rows, int64_t columns) {
  std::vector<double> y(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      y[r * columns + c] = widen(transposed ? x[c * rows + r] : x[r * columns + c]);
    }
  }
  return y;
}

struct Extents {
  int64_t M, N, K;
};

template <typename T, typename C>
void multiply(const T* a, bool transpose_a, const T* b, bool transpose_b, C* c, Extents e,
              double alpha, double beta, Epilogue epilogue) {
  const std::vector<double> op_a = widened(a, transpose_a, e.M, e.K);
  const std::vector<double> op_b = widened(b, transpose_b, e.K, e.N);
  parallel_for(e.M, grain_for(e.N * e.K), [&](int64_t row_begin, int64_t row_end) {
    std::vector<double> sums(static_cast<size_t>(e.N));
    for (int64_t m = row_begin; m < row_end; ++m) {
      std::fill(sums.begin(), sums.end(), 0);
      for (int64_t k = 0; k < e.K; ++k) {  // k before n: then the inner loop walks along rows
        const double a_mk = op_a[m * e.K + k];
        for (int64_t n = 0; n < e.N; ++n) sums[n] += a_mk * op_b[k * e.N + n];
      }
      for (int64_t n = 0; n < e.N; ++n) {
        C& out = c[m * e.N + n];
        double y = alpha * sums[n];
        if (beta != 0) y += beta * widen(out);  // beta == 0: what c held may be a NaN
        if (epilogue == Epilogue::kReluSquared) {
          const double positive = std::max(y, 0.0);
          y = positive * positive;
        }
        out = round_to<C>(y);
      }
    }
  });
}

}  // namespace

void ReferenceBackend::matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                              Tensor& c, float alpha, float beta, Epilogue epilogue) {
  const Extents e{.M = c.dim(-2), .N = c.dim(-1), .K = a.dim(transpose_a ? -2 : -1)};
  const int64_t batch = c.rank() == 3 ? c.dim(0) : 1;
  dispatch_floats(a.dtype(), c.dtype(), [&](auto in_tag, auto out_tag) {
    using T = typename decltype(in_tag)::type;
    using C = typename decltype(out_tag)::type;
    for (int64_t i = 0; i < batch; ++i) {
      multiply(a.data<T>() + i * e.M * e.K, transpose_a, b.data<T>() + i * e.K * e.N, transpose_b,
               c.data<C>() + i * e.M * e.N, e, double{alpha}, double{beta}, epilogue);
    }
  });
}

}  // namespace nanochat::reference
