#include "support/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "ops/devices.h"
#include "ops/transfer.h"

namespace nanochat::test {
namespace {

/// What a GPU holds is brought to the host first.
Tensor on_host(const Tensor& x) {
  if (!x || x.device().kind == DeviceKind::kCpu) return x;
  return nanochat::on_host(cuda_backend(x.device().index), x);
}

template <typename T>
std::vector<double> widened(const Tensor& x) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(x.numel()));
  for (const T& value : x.span<T>()) {
    if constexpr (std::is_same_v<T, Bf16> || std::is_same_v<T, F16>) {
      values.push_back(static_cast<double>(static_cast<float>(value)));
    } else {
      values.push_back(static_cast<double>(value));
    }
  }
  return values;
}

/// "[1, 0, 7]" for the flat index i.
std::string index_text(const Shape& shape, int64_t i) {
  std::vector<int64_t> index(static_cast<size_t>(shape.rank()));
  for (int d = shape.rank() - 1; d >= 0; --d) {
    index[static_cast<size_t>(d)] = i % shape[d];
    i /= shape[d];
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

}  // namespace

double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 0x1p-53;
    case DType::kF32:
      return 0x1p-24;
    case DType::kBf16:
      return 0x1p-8;
    case DType::kF16:
      return 0x1p-11;
    default:
      return 0;
  }
}

Tolerance sum_tolerance(DType result, int64_t n_terms, DType sum) {
  return {.rel_of_max = 2 * unit_roundoff(result) +
                        4 * std::sqrt(static_cast<double>(n_terms)) * unit_roundoff(sum)};
}

std::vector<double> to_doubles(const Tensor& anywhere) {
  const Tensor x = on_host(anywhere);
  switch (x.dtype()) {
    case DType::kF64:
      return widened<double>(x);
    case DType::kF32:
      return widened<float>(x);
    case DType::kBf16:
      return widened<Bf16>(x);
    case DType::kF16:
      return widened<F16>(x);
    case DType::kI64:
      return widened<int64_t>(x);
    case DType::kI32:
      return widened<int32_t>(x);
    case DType::kU8:
      return widened<uint8_t>(x);
  }
  return {};
}

Tensor converted(const Tensor& x, DType dtype) {
  const std::vector<double> values = to_doubles(x);
  Tensor y(x.shape(), dtype);
  dispatch_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const std::span<T> out = y.span<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, double>) {
        out[i] = values[i];
      } else {
        out[i] = T(static_cast<float>(values[i]));
      }
    }
  });
  return y;
}

::testing::AssertionResult is_close(const Tensor& actual, const Tensor& expected,
                                    Tolerance tolerance) {
  if (actual.shape() != expected.shape()) {
    return ::testing::AssertionFailure()
           << fmt::format("shape {} instead of {}", actual.shape(), expected.shape());
  }
  const std::vector<double> a = to_doubles(actual);
  const std::vector<double> e = to_doubles(expected);
  double max_expected = 0;
  for (const double value : e) {
    if (std::isfinite(value)) max_expected = std::max(max_expected, std::abs(value));
  }
  const double limit = tolerance.abs + tolerance.rel_of_max * max_expected;

  int64_t n_wrong = 0;
  size_t worst = 0;
  double worst_difference = -1;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == e[i]) continue;
    double difference = std::abs(a[i] - e[i]);
    if (!(difference <= limit)) ++n_wrong;
    if (std::isnan(difference)) difference = HUGE_VAL;  // nothing is worse
    if (difference > worst_difference) {
      worst_difference = difference;
      worst = i;
    }
  }
  if (n_wrong == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << fmt::format(
             "{} of {} elements of a {} {} are off; the worst is at {}: {:.9g} instead of {:.9g}, "
             "difference {:.3g}, allowed {:.3g} (max |expected| {:.3g})",
             n_wrong, a.size(), name_of(actual.dtype()), actual.shape(),
             index_text(actual.shape(), static_cast<int64_t>(worst)), a[worst], e[worst],
             worst_difference, limit, max_expected);
}

void expect_close(const Tensor& actual, const Tensor& expected, Tolerance tolerance) {
  EXPECT_TRUE(is_close(actual, expected, tolerance));
}

::testing::AssertionResult same_bits(const Tensor& actual_anywhere,
                                     const Tensor& expected_anywhere) {
  const Tensor actual = on_host(actual_anywhere), expected = on_host(expected_anywhere);
  if (actual.shape() != expected.shape() || actual.dtype() != expected.dtype()) {
    return ::testing::AssertionFailure()
           << fmt::format("{} {} instead of {} {}", name_of(actual.dtype()), actual.shape(),
                          name_of(expected.dtype()), expected.shape());
  }
  const int64_t element_bytes = size_of(actual.dtype());
  const auto* a = static_cast<const char*>(actual.raw());
  const auto* e = static_cast<const char*>(expected.raw());
  for (int64_t i = 0; i < actual.numel(); ++i) {
    const int64_t at = i * element_bytes;
    if (std::memcmp(a + at, e + at, static_cast<size_t>(element_bytes)) == 0) continue;
    return ::testing::AssertionFailure()
           << fmt::format("the bits first differ at {}: {:.17g} instead of {:.17g}",
                          index_text(actual.shape(), i), to_doubles(actual)[static_cast<size_t>(i)],
                          to_doubles(expected)[static_cast<size_t>(i)]);
  }
  return ::testing::AssertionSuccess();
}

double max_abs_over_max(const Tensor& a, const Tensor& b) {
  NC_CHECK(a.shape() == b.shape(), "{} and {}", a.shape(), b.shape());
  const std::vector<double> x = to_doubles(a);
  const std::vector<double> y = to_doubles(b);
  double difference = 0;
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = std::abs(x[i] - y[i]);
    if (std::isnan(d)) return d;
    difference = std::max(difference, d);
    largest = std::max(largest, std::abs(y[i]));
  }
  return largest > 0 ? difference / largest : difference;
}

double frobenius(const Tensor& a, const Tensor& b) {
  NC_CHECK(a.shape() == b.shape(), "{} and {}", a.shape(), b.shape());
  const std::vector<double> x = to_doubles(a);
  const std::vector<double> y = to_doubles(b);
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    norm += y[i] * y[i];
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

}  // namespace nanochat::test
