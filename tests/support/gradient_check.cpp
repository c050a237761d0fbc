#include "support/gradient_check.h"

namespace nanochat::test {

Tensor numeric_gradient(Tensor& x, const std::function<double()>& f) {
  constexpr double h = 1e-5;
  Tensor gradient(x.shape(), DType::kF64);
  for (int64_t i = 0; i < x.numel(); ++i) {
    double& element = x.data<double>()[i];
    const double original = element;
    element = original + h;
    const double above = f();
    element = original - h;
    const double below = f();
    element = original;
    gradient.data<double>()[i] = (above - below) / (2 * h);
  }
  return gradient;
}

double projection(const Tensor& x, const Tensor& weights) {
  double sum = 0;
  for (int64_t i = 0; i < x.numel(); ++i) sum += x.data<double>()[i] * weights.data<double>()[i];
  return sum;
}

}  // namespace nanochat::test
