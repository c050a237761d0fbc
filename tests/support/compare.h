/// Comparing tensors, with tolerances that come from the number format. They may be on the host or
/// on a GPU.
#pragma once

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "core/tensor.h"

namespace nanochat::test {

/// An element may differ by abs + rel_of_max * max |expected| (over the whole tensor, so that an
/// element near zero is judged by the size of its neighbours).
struct Tolerance {
  double abs = 0;
  double rel_of_max = 0;
};

/// The unit roundoff: half the gap between 1 and the next number. f64 2^-53, f32 2^-24, bf16 2^-8,
/// f16 2^-11.
[[nodiscard]] double unit_roundoff(DType dtype);

/// For a result rounded once to `result` after a sum of `n_terms` terms of either sign, in `sum`.
/// The partial sums of random terms grow as sqrt(k) and their rounding errors, u sqrt(k) each, add
/// up as a random walk to about u K / 1.4, against a largest result of about 3 sqrt(K): u sqrt(K) /
/// 4 of max. We allow 16 times that, and two roundings of the result.
[[nodiscard]] Tolerance sum_tolerance(DType result, int64_t n_terms, DType sum = DType::kF32);

/// Passes when every element of `actual` is within `tolerance` of `expected`; else says which is
/// the worst, its index and both values. Shapes must match; the dtypes may differ (f64, f32, bf16,
/// f16, integers), both are compared as doubles. A NaN on either side fails; equal infinities pass.
[[nodiscard]] ::testing::AssertionResult is_close(const Tensor& actual, const Tensor& expected,
                                                  Tolerance tolerance);
/// EXPECT_TRUE(is_close(...)).
void expect_close(const Tensor& actual, const Tensor& expected, Tolerance tolerance);

/// Passes when dtype, shape and every byte agree; else names the first element that does not.
[[nodiscard]] ::testing::AssertionResult same_bits(const Tensor& actual, const Tensor& expected);

/// max |a - b| / max |b|; the plain maximum difference when b is 0. NaN anywhere gives NaN.
[[nodiscard]] double max_abs_over_max(const Tensor& a, const Tensor& b);
/// ||a - b|| / ||b||, Frobenius norms; ||a - b|| when b is 0. NaN anywhere gives NaN.
[[nodiscard]] double frobenius(const Tensor& a, const Tensor& b);

/// The elements as doubles, whatever the dtype.
[[nodiscard]] std::vector<double> to_doubles(const Tensor& x);
/// The same numbers rounded to another floating dtype.
[[nodiscard]] Tensor converted(const Tensor& x, DType dtype);

}  // namespace nanochat::test
