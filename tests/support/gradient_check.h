/// Gradients by finite differences, to hold the derived ones against.
#pragma once

#include <functional>

#include "core/tensor.h"

namespace nanochat::test {

/// The central difference (f(x + h) - f(x - h)) / 2h for every element of x [f64], which f reads;
/// each element is moved in place and put back. Its error is about h^2 f'''/6 + 1e-16 |f| / h:
/// around 1e-10 for f of size 1 with the h of 1e-5 used here.
[[nodiscard]] Tensor numeric_gradient(Tensor& x, const std::function<double()>& f);

/// sum_i x[i] weights[i], both f64: a random projection makes one number of an output, whose
/// gradient with respect to that output is `weights`.
[[nodiscard]] double projection(const Tensor& x, const Tensor& weights);

}  // namespace nanochat::test
